/**
 * Watch a camera-node from a browser.
 *
 * ```ts
 * const camera = new Camera({ broker: "wss://broker.example.org/mqtt", node: "porch" });
 * camera.on("stream", (got) => { video.srcObject = got?.stream ?? null; });
 * camera.on("state", ({ title, text }) => { label.textContent = `${title}. ${text}`; });
 * camera.start();
 * ```
 */

export { Camera } from "./camera.ts";
export type { CameraError, CameraEvent, CameraEvents, CameraState } from "./camera-events.ts";
export { IncomingCall } from "./calls.ts";
export { withAwsAuthorizer, withAwsSignature } from "./connect/aws.ts";
export type { AuthorizerToken, AwsAuthorizerOptions, AwsSignedOptions } from "./connect/aws.ts";
export { withPassword } from "./connect/password.ts";
export type { PasswordOptions } from "./connect/password.ts";
export type { AwsCredentials } from "./connect/sigv4.ts";
export { Control, ControlError } from "./control.ts";
export type { CameraControl, CameraSettings, ControlErrorSlug, ControlMethods, Description, Range } from "./control.ts";
export type { CallEnd } from "./core/call.ts";
export type { CallState } from "./core/doorbell.ts";
export { ERRORS } from "./core/errors.ts";
export type { ErrorRow, ErrorSlug } from "./core/errors.ts";
export { Files } from "./files.ts";
export type { FetchedFile, FetchOptions, FileInfo } from "./files.ts";
export type { RegistrationState } from "./core/io.ts";
export type { CameraChoice, CameraDetail, RejectReason, Status, Wants } from "./core/message.ts";
export type { LinkProblem, Reason, StateName } from "./core/state.ts";
export type { Step } from "./core/steps.ts";
export { scopesOfToken } from "./core/token.ts";
export { DEFAULT_PREFIX, isId, isPrefix } from "./core/topics.ts";
export { allowMicrophone, canChooseSpeaker, devices, useSpeaker, watchDevices } from "./devices.ts";
export type { Device, Devices } from "./devices.ts";
export type { Connect, Endpoint } from "./link.ts";
export { lacking, SecureContextNeeded, wordsForLack, wordsForLacks } from "./secure.ts";
export type { Lack, Offered } from "./secure.ts";
export { sendInTurn } from "./sending.ts";
export type { SendingChannel } from "./sending.ts";
export { ageMs, blockSide, readStamp } from "./stamp.ts";
export type { CameraOptions } from "./options.ts";
export type { SnapshotOptions } from "./snapshots.ts";
export { fullSnapshot } from "./still.ts";
export type { StillOptions } from "./still.ts";
export type { Stats } from "./stats.ts";
export type { Talk, TalkState, TalkTrouble } from "./talk.ts";
export type { CameraFigures, Telemetry } from "./telemetry.ts";
export type { ByteChannel, Opener } from "./transfer.ts";
