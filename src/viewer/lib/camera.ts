/** The library's face: one {@link Camera} watches one node. It tells the core what happens, and does what the core wants done. */

import { followAttention } from "./attention.ts";
import { IncomingCall } from "./calls.ts";
import { Channels } from "./channels.ts";
import type { CameraEvent, CameraEvents, CameraState } from "./camera-events.ts";
import { type Control, ControlError } from "./control.ts";
import type { Input, Output, RegistrationState } from "./core/io.ts";
import type { Mid, Status } from "./core/message.ts";
import { DEFAULT_PREFIX, topicsOf } from "./core/topics.ts";
import { peerOfToken } from "./core/token.ts";
import { Viewer } from "./core/viewer.ts";
import { Emitter } from "./emitter.ts";
import { peerId } from "./identity.ts";
import { type Endpoint, Link } from "./link.ts";
import { type CameraOptions, check } from "./options.ts";
import { hasWebRtc, newConnection, NO_WEBRTC, Peer } from "./peer.ts";
import { type SnapshotOptions, Snapshots } from "./snapshots.ts";
import type { Stats } from "./stats.ts";
import { Talk } from "./talk.ts";
import { Tally } from "./tally.ts";
import { tokenFrom } from "./tokens.ts";
import { wordsFor } from "./words.ts";
import { chance, lifeOf, wallClock } from "./world.ts";

/** Steps kept in {@link Camera.events}. */
const MAX_EVENTS = 500;
/** Browsers keep a timer's time in 32 bits, and fire at once what is later. A core that is woken too early sleeps on. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Watches one node, calls it and is called by it; begins with {@link Camera.start}, and tells of everything by events. */
export class Camera extends Emitter<CameraEvents> {
  /** The microphone, heard at the camera if `wants.talk` was granted; `talk` events tell what it does. */
  readonly talk = new Talk((state) => {
    this.emit("talk", state);
  });
  private readonly snapshots = new Snapshots(this.tell.bind(this));
  private readonly core: Viewer;
  private readonly link: Link;
  private spare: RTCPeerConnection | undefined;
  private peer: { session: string; connection: Peer; channels: Channels; tally: Tally } | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly log: CameraEvent[] = [];
  private readonly watchesMedia: boolean;
  private stopAttending: (() => void) | undefined;
  private current: CameraState = { ...wordsFor({ state: "idle", reason: "stopped" }), state: "idle", reason: "stopped" };
  private readonly playing = new Map<string, MediaStream>();
  private asks: Control | undefined;
  /** When the latest token that was asked for ends, as `Date.now()` counts. */
  private tokenEnds: number | undefined;
  private performing = false;
  /** The page is being left: there is no later. */
  private unloading = false;
  /** What was going on when the page was left. */
  private left: { watched: boolean; name: string | undefined } | undefined;
  private registered: RegistrationState = { state: "off" };

  /** @throws {TypeError} when node or prefix cannot stand in a topic, or there is no way to a broker. */
  constructor(private readonly options: CameraOptions) {
    super();
    const { node, prefix = DEFAULT_PREFIX, wants = { video: true, audio: true }, token } = options;
    check(options, prefix);
    this.watchesMedia = (wants.video ?? false) !== false || (wants.audio ?? false) !== false;
    this.core = new Viewer({ prefix, node, wants, ...(typeof token === "function" ? { asksForToken: true } : { token }) }, chance);
    this.link = new Link(
      () => this.endpoint(),
      (peer) => {
        const { status, toPeer } = topicsOf(prefix, node, peer);
        return [status, toPeer];
      },
      {
        up: (peer) => {
          this.tell({ type: "linkUp", peer });
        },
        down: (problem, said) => {
          this.tell({ type: "linkDown", problem, said });
        },
        message: (topic, payload, retain) => {
          this.tell({ type: "message", topic, payload, retain });
        },
      },
    );
  }

  /** Connects and stays connected until {@link stop}; harmless when it already does. */
  start(): void {
    this.attend();
    this.prepare();
    this.tell({ type: "start" });
  }

  /** Leaves; also a call of ours. A registration stays. */
  stop(): void {
    this.spare?.close();
    this.spare = undefined;
    this.talk.end();
    this.tell({ type: "stop" });
  }

  /** Looks for a new network path without leaving the session; pictures go on meanwhile, if they can. */
  restartIce(): void {
    this.tell({ type: "restart" });
  }

  /**
   * Lets the node call us, under this name for people, until {@link unregister}: such a call is an `incomingCall` event.
   * Connects to the broker and to nothing else; renewed by itself. `registration` events tell what has become of it.
   * @throws {TypeError} when the name has not 1 to 64 characters.
   */
  register(name: string): void {
    const { length } = Array.from(name);
    if (length < 1 || length > 64) throw new TypeError(`a name has 1 to 64 characters, not ${length}`);
    this.attend();
    this.tell({ type: "register", name });
  }

  /** Is not to be called any more. */
  unregister(): void {
    this.tell({ type: "unregister" });
  }

  /**
   * Calls the node, which answers by itself or not; once it has let us in, this is as {@link start}. Nothing comes of it
   * while there is a call already. `call` events tell how it goes; it is given up after `ringS` seconds, 45 unless given.
   */
  call({ ringS }: { ringS?: number } = {}): void {
    this.attend();
    this.prepare();
    this.tell({ type: "call", ...(ringS !== undefined && { ringMs: ringS * 1_000 }) });
  }

  /** Gives up a call that is no session yet; {@link stop} ends one that is. */
  hangUp(): void {
    this.tell({ type: "hangUp" });
  }

  /**
   * The camera as it is now, as JPEG. Comes over the broker: no session is needed, nor a call accepted.
   * @throws {ControlError} why there is none, within 15 s.
   */
  snapshot(options: SnapshotOptions = {}): Promise<Blob> {
    this.attend();
    return this.snapshots.ask(options);
  }

  /** Whether the node will call us. */
  get registration(): RegistrationState {
    return this.registered;
  }

  /** How it is now, with the words for it. */
  get state(): CameraState {
    return this.current;
  }

  /** The streams there are, by camera. */
  get streams(): ReadonlyMap<string, MediaStream> {
    return this.playing;
  }

  /** The way to ask the node, while its channel `control` is open: name it in `wants.channels`. */
  get control(): Control | undefined {
    return this.asks;
  }

  /** The data channel of this label, while it is open. */
  channel(label: string): RTCDataChannel | undefined {
    return this.peer?.channels.get(label);
  }

  /**
   * Opens a data channel, such as `app:ptz`; its label has to be in `wants.channels`.
   * @throws {ControlError} why the node does not have it, or that there is no session.
   */
  async openChannel(label: string, init?: RTCDataChannelInit): Promise<RTCDataChannel> {
    const channel = this.peer?.connection.openChannel(label, init);
    if (channel === undefined || this.peer === undefined) {
      throw new ControlError(59, "InvalidStateError", "there is no session with data channels now");
    }
    return this.peer.channels.opened(channel);
  }

  /** The latest numbers, while there is a session. */
  get stats(): Stats | undefined {
    return this.peer?.tally.latest;
  }

  /** The latest steps of the protocol. */
  get events(): readonly CameraEvent[] {
    return this.log;
  }

  /** The node's latest status. */
  get status(): Status | undefined {
    return this.core.status;
  }

  private async endpoint(): Promise<Endpoint & { clientId: string }> {
    const endpoint = this.options.connect === undefined ? { url: this.options.broker ?? "" } : await this.options.connect();
    const { token } = this.options;
    return { ...endpoint, clientId: endpoint.clientId ?? peerId(typeof token === "string" ? peerOfToken(token) : undefined) };
  }

  private tell(input: Input): void {
    this.core.handle(input, performance.now());
    this.perform();
  }

  private perform(): void {
    // What a listener does to us while we perform comes after what is still to be done.
    if (this.performing) return;
    this.performing = true;
    try {
      for (let outputs = this.core.takeOutputs(); outputs.length > 0; outputs = this.core.takeOutputs()) {
        for (const output of outputs) this.performOne(output);
      }
    } finally {
      this.performing = false;
    }
    clearTimeout(this.timer);
    const due = this.core.pollTimeout();
    if (due === undefined) return;
    // A timer may fire a little early; the core then has nothing to do yet and asks again.
    this.timer = setTimeout(() => {
      this.core.handleTimeout(performance.now());
      this.perform();
    }, Math.min(Math.max(0, Math.ceil(due - performance.now())), MAX_TIMER_MS));
  }

  private performOne(output: Output): void {
    switch (output.type) {
      case "connect":
        if (hasWebRtc()) this.link.connect();
        else this.tell({ type: "linkDown", problem: "noWebRtc", said: NO_WEBRTC });
        break;
      case "disconnect":
        this.link.close();
        // A page that has been left may come back.
        if (output.forGood && this.left === undefined) this.stopAttending?.();
        if (output.forGood && this.left === undefined) this.stopAttending = undefined;
        break;
      case "askToken":
        void this.fetchToken(output.ask);
        break;
      case "publish":
        if (this.unloading) this.link.publishAtOnce(output.topic, output.payload);
        else this.link.publish(output.topic, output.payload);
        break;
      case "peer":
        if (output.command.do === "open") this.openPeer(output.session);
        if (this.peer?.session !== output.session) break;
        this.peer.connection.perform(output.command);
        if (output.command.do === "close") this.closePeer();
        break;
      case "event": {
        const event = { ...output.event, time: wallClock(output.event.at) };
        if (this.log.push(event) > MAX_EVENTS) this.log.shift();
        this.emit("event", event);
        break;
      }
      case "state": {
        const { retryAt, ...state } = output.state;
        this.current = { ...state, ...(retryAt !== undefined && { retryAt: wallClock(retryAt) }), ...wordsFor(output.state) };
        if (output.state.reason === "hungUp") this.talk.end();
        this.emit("state", this.current);
        break;
      }
      case "status":
        this.emit("status", output.status);
        break;
      case "call":
        this.emit("call", output.call);
        if (output.call.direction === "incoming" && output.call.state === "ringing") this.rung(output.call.session);
        break;
      case "snapshot":
        this.snapshots.take(output);
        break;
      case "registration":
        this.registered = output.registration;
        this.emit("registration", output.registration);
        break;
      case "error": {
        const { code, name, message } = output.failure;
        this.emit("error", { code, slug: output.slug, name, message });
        break;
      }
    }
  }

  private async fetchToken(ask: number): Promise<void> {
    const got = await tokenFrom(this.options.token);
    // Below zero it is for no session there is.
    if (ask > 0 && "ends" in got) this.tokenEnds = got.ends;
    this.tell("said" in got ? { type: "noToken", ask, ...got } : { type: "token", ask, token: got.token, lifeMs: lifeOf(got.ends) });
  }

  /** A connection is made in advance where one will be needed. */
  private prepare(): void {
    if (this.peer === undefined) this.spare ??= newConnection();
  }

  private rung(session: string): void {
    const accept = (): void => {
      this.prepare();
      this.tell({ type: "accept", session });
    };
    const decline = (reason: "declined" | "busy"): void => {
      this.tell({ type: "decline", session, reason });
    };
    this.emit("incomingCall", new IncomingCall(session, this.options.node, this.status, { accept, decline }));
  }

  private openPeer(session: string): void {
    this.closePeer();
    const channels: Channels = new Channels({
      channel: (channel) => {
        this.emit("channel", channel);
      },
      control: (control) => {
        this.asks = control;
        this.emit("control", control);
      },
      telemetry: (telemetry) => {
        this.emit("telemetry", telemetry);
      },
      closed: (label, error) => {
        this.emit("channelClosed", { label, error });
      },
    });
    const connection: Peer = new Peer(
      {
        event: (event) => {
          this.tell({ type: "peer", session, event });
        },
        track: (track, mid) => {
          if (this.peer?.connection === connection) this.addTrack(track, mid);
        },
        channel: (channel) => {
          channels.add(channel);
        },
        voice: (sender) => {
          if (this.peer?.connection === connection) this.talk.use(sender);
        },
      },
      this.options.bufferMs ?? 0,
      this.spare,
    );
    this.spare = undefined;
    const tally = new Tally(connection, (numbers, { bytes }) => {
      this.emit("stats", numbers);
      // Last, since it may end the session, and the numbers with it.
      if (this.watchesMedia) this.tell({ type: "media", session, bytes });
    });
    this.peer = { session, connection, channels, tally };
  }

  private closePeer(): void {
    if (this.peer === undefined) return;
    this.peer.connection.close();
    this.peer.channels.end();
    this.peer.tally.end();
    this.peer = undefined;
    this.talk.use(undefined);
    if (this.playing.size === 0) return;
    this.playing.clear();
    this.emit("stream", undefined);
  }

  private addTrack(track: MediaStreamTrack, { camera }: Mid): void {
    const stream = this.playing.get(camera) ?? new MediaStream();
    stream.addTrack(track);
    this.playing.set(camera, stream);
    this.emit("stream", { camera, stream });
  }

  /** Follows page and network, as long as the broker is wanted. */
  private attend(): void {
    this.stopAttending ??= followAttention({
      wake: () => {
        this.tell({ type: "wake", lifeMs: lifeOf(this.tokenEnds) });
      },
      leave: () => {
        this.left = { watched: this.current.state !== "idle", name: this.registered.name };
        this.unloading = true;
        this.tell({ type: "stop" });
        this.tell({ type: "unregister" });
        this.unloading = false;
      },
      back: () => {
        const { left } = this;
        this.left = undefined;
        if (left?.watched === true) this.tell({ type: "start" });
        if (left?.name !== undefined) this.tell({ type: "register", name: left.name });
      },
      networkChanged: () => {
        this.tell({ type: "networkChanged" });
      },
    });
  }
}
