/** What the browser says about the page and the network. */

export interface Attention {
  /** Somebody is back at the page, or the network is: what was there may be gone. */
  readonly wake: () => void;
  /** The page is being left; there is no later. */
  readonly leave: () => void;
  /** It comes back from the browser's cache, where it had left. */
  readonly back: () => void;
}

/** Follows page and network; gives a function that ends it. */
export function followAttention({ wake, leave, back }: Attention): () => void {
  const woken = (): void => {
    if (document.visibilityState === "visible") wake();
  };
  const shown = (event: PageTransitionEvent): void => {
    if (event.persisted) back();
  };
  document.addEventListener("visibilitychange", woken);
  addEventListener("online", woken);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", shown);
  return () => {
    document.removeEventListener("visibilitychange", woken);
    removeEventListener("online", woken);
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", shown);
  };
}
