/** Still pictures, as an application asks for them. */

import { ControlError } from "./control.ts";
import type { Input, Output } from "./core/io.ts";

/** Which picture. */
export interface SnapshotOptions {
  /** Of this camera; of the node's first one unless named. */
  readonly camera?: string;
  /** Pixels a line at most, 16 to 4096; as many as fit into a message unless given. */
  readonly width?: number;
  /** Bytes at most, 4096 to 48000, which it is unless given. */
  readonly maxBytes?: number;
}

interface Awaited {
  resolve(picture: Blob): void;
  reject(why: ControlError): void;
}

/** Who waits for which picture. */
export class Snapshots {
  private asks = 0;
  private readonly awaited = new Map<number, Awaited>();

  constructor(private readonly tell: (input: Input) => void) {}

  ask(options: SnapshotOptions): Promise<Blob> {
    this.asks += 1;
    const ask = this.asks;
    return new Promise((resolve, reject) => {
      this.awaited.set(ask, { resolve, reject });
      this.tell({ type: "snapshot", ask, ...options });
    });
  }

  take(output: Extract<Output, { type: "snapshot" }>): void {
    const awaited = this.awaited.get(output.ask);
    this.awaited.delete(output.ask);
    if ("failure" in output) {
      const { code, name, message } = output.failure;
      awaited?.reject(new ControlError(code, name, message));
      return;
    }
    try {
      awaited?.resolve(new Blob([bytesOf(output.picture.jpeg)], { type: "image/jpeg" }));
    } catch {
      awaited?.reject(new ControlError(10, "SyntaxError", "the node's picture could not be read"));
    }
  }
}

/** @throws {DOMException} where it is no base64. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
