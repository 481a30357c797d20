/** A still picture at full size, over the channel `snapshot` of a session. */

import { ControlError } from "./control.ts";
import { type Opener, type Transfer, transferred } from "./transfer.ts";

/** Which picture. */
export interface StillOptions {
  /** Of this camera; of the node's first one unless named. */
  readonly camera?: string;
  /** Pixels a line at most, 16 to 4096; the camera's own unless given. */
  readonly width?: number;
  /** 1 to 100; 85 unless given. */
  readonly quality?: number;
  /** Ends it; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * The camera as it is now, as JPEG, at its full size; `snapshot` has to be in `wants.channels`. `Camera.snapshot` needs no session,
 * and gives as much as fits into a message.
 * @throws {ControlError} why there is none.
 * @throws what `signal` says.
 */
export function fullSnapshot(camera: Opener, { signal, ...asked }: StillOptions = {}): Promise<Blob> {
  const work = async (transfer: Transfer): Promise<Blob> => {
    const { bytes } = await transfer.ask(asked);
    if (typeof bytes !== "number") throw new ControlError(10, "SyntaxError", "the node's answer could not be read");
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    await transfer.bytes(bytes, (piece) => pieces.push(piece));
    return new Blob(pieces, { type: "image/jpeg" });
  };
  return transferred(camera, "snapshot", work, signal);
}
