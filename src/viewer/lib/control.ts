/** Requests to the node over the channel `control` (PROTOCOL.md, section 9). */

/** Why a request was not done, or a channel was closed. */
export class ControlError extends Error {
  constructor(
    /** The number of the protocol's table of errors (PROTOCOL.md, sections 6 and 9). */
    readonly code: number,
    /** A W3C DOMException name; `AbortError` when the channel closed first, `TimeoutError` when no answer came. */
    override readonly name: string,
    message: string,
    /** What the value must lie in, where that was wrong. */
    readonly range?: Range,
  ) {
    super(message);
  }

  /** The error's name in the protocol's table. */
  get slug(): ControlErrorSlug | undefined {
    return SLUGS.find(([code]) => code === this.code)?.[1];
  }
}

/** What can go wrong with a request or a channel, by its number. */
const SLUGS = [
  [10, "badMessage"],
  [12, "unsupported"],
  [20, "notAllowed"],
  [21, "tokenMissing"],
  [22, "tokenExpired"],
  [23, "tokenNotYetValid"],
  [24, "clockUnknown"],
  [25, "busy"],
  [26, "rateLimited"],
  [30, "noSuchCamera"],
  [31, "cameraAway"],
  [32, "cameraFailed"],
  [33, "cameraShut"],
  [51, "timedOut"],
  [59, "internal"],
  [60, "noSuchControl"],
  [61, "outOfRange"],
  [62, "notSettable"],
  [70, "noSuchChannel"],
  [71, "tooManyChannels"],
  [72, "messageTooLong"],
  [73, "appAway"],
  [74, "notRead"],
  [80, "noSuchFile"],
  [81, "fileFailed"],
] as const;

/** The names of the errors that a request or a channel can end with. */
export type ControlErrorSlug = (typeof SLUGS)[number][1];

/** What a value must lie in. */
export interface Range {
  /** The least. */
  readonly minimum: number;
  /** The most. */
  readonly maximum: number;
  /** Between two values. */
  readonly step: number;
}

/** One of a camera's own controls, as its driver has it. */
export interface CameraControl extends Range {
  /** For `camera.setControl`: V4L2's number. */
  readonly id: number;
  /** As the driver calls it. */
  readonly name: string;
  /** What it is to touch: a slider, a switch, a menu, a button. */
  readonly kind: "integer" | "boolean" | "menu" | "button";
  /** What it is unless somebody sets it. */
  readonly default: number;
  /** What it is now; absent for a button. */
  readonly value?: number;
  /** What a menu offers. */
  readonly items?: readonly { readonly value: number; readonly name: string }[];
  /** Whether it can only be looked at. */
  readonly readOnly: boolean;
  /** Held by another control, such as an automatic mode. */
  readonly inactive: boolean;
}

/** What is asked of a camera. */
export interface CameraSettings {
  /** Pixels a line. */
  readonly width: number;
  /** Lines. */
  readonly height: number;
  /** Pictures a second, at most. */
  readonly fps: number;
  /** Thousands of bits a second, at most. */
  readonly bitrateKbps: number;
  /** What each may be. */
  readonly limits: Readonly<Record<"width" | "height" | "fps" | "bitrateKbps", Range>>;
  /** The sizes that the camera delivers, where it tells them. */
  readonly sizes?: readonly { readonly width: number; readonly height: number }[];
}

/** What there is at the node. */
export interface Description {
  /** Of the node's program. */
  readonly version: string;
  /** What may be asked for, and the scope that a token needs for it. */
  readonly methods: readonly { readonly name: string; readonly scope: string }[];
  /** The cameras, and how each is set. */
  readonly cameras: readonly {
    readonly name: string;
    readonly privacy: boolean;
    /** Only where there is a microphone. */
    readonly muted?: boolean;
    readonly settings?: CameraSettings;
  }[];
  /** Labels of channels that lead to programs beside the node. */
  readonly apps: readonly string[];
}

/** Which camera, by its name in the node's status. */
interface OfCamera {
  camera: string;
}

/** The methods, each with its params and what it gives. */
export interface ControlMethods {
  /** What there is at the node. */
  describe: { params: Record<string, never>; result: Description };
  /** A camera's own controls, a message full of them; `next` is the `after` of the rest. See {@link Control.controls}. */
  "camera.controls": { params: OfCamera & { after?: number }; result: { controls: CameraControl[]; next?: number } };
  /** Sets one of them, or presses a button (no `value`): it, and those that have changed with it. */
  "camera.setControl": { params: OfCamera & { id: number; value?: number | boolean }; result: { controls: CameraControl[] } };
  /** Size, rate and bit rate, and what they may be. */
  "camera.settings": { params: OfCamera; result: CameraSettings };
  /** Changes them for everybody: pictures stand for a moment. */
  "camera.setSettings": {
    params: OfCamera & { width?: number; height?: number; fps?: number; bitrateKbps?: number };
    result: CameraSettings;
  };
  /** Asks for a whole picture now. */
  "camera.keyFrame": { params: OfCamera; result: Record<string, never> };
  /** Mutes the microphone for everybody; `kept` is whether a restart will remember it. */
  "camera.mute": { params: OfCamera & { muted: boolean }; result: { muted: boolean; kept: boolean } };
  /** Shuts camera and microphone for everybody, or opens them; `kept` is whether a restart will remember it. */
  "camera.privacy": { params: OfCamera & { on: boolean }; result: { privacy: boolean; kept: boolean } };
  /** Ends the node's process, so that it is started anew. */
  "node.restart": { params: Record<string, never>; result: Record<string, never> };
}

/** What a data channel must have for requests to go over it. */
export interface ControlChannel {
  send(text: string): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(type: "close", listener: () => void): void;
}

/** The node's limit on requests that wait for their answers; more wait here. */
const MAX_IN_FLIGHT = 8;
/** A camera that is opened anew may take the node ten. */
const TIMEOUT_MS = 15_000;

interface Waiting {
  readonly text: string;
  readonly done: (result: unknown) => void;
  readonly failed: (error: ControlError) => void;
}

/** The way to ask. Over with its channel: `Camera` gives another one with the next session. */
export class Control {
  private next = 1;
  private readonly inFlight = new Map<number, Waiting>();
  private readonly queue: { id: number; waiting: Waiting }[] = [];
  private closed = false;

  /** @internal */
  constructor(
    private readonly channel: ControlChannel,
    /** Told what the node says unasked. */
    private readonly event: (name: string, params: unknown) => void = () => undefined,
  ) {
    channel.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.heard(data);
    });
    channel.addEventListener("close", () => {
      this.close();
    });
  }

  /**
   * Asks, and waits for the answer.
   * @throws {ControlError} what the node answers, `TimeoutError`, or `AbortError` when the channel is closed.
   */
  request<M extends keyof ControlMethods>(
    method: M,
    params: ControlMethods[M]["params"],
    { timeoutMs = TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<ControlMethods[M]["result"]> {
    return new Promise((resolve, reject: (error: ControlError) => void) => {
      if (this.closed) {
        reject(closedError());
        return;
      }
      const id = this.next++;
      const timer = setTimeout(() => {
        this.forget(id);
        reject(new ControlError(51, "TimeoutError", `${method}: no answer within ${timeoutMs / 1_000} s`));
      }, timeoutMs);
      const waiting: Waiting = {
        text: JSON.stringify({ id, method, params }),
        done: (result) => {
          clearTimeout(timer);
          resolve(result as ControlMethods[M]["result"]);
        },
        failed: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.queue.push({ id, waiting });
      this.flush();
    });
  }

  /** All controls of a camera, however many messages that takes. */
  async controls(camera: string): Promise<CameraControl[]> {
    const all: CameraControl[] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: ControlMethods["camera.controls"]["result"] = await this.request("camera.controls", { camera, after });
      all.push(...page.controls);
      after = page.next;
    }
    return all;
  }

  private flush(): void {
    while (this.inFlight.size < MAX_IN_FLIGHT) {
      const first = this.queue.shift();
      if (first === undefined) return;
      this.inFlight.set(first.id, first.waiting);
      try {
        this.channel.send(first.waiting.text);
      } catch {
        // It is closing: the event comes.
        return;
      }
    }
  }

  private forget(id: number): Waiting | undefined {
    const queued = this.queue.findIndex((each) => each.id === id);
    if (queued >= 0) this.queue.splice(queued, 1);
    const waiting = this.inFlight.get(id);
    this.inFlight.delete(id);
    this.flush();
    return waiting;
  }

  private heard(text: string): void {
    const said = objectOf(text);
    if (typeof said["event"] === "string") this.event(said["event"], said["params"]);
    const id = said["id"];
    if (typeof id !== "number") return;
    const waiting = this.forget(id);
    const failure = readControlError(said["error"]);
    if (failure !== undefined) waiting?.failed(failure);
    else waiting?.done(said["result"]);
  }

  private close(): void {
    this.closed = true;
    for (const { failed } of [...this.inFlight.values(), ...this.queue.map(({ waiting }) => waiting)]) failed(closedError());
    this.inFlight.clear();
    this.queue.length = 0;
  }
}

function closedError(): ControlError {
  return new ControlError(59, "AbortError", "The connection to the camera ended before the answer came.");
}

/** An error as the node says it. */
export function readControlError(from: unknown): ControlError | undefined {
  if (typeof from !== "object" || from === null) return undefined;
  const { code, name, message, range } = from as Record<string, unknown>;
  if (typeof code !== "number" || typeof name !== "string" || typeof message !== "string") return undefined;
  return new ControlError(code, name, message, range as Range | undefined);
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === "object" && read !== null ? (read as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
