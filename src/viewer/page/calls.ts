/**
 * Calls, in both directions: the sheet while one rings or is made, sound both ways from the answer on, and what is said of its
 * end. A call that has been answered is watched like any session, until somebody hangs up.
 */

import { type Camera, type CallState, type IncomingCall, lacking, wordsForLack } from "../lib/index.ts";
import { Attendant } from "./attendant.ts";
import { stir } from "./calm.ts";
import { buttons, plate, root, video } from "./elements.ts";
import { type EndWords, wordsForEnd, wordsForHangUp, wordsForLoss } from "./ends.ts";
import { later } from "./later.ts";
import { closeNote, showNote } from "./note.ts";
import { notifyHidden } from "./notification.ts";
import { unmute } from "./player.ts";
import { ring, tuneIn } from "./ringtone.ts";
import { showCallInTitle } from "./screen.ts";
import { closeSheet, followSheet, openSheet, showAnswering, showPicture } from "./sheet.ts";
import { notify } from "./toast.ts";

/** What the page knows beside the camera's state. */
export interface Around {
  /** Whether the token lets us talk, if there is one. */
  readonly mayTalk: boolean;
  /** Where this page is served over https, if it is. */
  readonly https: string | undefined;
  /** The microphone that was chosen, if one was. */
  readonly microphone: () => string | undefined;
  /** Whether calls are answered without anybody's doing. */
  readonly answersItself: () => boolean;
}

/** A call that is no session yet. */
interface Pending {
  readonly direction: CallState["direction"];
  /** Known of a call of ours as soon as the first is heard of it. */
  session: string | undefined;
  readonly name: string;
  /** Ends what is heard and seen of it beside the sheet. */
  readonly quiet: () => void;
  /** The person has accepted it, and then not waited for it. */
  isGivenUp: boolean;
}

/** Pixels a line: sharp on a phone, and small enough for a message. */
const PICTURE_WIDTH = 640;
const LISTENS = "You see and hear, and are not heard.";

/** Makes calls, and answers them. */
export function followCalls(camera: Camera, around: Around): void {
  let pending: Pending | undefined;
  let going: { readonly name: string; readonly since: number; readonly direction: CallState["direction"] } | undefined;
  let trouble: string | undefined;
  const attendant = new Attendant(later);
  followSheet();

  // One that has gone does not say its name any more.
  let known: string | undefined;
  camera.on("status", ({ name: said }) => {
    known = said ?? known;
  });
  const name = (): string => known ?? plate.name.textContent;
  const tell = (words: EndWords, from: string): void => {
    showNote(words, from, new Date(), () => {
      camera.start();
    });
  };

  /** Both ways: the tap that answers is leave to sound and the moment to ask for the microphone. */
  const speak = (): void => {
    trouble = undefined;
    unmute();
    if (!around.mayTalk) trouble = `${LISTENS} Your link does not let you talk.`;
    else if (lacking().includes("microphone")) trouble = `${LISTENS} ${wordsForLack("microphone", isSecureContext, around.https)}`;
    else void camera.talk.startSoon(around.microphone());
  };
  const listen = (): void => {
    camera.talk.end();
    trouble = undefined;
  };

  const settled = (): void => {
    attendant.settled();
    pending?.quiet();
    pending = undefined;
    closeSheet();
  };

  const answer = (call: IncomingCall): void => {
    attendant.settled();
    pending?.quiet();
    speak();
    call.accept();
    showAnswering({ eyebrow: "Answering", title: call.node, text: "The picture is on its way." });
  };

  /** Without anybody there, nobody could answer the browser's question for the microphone. */
  const answerByItself = async (call: IncomingCall): Promise<void> => {
    const leave = await navigator.permissions.query({ name: "microphone" }).catch(() => undefined);
    if (pending?.session !== call.session) return;
    answer(call);
    if (leave !== undefined && leave.state !== "granted" && around.mayTalk) {
      camera.talk.end();
      trouble = `${LISTENS} Tap Talk to be heard.`;
    }
    const hangUp = (): void => {
      if (going !== undefined) camera.stop();
    };
    attendant.answered(hangUp);
  };

  camera.on("incomingCall", (call) => {
    pending?.quiet();
    attendant.settled();
    closeNote();
    const [silence, unnotify] = [ring(), notifyHidden(call.node, "Somebody is ringing.", true)];
    const quiet = (): void => {
      silence();
      unnotify();
      showCallInTitle(undefined);
    };
    pending = { direction: "incoming", session: call.session, name: call.node, quiet, isGivenUp: false };
    showCallInTitle(call.node);
    stir();
    const cameras = call.cameras.length > 1 ? ` Cameras: ${call.cameras.join(", ")}.` : "";
    const itself = around.answersItself();
    const text = itself ? "This tablet answers by itself in a moment." : `Accept to see and hear who is there.${cameras}`;
    openSheet(
      { eyebrow: "Somebody is ringing", title: call.node, text },
      {
        accept: () => {
          answer(call);
        },
        decline: () => {
          attendant.settled();
          call.decline();
          // Nothing, unless it has been accepted before; and then no news to who has done it.
          if (pending?.session === call.session) pending.isGivenUp = true;
          camera.hangUp();
        },
      },
    );
    showWho(call);
    if (itself) attendant.rings(() => void answerByItself(call));
  });

  /** A still picture, for which nothing has to be accepted; a camera that is shut, or slow, rings by its name. */
  const showWho = (call: IncomingCall): void => {
    const [first] = call.cameras;
    camera.snapshot({ width: PICTURE_WIDTH, ...(first !== undefined && { camera: first }) }).then(
      (picture) => {
        if (pending?.session === call.session) showPicture(picture);
      },
      () => undefined,
    );
  };

  buttons.call.addEventListener("click", () => {
    closeNote();
    tuneIn();
    pending = { direction: "outgoing", session: undefined, name: name(), quiet: () => undefined, isGivenUp: false };
    speak();
    openSheet(
      { eyebrow: "Calling", title: name(), text: "It has not been heard yet." },
      {
        decline: () => {
          camera.hangUp();
        },
      },
    );
    camera.call();
  });

  camera.on("call", (state) => {
    if (state.direction === "outgoing" && pending?.direction === "outgoing") pending.session ??= state.session;
    if (pending === undefined || pending.session !== state.session) return;
    const { name: from, isGivenUp, direction } = pending;
    if (direction === "outgoing" && state.state === "ringing") showAnswering({ eyebrow: "Calling", title: from, text: "It rings there." });
    if (direction === "outgoing" && state.state === "accepted") showAnswering({ eyebrow: "Answered", title: from, text: "The picture is on its way." });
    if (state.state !== "joined" && state.state !== "ended") return;
    settled();
    if (state.state === "joined") {
      going = { name: from, since: Date.now(), direction };
      root.dataset["call"] = direction;
      showHangUp(true);
      if (trouble !== undefined) notify(trouble);
      return;
    }
    listen();
    const said = isGivenUp ? undefined : wordsForEnd(state);
    if (state.end === "declined" && direction === "incoming") notify("Call declined");
    if (said === undefined) return;
    tell(said, from);
    if (said.isMissed) notifyHidden(from, said.title, true);
  });

  camera.on("state", ({ state, reason, text }) => {
    if (going === undefined) return;
    // It takes no sound, and has said so by what it has agreed to.
    if (state === "live" && camera.talk.state.state === "off" && trouble === undefined) {
      camera.talk.end();
      trouble = `${LISTENS} This camera has no speaker.`;
      notify(trouble);
    }
    // What is lost is looked for by itself, and the call goes on.
    const isOver = state === "idle" || state === "refused" || reason === "nodeOffline";
    if (!isOver) return;
    const { name: from, since } = going;
    going = undefined;
    attendant.takesOver();
    root.dataset["call"] = "none";
    showHangUp(false);
    listen();
    tell(state === "idle" ? wordsForHangUp(Date.now() - since, reason === "hungUp" ? "camera" : "us") : wordsForLoss(text), from);
    // Otherwise the camera, when it is back, would be watched by nobody's wish.
    if (around.answersItself()) camera.stop();
  });

  camera.on("talk", ({ trouble: kind, text }) => {
    if ((pending === undefined && going === undefined) || kind === undefined || kind === "noSpeaker") return;
    trouble = `${LISTENS} ${text ?? ""}`;
    if (going !== undefined) notify(trouble);
  });

  // Whoever touches a tablet that has answered by itself is there to hang up, and wants to hear.
  addEventListener("pointerdown", () => {
    attendant.takesOver();
    if (going !== undefined && around.answersItself()) video.muted = false;
  });
}

/** In a call, what otherwise disconnects hangs up. */
function showHangUp(isCall: boolean): void {
  const { disconnect } = buttons;
  disconnect.title = isCall ? "Hang up (C)" : "Disconnect (C)";
  disconnect.setAttribute("aria-label", isCall ? "Hang up" : "Disconnect");
}
