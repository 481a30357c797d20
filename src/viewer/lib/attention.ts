/** What the browser says about the page and the network. */

import { followNetwork } from "./network.ts";

export interface Attention {
  /** Somebody is back at the page, or the network is: what was there may be gone. */
  readonly wake: () => void;
  /** The page is being left; there is no later. */
  readonly leave: () => void;
  /** It comes back from the browser's cache, where it had left. */
  readonly back: () => void;
  /** The browser is on another network, and may have other addresses there. */
  readonly networkChanged: () => void;
}

/** Follows page and network; gives a function that ends it. */
export function followAttention({ wake, leave, back, networkChanged }: Attention): () => void {
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
  const stopNetwork = followNetwork(networkChanged);
  return () => {
    stopNetwork();
    document.removeEventListener("visibilitychange", woken);
    removeEventListener("online", woken);
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", shown);
  };
}
