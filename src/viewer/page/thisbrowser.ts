/** What is chosen for this browser: whether it is a wall tablet, its microphone and its loudspeaker. */

import { allowMicrophone, canChooseSpeaker, type Camera, type Device, type Devices, lacking, useSpeaker, watchDevices, wordsForLack } from "../lib/index.ts";
import { buttons, ours, video } from "./elements.ts";
import type { Kept } from "./kept.ts";
import type { Tablet } from "./tablet.ts";
import { notify } from "./toast.ts";

/** What is kept of it. */
export interface Choices {
  readonly tablet: Tablet;
  readonly microphone: Kept;
  readonly speaker: Kept;
  /** Where this page is served over https, if it is. */
  readonly https: string | undefined;
}

/** Makes button, key and dialog work; gives the microphone that was chosen, while it is there. */
export function followChoices(camera: Camera, { tablet, microphone, speaker, https }: Choices, turned: (on: boolean) => void): () => string | undefined {
  let found: Devices = { microphones: [], speakers: [], named: false };
  const isThere = (all: readonly Device[], id: string | undefined): id is string => id !== undefined && all.some((each) => each.id === id);
  const chosen = (): string | undefined => {
    const id = microphone.get();
    return isThere(found.microphones, id) ? id : undefined;
  };

  watchDevices((devices) => {
    found = devices;
    fill(ours.microphones, devices.microphones, microphone.get());
    fill(ours.speakers, devices.speakers, speaker.get());
    ours.speakersRow.hidden = !canChooseSpeaker();
    ours.allow.hidden = devices.named || lacking().includes("microphone");
    ours.hint.textContent = lacking().includes("microphone") ? wordsForLack("microphone", isSecureContext, https) : devices.named ? "" : "Their names are known once you have allowed the microphone.";
    const id = speaker.get();
    if (isThere(devices.speakers, id)) void useSpeaker(video, id);
  });

  ours.microphones.addEventListener("change", () => {
    const id = ours.microphones.value;
    microphone.set(id === "" ? undefined : id);
    // Whoever is heard goes on by the other one.
    if (camera.talk.state.state !== "on") return;
    if (id === "") camera.talk.end();
    void camera.talk.start(id === "" ? undefined : id);
  });
  ours.speakers.addEventListener("change", () => {
    const id = ours.speakers.value;
    void useSpeaker(video, id).then((plays) => {
      if (plays) speaker.set(id === "" ? undefined : id);
      else {
        fill(ours.speakers, found.speakers, speaker.get());
        notify("This loudspeaker cannot be used. The sound stays where it was.");
      }
    });
  });
  ours.allow.addEventListener("click", () => {
    void allowMicrophone().then((allowed) => {
      if (!allowed) ours.hint.textContent = "Your browser does not let this page use the microphone. Allow it in the settings beside the page's address.";
    });
  });
  ours.tablet.addEventListener("change", () => {
    tablet.turn(ours.tablet.checked);
    turned(tablet.isOn);
    // Nobody will be there to be asked when it answers.
    if (tablet.isOn && !lacking().includes("microphone") && !found.named) void allowMicrophone();
  });

  const open = (): void => {
    ours.tablet.checked = tablet.isOn;
    ours.dialog.showModal();
  };
  buttons.device.addEventListener("click", open);
  // What is behind it has keys of its own.
  ours.dialog.addEventListener("keydown", (event) => {
    event.stopPropagation();
  });
  addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (!typing && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && event.key.toLowerCase() === "d") open();
  });
  return chosen;
}

/** A menu of devices, with the system's own choice first. */
function fill(menu: HTMLSelectElement, all: readonly Device[], chosen: string | undefined): void {
  const listed = all.filter(({ id }) => id !== "" && id !== "default");
  menu.replaceChildren(new Option("The system's choice", ""), ...listed.map(({ id, name }) => new Option(name, id)));
  menu.value = listed.some(({ id }) => id === chosen) ? (chosen ?? "") : "";
}
