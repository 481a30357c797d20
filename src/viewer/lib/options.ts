/** What a {@link Camera} is told at its beginning. */

import type { Wants } from "./core/message.ts";
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
