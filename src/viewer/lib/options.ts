/** What a {@link Camera} is told at its beginning. */

import type { Wants } from "./core/message.ts";
import { isId, isPrefix } from "./core/topics.ts";
import type { Connect } from "./link.ts";

/** What to watch, and how to get there. */
export interface CameraOptions {
  /** The broker's address, `wss://…` or `ws://…`. Either this or {@link connect}. */
  broker?: string;
  /**
   * Asked before every connection, the first one and each after it, for addresses and passwords that are good for a while
   * only. Its `clientId` should stay the same: the node knows the viewer by it, and another one begins another session.
   */
  connect?: Connect;
  /** The node's id. */
  node: string;
  /** Of all topics; `camera-node/v1` unless the node is configured otherwise. */
  prefix?: string;
  /** Picture and sound of all cameras when absent. */
  wants?: Wants;
  /**
   * Where the node asks for one. A function is asked before each session, and again a minute before the token ends if it is
   * a JWT that says when: the session then goes on with the new one.
   */
  token?: string | (() => string | undefined | Promise<string | undefined>);
  /**
   * How many milliseconds the browser is asked to buffer, 0 when absent: least delay, at the cost of a short stutter
   * whenever the network's delay jumps. 100 to 200 gives calmer pictures over mobile networks.
   */
  bufferMs?: number;
}

/** @throws {TypeError} when node or prefix cannot stand in a topic, or there is no way to a broker. */
export function check({ node, broker, connect }: CameraOptions, prefix: string): void {
  if (!isId(node)) throw new TypeError(`a node's id is 1 to 64 of A-Z, a-z, 0-9, "_" and "-", not "${node}"`);
  if (!isPrefix(prefix)) throw new TypeError(`a prefix is one or two levels of plain letters, not "${prefix}"`);
  if (broker === undefined && connect === undefined) throw new TypeError("a camera needs broker or connect");
}
