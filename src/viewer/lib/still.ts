/** A still picture at full size, over the channel `snapshot` of a session. */

import { ControlError } from "./control.ts";
import { type Opener, transferred } from "./transfer.ts";

/** Which picture. */
export interface StillOptions {
  /** Of this camera; of the node's first one unless named. */
  readonly camera?: string;
  /** Pixels a line at most, 16 to 4096; the camera's own unless given. */
  readonly width?: number;
  /** 1 to 100; 85 unless given. */
  readonly quality?: number;
}

/**
 * The camera as it is now, as JPEG, at its full size; `snapshot` has to be in `wants.channels`. `Camera.snapshot` needs no session,
 * and gives as much as fits into a message.
 * @throws {ControlError} why there is none.
 */
export function fullSnapshot(camera: Opener, options: StillOptions = {}): Promise<Blob> {
  return transferred(camera, "snapshot", async (transfer) => {
    const { bytes } = await transfer.ask(options);
    if (typeof bytes !== "number") throw new ControlError(10, "SyntaxError", "the node's answer could not be read");
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    await transfer.bytes(bytes, (piece) => pieces.push(piece));
    return new Blob(pieces, { type: "image/jpeg" });
  });
}
