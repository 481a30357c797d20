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
  readonly code: number;
  readonly slug: ErrorSlug | undefined;
  readonly name: string;
  readonly message: string;
}

export interface CameraEvents {
  state: CameraState;
  /** Pictures and sound of one of the node's cameras, again when a track is added; `undefined` when they are gone. */
  stream: { camera: string; stream: MediaStream } | undefined;
  stats: Stats;
  event: CameraEvent;
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
  registration: RegistrationState;
  error: CameraError;
}
