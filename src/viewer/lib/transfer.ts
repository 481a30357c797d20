/** Requests on a channel whose answers are followed by bytes (PROTOCOL.md, section 9, `snapshot` and `files`). */

import { ControlError, readControlError } from "./control.ts";

/** What a data channel must have for it. */
export interface ByteChannel {
  /** As of an `RTCDataChannel`: `"arraybuffer"` is set. */
  binaryType: string;
  /** Sends a request. */
  send(text: string): void;
  /** Ends it. */
  close(): void;
  /** Hears what the node says. */
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  /** Hears that it is over. */
  addEventListener(type: "close", listener: () => void): void;
}

/** What opens them: a `Camera`. */
export interface Opener {
  /** A new channel of this label, once it is open. */
  openChannel(label: string): Promise<ByteChannel>;
}

/** Nothing that the node does between two messages takes so long: a camera is opened in two seconds, a file is hashed in a few. */
const SILENT_MS = 30_000;

/** One channel of ours, from its opening to its end. */
export class Transfer {
  private readonly heard: (string | Uint8Array<ArrayBuffer>)[] = [];
  private over: ControlError | undefined;
  private wake: () => void = () => undefined;

  constructor(
    private readonly channel: ByteChannel,
    private readonly silentMs = SILENT_MS,
  ) {
    channel.binaryType = "arraybuffer";
    channel.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.heard.push(data);
      else if (data instanceof ArrayBuffer) this.heard.push(new Uint8Array(data));
      this.wake();
    });
    channel.addEventListener("close", () => {
      this.end(new ControlError(59, "AbortError", "The channel was closed before all had come."));
    });
  }

  /**
   * Asks, and gives what is answered.
   * @throws {ControlError} why there is none.
   */
  async ask(request: unknown): Promise<Record<string, unknown>> {
    try {
      this.channel.send(JSON.stringify(request));
    } catch {
      // It is closing: the event comes.
    }
    const said = await this.next();
    const answer: unknown = typeof said === "string" ? parsed(said) : undefined;
    if (typeof answer !== "object" || answer === null) throw unreadable();
    const { error } = answer as Record<string, unknown>;
    if (error !== undefined) throw readControlError(error) ?? unreadable();
    return answer as Record<string, unknown>;
  }

  /**
   * The bytes that come next, as many as were announced, piece by piece.
   * @throws {ControlError} when they do not come.
   */
  async bytes(count: number, piece: (bytes: Uint8Array<ArrayBuffer>) => void): Promise<void> {
    for (let left = count; left > 0; ) {
      const said = await this.next();
      if (typeof said === "string" || said.length > left) throw unreadable();
      left -= said.length;
      piece(said);
    }
  }

  /** Enough of it. */
  end(why: ControlError = new ControlError(59, "AbortError", "It was given up.")): void {
    this.over ??= why;
    this.channel.close();
    this.wake();
  }

  private async next(): Promise<string | Uint8Array<ArrayBuffer>> {
    for (;;) {
      const said = this.heard.shift();
      if (said !== undefined) return said;
      if (this.over !== undefined) throw this.over;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          this.end(new ControlError(51, "TimeoutError", "The node has said nothing for too long."));
        }, this.silentMs);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreadable(): ControlError {
  return new ControlError(10, "SyntaxError", "the node's answer could not be read");
}

/**
 * Opens a channel for this work, and closes it after, or when `signal` says so.
 * @throws what `signal` says, or `work`.
 */
export async function transferred<T>(opener: Opener, label: string, work: (transfer: Transfer) => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  const transfer = new Transfer(await opener.openChannel(label));
  const abort = (): void => {
    transfer.end();
  };
  signal?.addEventListener("abort", abort);
  try {
    signal?.throwIfAborted();
    return await work(transfer);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    transfer.end();
  }
}
