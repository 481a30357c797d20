/** What the browser tells of the network it is on. */

/** The Network Information API, where there is one; its other properties change all the time and say nothing of a path. */
interface Connection extends EventTarget {
  readonly type?: string;
}

/** Calls `changed` whenever the browser is on another network; gives what ends that. */
export function followNetwork(changed: () => void): () => void {
  const { connection } = (globalThis as { navigator?: { connection?: Connection } }).navigator ?? {};
  let type = connection?.type;
  const look = (): void => {
    if (connection?.type === type) return;
    type = connection?.type;
    // With none at all there is nothing to change to yet.
    if (type !== "none") changed();
  };
  addEventListener("online", changed);
  connection?.addEventListener("change", look);
  return () => {
    removeEventListener("online", changed);
    connection?.removeEventListener("change", look);
  };
}
