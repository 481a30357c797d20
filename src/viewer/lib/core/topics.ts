/** Topic names: `{prefix}/{node}/status`, `…/in/{peer}`, `…/out/{peer}`. */

/** The prefix of all topics unless configured otherwise. */
export const DEFAULT_PREFIX = "camera-node/v1";

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const PREFIX = /^(?=.{1,64}$)[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)?$/;

/** The topics a viewer uses. */
export interface Topics {
  /** Who we are. */
  readonly peer: string;
  /** Presence of the node. */
  readonly status: string;
  /** From this peer to the node. */
  readonly toNode: string;
  /** From the node to this peer. */
  readonly toPeer: string;
}

/** Whether a text can be a node's or a peer's id. */
export function isId(text: string): boolean {
  return ID.test(text);
}

/** Whether a text can be a topic prefix: one or two plain levels, since brokers limit the slashes in a topic. */
export function isPrefix(text: string): boolean {
  return PREFIX.test(text);
}

/** The topics between `node` and `peer`. */
export function topicsOf(prefix: string, node: string, peer: string): Topics {
  const base = `${prefix}/${node}`;
  return { peer, status: `${base}/status`, toNode: `${base}/in/${peer}`, toPeer: `${base}/out/${peer}` };
}
