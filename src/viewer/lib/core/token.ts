/** What a token says of itself, if it is a JWT (RFC 7519). Nothing is verified: that is the node's part. */

/** When it ends, in milliseconds since 1970. */
export function endOfToken(token: string): number | undefined {
  const end = claim(token, "exp");
  return typeof end === "number" && Number.isFinite(end) ? end * 1_000 : undefined;
}

/** Who may use it (PROTOCOL.md, section 10): a peer's id, or the beginning of one and `*`. */
export function peerOfToken(token: string): string | undefined {
  const peer = claim(token, "peer");
  return typeof peer === "string" ? peer : undefined;
}

/** What it allows: `view`, `talk`, `control`, `files`; a token that is none of these says nothing of it. */
export function scopesOfToken(token: string): string[] {
  const scope = claim(token, "scope");
  return typeof scope === "string" ? scope.split(" ").filter((word) => word !== "") : [];
}

function claim(token: string, name: string): unknown {
  const claims = token.split(".")[1];
  if (claims === undefined) return undefined;
  try {
    const read: unknown = JSON.parse(atob(claims.replace(/-/g, "+").replace(/_/g, "/")));
    return typeof read === "object" && read !== null ? Object.entries(read).find(([key]) => key === name)?.[1] : undefined;
  } catch {
    // Any other kind of token: only the node can tell.
    return undefined;
  }
}
