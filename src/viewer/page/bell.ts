/** The bell: whether this browser rings when the node calls, and what is seen and heard then. */

import type { Camera, CallState, IncomingCall, RegistrationState } from "../lib/index.ts";
import { browserName, type keptName, nextName } from "./bellname.ts";
import { stir } from "./calm.ts";
import { buttons, root } from "./elements.ts";
import { closeNote, type NoteWords, showNote } from "./note.ts";
import { askToNotify, notifyHidden } from "./notification.ts";
import { unmute } from "./player.ts";
import { ring, tuneIn } from "./ringtone.ts";
import { showCallInTitle } from "./screen.ts";
import { closeSheet, followSheet, openSheet, showAnswering } from "./sheet.ts";
import { notify } from "./toast.ts";

/** What rings now. */
interface Ringing {
  readonly call: IncomingCall;
  readonly silence: () => void;
  readonly unnotify: () => void;
  /** The person has accepted it, and then not waited for it. */
  readonly isGivenUp?: boolean;
}

/** Follows calls and the button that turns them on; `kept` is what this browser remembers. */
export function followBell(camera: Camera, kept: ReturnType<typeof keptName>): void {
  let ringing: Ringing | undefined;
  followSheet();

  const turnOn = (): void => {
    isNews = true;
    tuneIn();
    void askToNotify();
    const name = browserName(navigator.userAgent, mark());
    kept.set(name);
    camera.register(name);
  };
  const turnOff = (): void => {
    kept.set(undefined);
    camera.unregister();
    notify("This browser does not ring any more.");
  };

  buttons.bell.addEventListener("click", () => {
    if (camera.registration.state === "off" || camera.registration.state === "refused") turnOn();
    else turnOff();
  });
  addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (!typing && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && event.key.toLowerCase() === "b") buttons.bell.click();
  });

  camera.on("registration", (registration) => {
    const another = registration.reason === "nameTaken" ? nextName(registration.name ?? "") : undefined;
    if (another !== undefined) camera.register(another);
    else showBell(registration);
  });

  const quiet = (): void => {
    ringing?.silence();
    ringing?.unnotify();
    showCallInTitle(undefined);
  };

  camera.on("incomingCall", (call) => {
    quiet();
    closeNote();
    ringing = {
      call,
      silence: ring(),
      unnotify: notifyHidden(call.node, "Somebody is ringing.", true),
    };
    showCallInTitle(call.node);
    stir();
    const cameras = call.cameras.length > 1 ? ` Cameras: ${call.cameras.join(", ")}.` : "";
    openSheet(
      { eyebrow: "Somebody is ringing", title: call.node, text: `Accept to see and hear who is there.${cameras}` },
      {
        accept: () => {
          quiet();
          unmute();
          call.accept();
          showAnswering({ eyebrow: "Answering", title: call.node, text: "The picture is on its way." });
        },
        decline: () => {
          call.decline();
          // Nothing, unless it has been accepted before; and then no news to who has done it.
          if (ringing?.call === call) ringing = { ...ringing, isGivenUp: true };
          camera.hangUp();
        },
      },
    );
  });

  camera.on("call", (state) => {
    if (ringing?.call.session !== state.session || (state.state !== "joined" && state.state !== "ended")) return;
    const { call, isGivenUp } = ringing;
    quiet();
    ringing = undefined;
    closeSheet();
    const said = state.state === "ended" && isGivenUp !== true ? wordsForEnd(state) : undefined;
    if (said === undefined) return;
    showNote(said, call.node, new Date(), () => {
      camera.start();
    });
    if (said.isMissed) notifyHidden(call.node, said.title, true);
  });

  const name = kept.get();
  if (name !== undefined) camera.register(name);
  showBell(camera.registration);
}

/** What is said of a call that was not taken here; nothing of what the person has done. */
function wordsForEnd({ end, said }: CallState): NoteWords | undefined {
  switch (end) {
    case "declined":
      return undefined;
    case "answered":
      return { title: "Answered elsewhere", text: "", isMissed: false };
    case "timeout":
    case "cancelled":
    case "signallingLost":
      return { title: "Missed call", text: "", isMissed: true };
    default:
      return { title: "The call did not come about", text: said ?? "The camera did not let this browser in.", isMissed: true };
  }
}

let shown: RegistrationState["state"] = "off";
/** Somebody has just turned it on, and not the page itself at its beginning, or after the broker was away. */
let isNews = false;

function showBell({ state, reason, said }: RegistrationState): void {
  const { bell } = buttons;
  root.dataset["bell"] = state;
  bell.setAttribute("aria-pressed", String(state === "on" || state === "pending"));
  bell.title = state === "on" ? "Rings here (B)" : state === "pending" ? "Will ring here once the camera can be reached (B)" : "Ring here when somebody calls (B)";
  if (state === shown) return;
  shown = state;
  if (state === "on" && isNews) notify("This browser rings when somebody calls, as long as this page is open.");
  isNews = isNews && state === "pending";
  if (state === "refused") notify(reason === "unsupported" ? "This camera does not call anybody." : `This browser cannot be called: ${said ?? "the camera does not allow it"}`);
}

/** Enough to tell the browsers of a household. */
function mark(): string {
  return (crypto.getRandomValues(new Uint16Array(1))[0] ?? 0).toString(16).padStart(4, "0").slice(-3);
}
