/** Keeps the screen on while the camera is live. Without the right to do so, or on plain http, the page does without. */

let lock: WakeLockSentinel | undefined;
let wanted = false;

/** Whether the screen is to stay on. */
export function keepAwake(on: boolean): void {
  wanted = on;
  void follow();
}

/** Browsers take the lock away with the page's visibility; it is asked for again when the page is back. */
export function followVisibility(): void {
  document.addEventListener("visibilitychange", () => void follow());
}

async function follow(): Promise<void> {
  try {
    if (wanted && document.visibilityState === "visible" && (lock === undefined || lock.released) && "wakeLock" in navigator) {
      lock = await navigator.wakeLock.request("screen");
    } else if (!wanted && lock !== undefined) {
      await lock.release();
      lock = undefined;
    }
  } catch {
    // Low battery, or forbidden by policy.
  }
}
