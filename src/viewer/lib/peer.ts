/** One `RTCPeerConnection`: performs the core's commands one after the other and reports what happens. */

import type { Candidate, IceServer, Mid } from "./core/message.ts";
import type { PeerCommand, PeerEvent } from "./core/session.ts";
import type { ErrorSlug } from "./core/errors.ts";

/** What a connection reports beside {@link PeerEvent}s. */
export interface PeerListener {
  event(event: PeerEvent): void;
  track(track: MediaStreamTrack, mid: Mid): void;
  channel(channel: RTCDataChannel): void;
  /** What this sender sends is heard at the camera. */
  voice(sender: RTCRtpSender): void;
}

export class Peer {
  private pc: RTCPeerConnection | undefined;
  private mids: Record<string, Mid> = {};
  /** Commands run one after the other, each may wait for the browser. */
  private queue: Promise<void> = Promise.resolve();
  /** Candidates found while a description of ours is still being made. */
  private held: RTCIceCandidate[] | undefined;
  private closed = false;

  constructor(
    private readonly listener: PeerListener,
    /** How much the browser is asked to buffer. */
    private readonly bufferMs: number,
    /** Made in advance by {@link newConnection}. */
    private readonly spare?: RTCPeerConnection,
  ) {}

  /** Does what the core asks; what cannot be done is reported as failed. */
  perform(command: PeerCommand): void {
    if (command.do === "close") {
      this.close();
      return;
    }
    this.queue = this.queue.then(async () => {
      if (this.closed) return;
      try {
        await this.run(command);
      } catch (error) {
        const step = error instanceof StepError ? error.step : "internal";
        this.report({ type: "failed", step, message: error instanceof Error ? error.message : String(error) });
      }
    });
  }

  /** Ends it; nothing is reported any more. */
  close(): void {
    this.closed = true;
    this.pc?.close();
    this.spare?.close();
  }

  /** A channel of ours; only in a session that was offered with a section for channels. */
  openChannel(label: string, init: RTCDataChannelInit | undefined): RTCDataChannel | undefined {
    const { pc } = this;
    if (this.closed || pc === undefined || pc.sctp === null) return undefined;
    return pc.createDataChannel(label, init);
  }

  async stats(): Promise<RTCStatsReport | undefined> {
    if (this.closed) return undefined;
    return this.pc?.getStats();
  }

  private async run(command: Exclude<PeerCommand, { do: "close" }>): Promise<void> {
    switch (command.do) {
      case "open":
        this.open(command.iceServers);
        break;
      case "configure":
        useServers(this.connection(), command.iceServers);
        break;
      case "answer":
        await this.answer(command.sdp, command.mids);
        break;
      case "restart":
        await this.restart();
        break;
      case "accept":
        await step("remoteDescriptionFailed", this.connection().setRemoteDescription({ type: "answer", sdp: command.sdp }));
        break;
      case "rollback":
        await step("localDescriptionFailed", this.connection().setLocalDescription({ type: "rollback" }));
        break;
      case "addCandidates":
        await this.addCandidates(command.candidates, command.complete);
        break;
    }
  }

  private connection(): RTCPeerConnection {
    if (this.pc === undefined) throw new StepError("internal", "there is no connection yet");
    return this.pc;
  }

  private open(iceServers: IceServer[]): void {
    const pc = this.spare ?? newConnection();
    if (pc === undefined) throw new StepError("internal", NO_WEBRTC);
    this.pc = pc;
    useServers(pc, iceServers);
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate !== null && this.held !== undefined) this.held.push(candidate);
      else if (candidate !== null) this.found([candidate]);
      else this.report({ type: "candidates", candidates: [], complete: true });
    });
    pc.addEventListener("connectionstatechange", () => {
      switch (pc.connectionState) {
        case "connected":
          this.report({ type: "connected" });
          break;
        case "disconnected":
          this.report({ type: "silent" });
          break;
        case "failed":
          // DTLS that the other side has closed counts as failed in some browsers.
          if (this.dtlsState() === "closed") this.report({ type: "closed" });
          else if (this.dtlsState() === "failed") this.report({ type: "failed", step: "internal", message: "encryption failed" });
          else this.report({ type: "failed", step: "iceFailed", message: "no network path, or it was lost" });
          break;
        case "closed":
          this.report({ type: "closed" });
          break;
        case "new":
        case "connecting":
          break;
      }
    });
    pc.addEventListener("track", ({ track, receiver, transceiver }) => {
      this.keepBufferShort(receiver);
      const mid = transceiver.mid === null ? undefined : this.mids[transceiver.mid];
      if (mid !== undefined) this.listener.track(track, mid);
    });
    pc.addEventListener("datachannel", ({ channel }) => {
      this.listener.channel(channel);
    });
  }

  private async answer(sdp: string, mids: Record<string, Mid>): Promise<void> {
    const pc = this.connection();
    this.mids = mids;
    await step("remoteDescriptionFailed", pc.setRemoteDescription({ type: "offer", sdp }));
    const dtls = pc.getReceivers()[0]?.transport ?? pc.sctp?.transport;
    if (dtls) {
      dtls.onstatechange = () => {
        if (dtls.state === "closed") this.report({ type: "closed" });
      };
    }
    const voice = pc.getTransceivers().find(({ mid }) => mid !== null && mids[mid]?.talk === true);
    // Both ways, as far as the node's offer goes; what is sent can begin and end without another offer.
    if (voice !== undefined) voice.direction = "sendrecv";
    const answer = await step("answerFailed", pc.createAnswer());
    const refused = refusedSection(answer.sdp ?? "", mids);
    if (refused !== undefined) throw new StepError("noCommonCodec", `the browser refused the ${refused}`);
    await this.describe("answered", answer);
    if (voice !== undefined && !this.closed) this.listener.voice(voice.sender);
  }

  /** Offers new ICE credentials; the path there is stays until the node has answered. */
  private async restart(): Promise<void> {
    const offer = await step("offerFailed", this.connection().createOffer({ iceRestart: true }));
    await this.describe("offered", offer);
  }

  private async describe(type: "answered" | "offered", description: RTCSessionDescriptionInit): Promise<void> {
    const pc = this.connection();
    const held: RTCIceCandidate[] = [];
    this.held = held;
    await step("localDescriptionFailed", pc.setLocalDescription(description));
    this.held = undefined;
    // The description goes first and at once: the node's checks need not wait for our gathering.
    this.report({ type, sdp: pc.localDescription?.sdp ?? "" });
    if (held.length > 0) this.found(held);
  }

  private async addCandidates(candidates: Candidate[], complete: boolean): Promise<void> {
    for (const candidate of candidates) {
      // One that this browser cannot use, such as TCP or IPv6 where there is none, is no reason to fail.
      await this.connection().addIceCandidate(addressed(candidate)).catch(() => undefined);
    }
    // Some browsers take the end of candidates as an error; they do without.
    if (complete) await this.connection().addIceCandidate().catch(() => undefined);
  }

  private found(candidates: RTCIceCandidate[]): void {
    const said = candidates.map((each): Candidate => {
      const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = each;
      return {
        candidate,
        ...(sdpMid !== null && { sdpMid }),
        ...(sdpMLineIndex !== null && { sdpMLineIndex }),
        ...(usernameFragment !== null && { usernameFragment }),
      };
    });
    this.report({ type: "candidates", candidates: said.filter((each) => each.candidate !== ""), complete: false });
  }

  /**
   * Asks for the shortest buffer. The browser still grows it as far as jitter makes it: what is given up is the
   * reserve that would hide the first burst of delay, seen as one short stutter instead of a lasting delay.
   */
  private keepBufferShort(receiver: RTCRtpReceiver): void {
    const target: { jitterBufferTarget?: number | null; playoutDelayHint?: number } = receiver;
    if ("jitterBufferTarget" in receiver) target.jitterBufferTarget = this.bufferMs;
    else if ("playoutDelayHint" in receiver) target.playoutDelayHint = this.bufferMs / 1_000;
  }

  private dtlsState(): RTCDtlsTransportState | undefined {
    return this.pc?.getReceivers()[0]?.transport?.state ?? this.pc?.sctp?.transport.state;
  }

  private report(event: PeerEvent): void {
    if (!this.closed) this.listener.event(event);
  }
}

/** Whether this browser has WebRTC at all; it can be switched off. */
export function hasWebRtc(): boolean {
  return typeof RTCPeerConnection !== "undefined";
}

/** What is said where it has none. */
export const NO_WEBRTC = "this browser has no WebRTC, or it is switched off";

/** A connection for later: to make the first one takes the browser a while, in which the broker can be reached. */
export function newConnection(): RTCPeerConnection | undefined {
  return !hasWebRtc() ? undefined : new RTCPeerConnection({ bundlePolicy: "max-bundle" });
}

function useServers(pc: RTCPeerConnection, iceServers: IceServer[]): void {
  // What is not named again would be set back, which is forbidden.
  pc.setConfiguration({ ...pc.getConfiguration(), iceServers });
}

/** A step that failed, in the words of the protocol. */
class StepError extends Error {
  constructor(
    readonly step: ErrorSlug,
    message: string,
  ) {
    super(message);
  }
}

async function step<T>(slug: ErrorSlug, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new StepError(slug, error instanceof Error ? error.message : String(error));
  }
}

/** A candidate needs to name its section; one that does not is for the first, as everything is bundled. */
function addressed(candidate: Candidate): RTCIceCandidateInit {
  return candidate.sdpMid === undefined && candidate.sdpMLineIndex === undefined ? { ...candidate, sdpMLineIndex: 0 } : candidate;
}

/** What of the node's picture or sound an answer refuses (port 0), if the session would be pointless without it. */
export function refusedSection(sdp: string, mids: Record<string, Mid>): string | undefined {
  const refused: string[] = [];
  let taken = 0;
  for (const section of sdp.split(/^m=/m).slice(1)) {
    const mid = /^a=mid:(\S+)/m.exec(section)?.[1];
    const kind = mid === undefined ? undefined : mids[mid]?.kind;
    if (kind === undefined) continue;
    if (/^\S+ 0 /.test(section)) refused.push(kind === "video" ? "picture (H.264)" : "sound (Opus)");
    else if (kind === "video" || Object.values(mids).every((each) => each.kind === "audio")) taken += 1;
  }
  return taken === 0 ? refused[0] : undefined;
}
