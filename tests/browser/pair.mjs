// By which way a page's connections go.

/** Has every page that this one opens from now on keep its connections for [`pairInUse`]. */
export function keepConnections(page) {
  return page.addInitScript(() => {
    window.connections = [];
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(...args) {
        super(...args);
        window.connections.push(this);
      }
    };
  });
}

/** The candidates of the pair in use, ours and theirs; `undefined` while there is none. */
export function pairInUse(page) {
  return page.evaluate(async () => {
    for (const pc of window.connections) {
      const stats = await pc.getStats();
      const transport = [...stats.values()].find((one) => one.type === 'transport' && one.selectedCandidatePairId);
      if (!transport) continue;
      const pair = stats.get(transport.selectedCandidatePairId);
      return { ours: stats.get(pair.localCandidateId), theirs: stats.get(pair.remoteCandidateId) };
    }
    return undefined;
  });
}
