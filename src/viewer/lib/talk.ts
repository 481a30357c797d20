/**
 * What we say: the browser's microphone, on its way into whatever session there is. It is asked for when somebody talks and
 * let go a little after that; no session has to be agreed on anew for it.
 */

import { wordsForLack } from "./secure.ts";

/** Why nobody is heard. */
export type TalkTrouble = "noSpeaker" | "insecure" | "refused" | "noMicrophone" | "busy" | "failed";

/** Whether we talk. */
export interface TalkState {
  /** `off`: no session takes sound now; `ready`: one does; `asking`: the browser is asked for the microphone; `on`: we are heard. */
  readonly state: "off" | "ready" | "asking" | "on";
  /** Why the last try came to nothing, for programs and for people. */
  readonly trouble?: TalkTrouble;
  /** The trouble in words for people. */
  readonly text?: string;
}

/** The part of `RTCRtpSender` that is needed. */
export type Sender = Pick<RTCRtpSender, "replaceTrack">;

const SAID: { readonly [T in TalkTrouble]: string } = {
  noSpeaker: "Nobody can be heard at this camera now: it has no speaker, or you are not connected.",
  insecure: "",
  refused: "Your browser does not let this page use the microphone. Allow it in the settings beside the page's address.",
  noMicrophone: "There is no microphone. Plug one in, and try again.",
  busy: "The microphone is in use by another program.",
  failed: "The microphone cannot be used.",
};

/** Who presses again soon does not want to wait for the microphone. */
const KEEP_MS = 5_000;
/** The level is shown from here (in dB, where 0 is the loudest there is) up to -10. */
const QUIET_DB = -55;
const LOUD_DB = -10;

const CONSTRAINTS = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** The microphone. Made by a {@link Camera}. */
export class Talk {
  private sender: Sender | undefined;
  private microphone: MediaStreamTrack | undefined;
  private meter: { context: AudioContext; analyser: AnalyserNode; samples: Float32Array<ArrayBuffer> } | undefined;
  private wanted = false;
  private current: TalkState = { state: "off" };
  /** Of the latest wish; what comes of an earlier one is not wanted any more. */
  private turn = 0;
  private letGo: ReturnType<typeof setTimeout> | undefined;

  /** @internal */
  constructor(
    private readonly told: (state: TalkState) => void,
    private readonly keepMs = KEEP_MS,
  ) {}

  /** What it does now; `talk` events tell of each change. */
  get state(): TalkState {
    return this.current;
  }

  /** How loud we are now, from 0 to 1. */
  get level(): number {
    if (this.current.state !== "on" || this.meter === undefined) return 0;
    const { analyser, samples } = this.meter;
    analyser.getFloatTimeDomainData(samples);
    return levelOf(samples);
  }

  /**
   * Begins to talk, with this microphone or the browser's own choice. What comes of it is told by `talk` events, and
   * whether we are heard in the end by what this resolves to.
   */
  async start(deviceId?: string): Promise<boolean> {
    const turn = this.begin();
    if (this.sender === undefined) return this.failed("noSpeaker");
    return (await this.open(turn, deviceId)) && this.connect(turn);
  }

  /**
   * Opens the microphone at once, and talks as soon as a session takes sound: for the tap that answers or makes a call, which is
   * the moment to ask. Resolves to whether there is a microphone; {@link end} lets it go where nothing came of the call.
   */
  async startSoon(deviceId?: string): Promise<boolean> {
    const turn = this.begin();
    if (!(await this.open(turn, deviceId))) return false;
    if (this.sender !== undefined) return this.connect(turn);
    this.tell({ state: "off" });
    return true;
  }

  /** Is silent again. */
  stop(): void {
    this.turn += 1;
    this.wanted = false;
    void this.sender?.replaceTrack(null).catch(() => undefined);
    if (this.current.state !== "off") this.tell({ state: this.sender === undefined ? "off" : "ready" });
    clearTimeout(this.letGo);
    if (this.microphone !== undefined) {
      this.letGo = setTimeout(() => {
        this.release();
      }, this.keepMs);
    }
  }

  /**
   * A session takes sound, or does not any more; who talks goes on with the next.
   * @internal
   */
  use(sender: Sender | undefined): void {
    if (sender === this.sender) return;
    this.sender = sender;
    if (sender === undefined) this.tell({ state: "off" });
    else if (this.wanted && this.microphone?.readyState === "live") void this.connect(this.turn);
    // Who is asked for it still talks when it is there.
    else this.tell({ state: this.wanted ? "asking" : "ready" });
  }

  /** Nobody talks any more, whatever comes. */
  end(): void {
    this.stop();
    clearTimeout(this.letGo);
    this.release();
  }

  private begin(): number {
    clearTimeout(this.letGo);
    return (this.turn += 1);
  }

  /** Sees to it that there is a microphone; false where there is none, or nobody wants it any more. */
  private async open(turn: number, deviceId: string | undefined): Promise<boolean> {
    const { mediaDevices } = navigator as { mediaDevices?: MediaDevices };
    if (mediaDevices === undefined || !("getUserMedia" in mediaDevices)) return this.failed("insecure");
    this.wanted = true;
    const isOpen = this.microphone?.readyState === "live" && (deviceId === undefined || this.microphone.getSettings().deviceId === deviceId);
    if (isOpen) return true;
    this.tell({ state: "asking" });
    const audio = { ...CONSTRAINTS, ...(deviceId !== undefined && { deviceId: { exact: deviceId } }) };
    let stream: MediaStream;
    try {
      stream = await mediaDevices.getUserMedia({ audio });
    } catch (error) {
      if (turn === this.turn) this.failed(troubleOf(error));
      return false;
    }
    const [track] = stream.getAudioTracks();
    if (turn !== this.turn || track === undefined) {
      for (const each of stream.getTracks()) each.stop();
      return false;
    }
    this.release();
    this.take(track, stream);
    return true;
  }

  private async connect(turn: number): Promise<boolean> {
    const { sender, microphone } = this;
    if (sender === undefined || microphone === undefined) return this.failed("noSpeaker");
    try {
      await sender.replaceTrack(microphone);
    } catch {
      // The session has ended meanwhile, and says so itself.
      return false;
    }
    if (turn !== this.turn) {
      if (!this.wanted) void sender.replaceTrack(null).catch(() => undefined);
      return false;
    }
    this.tell({ state: "on" });
    return true;
  }

  private take(track: MediaStreamTrack, stream: MediaStream): void {
    this.microphone = track;
    track.addEventListener("ended", () => {
      // It was unplugged, or the person has taken it back.
      if (this.microphone !== track) return;
      this.release();
      if (!this.wanted) return;
      this.turn += 1;
      this.wanted = false;
      this.failed("noMicrophone");
    });
    if (typeof AudioContext === "undefined") return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1_024;
    context.createMediaStreamSource(stream).connect(analyser);
    this.meter = { context, analyser, samples: new Float32Array(analyser.fftSize) };
  }

  private release(): void {
    this.microphone?.stop();
    this.microphone = undefined;
    void this.meter?.context.close().catch(() => undefined);
    this.meter = undefined;
  }

  private failed(trouble: TalkTrouble): false {
    this.wanted = false;
    const text = trouble === "insecure" ? wordsForLack("microphone") : SAID[trouble];
    this.tell({ state: this.sender === undefined ? "off" : "ready", trouble, text });
    return false;
  }

  private tell(state: TalkState): void {
    this.current = state;
    this.told(state);
  }
}

/** The error of `getUserMedia` as a trouble. */
function troubleOf(error: unknown): TalkTrouble {
  switch (error instanceof Error || error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "refused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "noMicrophone";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "failed";
  }
}

/** How loud samples are, from 0 (quiet) to 1 (loud). */
export function levelOf(samples: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < samples.length; i += 1) sum += (samples[i] ?? 0) ** 2;
  const db = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB)));
}
