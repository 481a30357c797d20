/** What each state says to a person: what is, and what to do about it. */

import type { Reason, ViewerState } from "./core/state.ts";
import { HOW_TO_GET_IT } from "./secure.ts";

/** Three short texts for one state. */
export interface Words {
  /** A few words. */
  readonly title: string;
  /** One sentence that says what is going on. */
  readonly text: string;
  /** What the person can do; empty when there is nothing to do. */
  readonly hint: string;
}

const words = (title: string, text: string, hint = ""): Words => ({ title, text, hint });

const WAIT = "Nothing to do: it goes on by itself.";
const ASK = "Ask whoever looks after the camera.";

const WORDS: { readonly [R in Reason]: Words } = {
  stopped: words("Not connected", "The camera is not being watched from here.", "Press Connect to see it."),
  broker: words("Connecting", "Reaching the message broker.", ""),
  node: words("Connecting", "Asking whether the camera is there.", ""),
  join: words("Connecting", "The camera is there; the picture is on its way.", ""),
  call: words("Calling", "The camera is being called; the picture is on its way.", ""),
  token: words("Connecting", "Fetching the permission to watch this camera.", ""),
  noToken: words("No permission", "The permission to watch this camera could not be fetched.", "Check this device's network, and whether you are still signed in."),
  brokerAway: words("Broker away", "The message broker does not answer at the moment.", WAIT),
  unreachable: words(
    "Broker not reachable",
    "The message broker does not answer.",
    "Check the broker's address and this device's network.",
  ),
  nodeOffline: words("Camera offline", "The camera is not connected to its broker.", "Check its power and network. The picture comes when it is back."),
  nodeAway: words("Camera offline", "Nothing comes from the camera any more, and its broker says that it is offline.", "Check its power and network. The picture comes when it is back."),
  nodeRestarted: words("Camera restarted", "The camera has just started again.", WAIT),
  live: words("Live", "You see the camera as it is now."),
  silent: words("Reconnecting", "Nothing has come from the camera for a few seconds. A new way to it is being looked for.", WAIT),
  network: words("Connection lost", "Neither the camera nor the broker can be reached.", "Check this device's network."),
  replaced: words("Opened elsewhere", "This camera is now being watched in another window under the same name.", "Press Connect to watch it here."),
  hungUp: words("Call ended", "The camera has hung up.", "Press Connect to see it."),
  closed: words("Connection closed", "The camera has closed the connection.", WAIT),
  expired: words("Permission ended", "The permission to watch this camera has run out, or was taken back.", "Ask for a new link."),
  limit: words("Place given up", "The camera has ended this session to keep within its limits.", "Press Connect to watch again."),
  unauthorized: words("Invitation needed", "The message broker lets in only who knows its password.", "Open the link you were given; on the camera, `camera-node link` shows it."),
  topicsRefused: words("Broker refused", "The message broker does not let this viewer talk to this camera.", ASK),
  badAddress: words("Wrong address", "The broker's address is not one a browser can use.", "It begins with wss:// or ws://, for example wss://broker.example.org:8084/mqtt."),
  noAddress: words("No way in", "The address or the permission for the message broker could not be fetched.", "Check this device's network, and whether you are still signed in."),
  noCrypto: words("Secure page needed", "The way to this broker has to be signed, and browsers let only pages from https:// do that.", HOW_TO_GET_IT),
  noWebRtc: words("Browser not able", "This browser has no WebRTC, or it is switched off: it cannot show the camera.", "Open this page in Chrome, Edge, Firefox or Safari, or switch WebRTC on."),
  insecure: words("Encryption needed", "A page from https:// may only talk to a broker at wss://.", "Use the broker's wss:// address."),

  badMessage: words("Not understood", "The camera could not read what this page said.", "Reload the page; it may be older than the camera."),
  unsupportedVersion: words("Versions differ", "The camera speaks another version of the protocol.", "Reload the page, or update the camera."),
  unsupported: words("Not supported", "The camera does not do what this page asked for.", "Reload the page, or update the camera."),
  unknownSession: words("Session forgotten", "The camera no longer knows this session.", WAIT),
  windowOverflow: words("Too much at once", "More messages came than could be put in order.", WAIT),
  notAllowed: words("Not allowed", "You may not watch this camera.", ASK),
  tokenMissing: words("Invitation needed", "This camera can only be watched with an access token.", "Open it with the link you were given."),
  tokenExpired: words("Invitation expired", "The access token has come to its end.", "Ask for a new link."),
  tokenNotYetValid: words("Too early", "The access token is not valid yet.", "Come back at the time you were told."),
  clockUnknown: words("Camera clock not set", "The camera does not know the time yet and cannot check the access token.", WAIT),
  busy: words("All places taken", "As many people as the camera allows are watching already.", "A place may become free: it tries again by itself."),
  rateLimited: words("Too many tries", "The camera asks to wait a little.", WAIT),
  nameTaken: words("Name taken", "Another viewer has this name.", "Choose another one."),
  noSuchCamera: words("No such camera", "There is no camera of this name at this node.", "Check the address."),
  cameraAway: words("Camera unplugged", "The node is there, its camera is not.", "Check the camera's cable."),
  cameraFailed: words("Camera failed", "The node is there, its camera delivers no pictures.", "Unplug the camera and plug it in again."),
  cameraShut: words("Camera shut", "Somebody has shut this camera.", ASK),
  offerFailed: words("Could not start", "The camera could not prepare the connection.", WAIT),
  answerFailed: words("Could not answer", "This browser could not answer the camera.", "Try another browser, or update this one."),
  localDescriptionFailed: words("Could not answer", "This browser could not use its own answer.", "Try another browser, or update this one."),
  remoteDescriptionFailed: words("Not understood", "This browser could not use what the camera offers.", "Try another browser, or update this one."),
  noCommonCodec: words("Picture format not supported", "This browser cannot show H.264 video.", "Try another browser, or update this one."),
  iceFailed: words("No way through", "No network path between this device and the camera was found, or it was lost.", "If it keeps failing, the networks need a TURN server."),
  signallingLost: words("No answer", "The camera does not answer over the broker.", WAIT),
  timedOut: words("Too slow", "The camera took too long to answer.", WAIT),
  internal: words("Something went wrong", "An unexpected error ended the connection.", WAIT),
};

/** The words for a state. */
export function wordsFor(state: ViewerState): Words {
  const found = WORDS[state.tried ?? state.reason];
  if (state.tried !== undefined) {
    const isDone = found.hint === WAIT || found.hint.startsWith("Press Connect");
    return { ...found, text: `${found.text} Trying again now.`, hint: isDone ? "" : found.hint };
  }
  // What goes on by itself only does so while another try is to come.
  if (found.hint === WAIT && state.state === "refused" && state.retryAt === undefined) return { ...found, hint: "Press Connect to try again." };
  if (state.retryAt !== undefined && found.hint.startsWith("Press Connect")) return { ...found, hint: "" };
  if (state.brokerAway === true) return { ...found, text: "You see the camera as it is now. The message broker is away; the picture does not need it." };
  return found;
}
