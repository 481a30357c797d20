/** What a camera tells its user. */

import type { IncomingCall } from "./calls.ts";
import type { CallState } from "./core/doorbell.ts";
import type { ErrorSlug } from "./core/errors.ts";
import type { ProtocolEvent, RegistrationState } from "./core/io.ts";
import type { Status } from "./core/message.ts";
import type { ViewerState } from "./core/state.ts";
import type { Control, ControlError } from "./control.ts";
import type { Stats } from "./stats.ts";
import type { TalkState } from "./talk.ts";
import type { Telemetry } from "./telemetry.ts";
import type { Words } from "./words.ts";

/** A state, with the words for it. */
export interface CameraState extends Omit<ViewerState, "retryAt">, Words {
  /** When the next try begins, as `Date.now()` counts. */
  readonly retryAt?: number;
}

/** One step of the protocol, in the order in which they happened. */
export interface CameraEvent extends ProtocolEvent {
  /** As `Date.now()` counts. */
  readonly time: number;
}

/** Something that went wrong, whether or not it ends anything. */
export interface CameraError {
  /** The number of the protocol's table of errors (PROTOCOL.md, section 6). */
  readonly code: number;
  /** The same by its name in {@link ERRORS}; `undefined` for an error of a later version. */
  readonly slug: ErrorSlug | undefined;
  /** A W3C DOMException name where one fits, such as `NotAllowedError`. */
  readonly name: string;
  /** For a person, by whoever met it. */
  readonly message: string;
}

/** The events of a {@link Camera}, by name, with what a listener is given. */
export interface CameraEvents {
  /** How it is, whenever that changes; {@link Camera.state} has the latest. */
  state: CameraState;
  /** Pictures and sound of one of the node's cameras, again when a track is added; `undefined` when they are gone. */
  stream: { camera: string; stream: MediaStream } | undefined;
  /** Numbers of the session, once a second while there is one. */
  stats: Stats;
  /** A step of the protocol, in the order of the node's own log. */
  event: CameraEvent;
  /** The node's presence, whenever it changes. */
  status: Status;
  /** A data channel that the node has opened. */
  channel: RTCDataChannel;
  /** Whether we can be heard, and are. */
  talk: TalkState;
  /** The node takes requests, or no more; see `Camera.control`. */
  control: Control | undefined;
  /** How board and node are, once a second, where `wants.channels` has `telemetry`. */
  telemetry: Telemetry;
  /** The node has closed a channel, or not let it in, and says why. */
  channelClosed: { label: string; error: ControlError };
  /** The node calls; see `Camera.register`. */
  incomingCall: IncomingCall;
  /** What has become of a call, in either direction. */
  call: CallState;
  /** Whether the node will call us, whenever that changes; see `Camera.register`. */
  registration: RegistrationState;
  /** Whatever went wrong, whether or not it ends anything. What it means for people is said by `state`. */
  error: CameraError;
}
