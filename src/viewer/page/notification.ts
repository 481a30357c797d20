/** The system's own notifications, for a call that comes while another page or program is looked at. */

/** Whoever has turned the bell on is asked, and only then. */
export async function askToNotify(): Promise<void> {
  // Not on plain http, nor on iPhones outside of an installed page.
  if (!("Notification" in globalThis) || Notification.permission !== "default") return;
  await Notification.requestPermission().catch(() => undefined);
}

/** Shows a notification if nobody looks at the page; gives a function that takes it away. */
export function notifyHidden(title: string, body: string, stays: boolean): () => void {
  if (!document.hidden || !("Notification" in globalThis) || Notification.permission !== "granted") return () => undefined;
  try {
    // The same tag: what is said later of a call takes the place of what was said of it before.
    const notification = new Notification(title, { body, tag: "camera-node.call", icon: "icon.svg", requireInteraction: stays });
    notification.addEventListener("click", () => {
      focus();
      notification.close();
    });
    return () => {
      notification.close();
    };
  } catch {
    // Android shows them only for service workers.
    return () => undefined;
  }
}
