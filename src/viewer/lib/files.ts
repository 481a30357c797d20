/** The node's files (PROTOCOL.md, section 9, `files`). */

import { ControlError } from "./control.ts";
import { type Opener, type Transfer, transferred } from "./transfer.ts";

/** One of the node's files. */
export interface FileInfo {
  /** Its name in the node's folder, without a path. */
  readonly name: string;
  /** How long it is. */
  readonly bytes: number;
  /** When it was written last, in seconds since 1970. */
  readonly modified: number;
}

/** A file that was fetched. */
export interface FetchedFile extends FileInfo {
  /** What is in it. */
  readonly blob: Blob;
  /** Of the whole file, in hex, as the node says it. */
  readonly sha256: string;
  /** Whether the bytes were held against it. Browsers can only on pages from https:// or this machine; elsewhere it is `false`. */
  readonly verified: boolean;
}

/** How a file is fetched. */
export interface FetchOptions {
  /** Told how much is there of how much. */
  readonly onprogress?: (received: number, bytes: number) => void;
  /** Ends it; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How long a session is waited for when one has broken, for each break: 60 s unless given. */
  readonly resumeWithinMs?: number;
}

/** What there is of a file so far. */
interface Begun {
  readonly info: FileInfo & { sha256: string };
  readonly pieces: Uint8Array<ArrayBuffer>[];
  received: number;
}

const RESUME_WITHIN_MS = 60_000;
/** Between two tries while there is no session. */
const AGAIN_MS = 500;
/** Errors after which the same may work over another session. */
const BROKEN = new Set(["AbortError", "InvalidStateError", "TimeoutError", "NetworkError"]);

/**
 * The files of a node, whose scope is `files`; that label has to be in the camera's `wants.channels`.
 *
 * ```ts
 * const files = new Files(camera);
 * for (const { name } of await files.list()) console.log(name);
 * const { blob } = await files.fetch("clip.mp4", { onprogress: (received, bytes) => { bar.value = received / bytes; } });
 * ```
 */
export class Files {
  constructor(private readonly camera: Opener) {}

  /**
   * All of them, by name.
   * @throws {ControlError} why they cannot be told.
   */
  list(): Promise<FileInfo[]> {
    return transferred(this.camera, "files", async (transfer) => {
      const all: FileInfo[] = [];
      for (let after: unknown = undefined; ; ) {
        const { files, next } = await transfer.ask({ do: "list", ...(after !== undefined && { after }) });
        if (!Array.isArray(files)) throw unreadable();
        all.push(...files.map(readInfo));
        if (next === undefined || files.length === 0) return all;
        after = next;
      }
    });
  }

  /**
   * One of them. Where the session breaks it goes on with the next one, from where it was; a file that is written anew meanwhile is
   * begun anew.
   * @throws {ControlError} why there is none; `DataError` where the bytes are not those of its hash.
   * @throws what `signal` says.
   */
  async fetch(name: string, { onprogress, signal, resumeWithinMs = RESUME_WITHIN_MS }: FetchOptions = {}): Promise<FetchedFile> {
    let partial: Begun | undefined;
    let brokenAt: number | undefined;
    for (;;) {
      signal?.throwIfAborted();
      const before = partial?.received ?? 0;
      try {
        const work = async (transfer: Transfer): Promise<FetchedFile> => {
          partial = await begin(transfer, name, partial);
          const file = partial;
          await transfer.bytes(file.info.bytes - file.received, (piece) => {
            file.pieces.push(piece);
            file.received += piece.length;
            onprogress?.(file.received, file.info.bytes);
          });
          return await finished(file);
        };
        return await transferred(this.camera, "files", work, signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof ControlError) || !BROKEN.has(error.name)) throw error;
        // What has brought something is no try in vain.
        if ((partial?.received ?? 0) > before) brokenAt = undefined;
        brokenAt ??= Date.now();
        if (Date.now() - brokenAt >= resumeWithinMs) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /**
   * Takes one away, for good.
   * @throws {ControlError} why it is still there.
   */
  delete(name: string): Promise<void> {
    return transferred(this.camera, "files", async (transfer) => {
      await transfer.ask({ do: "delete", name });
    });
  }
}

/** Asks on from what there is, or from the beginning where the file is another than before. */
async function begin(transfer: Transfer, name: string, partial: Begun | undefined): Promise<Begun> {
  if (partial !== undefined) {
    // A file that has become shorter has no such offset.
    const again = await transfer.ask({ do: "fetch", name, offset: partial.received }).catch((error: unknown) => {
      if (error instanceof ControlError && error.slug === "outOfRange") return undefined;
      throw error;
    });
    if (again?.["sha256"] === partial.info.sha256) return partial;
    // The rest of the other one comes all the same: it is passed over.
    if (again !== undefined) await transfer.bytes(readInfo(again).bytes - partial.received, () => undefined);
  }
  const header = await transfer.ask({ do: "fetch", name });
  const { sha256 } = header;
  if (typeof sha256 !== "string") throw unreadable();
  return { info: { ...readInfo(header), sha256 }, pieces: [], received: 0 };
}

async function finished({ info, pieces }: Begun): Promise<FetchedFile> {
  const blob = new Blob(pieces);
  // Only pages from a secure origin have it.
  const subtle = (globalThis.crypto as { readonly subtle?: SubtleCrypto } | undefined)?.subtle;
  if (subtle !== undefined) {
    const digest = new Uint8Array(await subtle.digest("SHA-256", await blob.arrayBuffer()));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex !== info.sha256) throw new ControlError(59, "DataError", "the bytes that came are not those of the file");
  }
  return { ...info, blob, verified: subtle !== undefined };
}

function readInfo(from: unknown): FileInfo {
  const { name, bytes, modified } = (typeof from === "object" && from !== null ? from : {}) as Record<string, unknown>;
  if (typeof name !== "string" || typeof bytes !== "number" || typeof modified !== "number") throw unreadable();
  return { name, bytes, modified };
}

function unreadable(): ControlError {
  return new ControlError(10, "SyntaxError", "the node's answer could not be read");
}
