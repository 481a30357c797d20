/** The page's elements, found once; a missing one is a mistake in index.html. */

function found<T extends Element>(selector: string, kind: new () => T): T {
  const element = document.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`index.html has no ${selector}`);
  return element;
}

const byTestId = <T extends Element>(id: string, kind: new () => T): T => found(`[data-testid="${id}"]`, kind);

export const root = document.documentElement;
export const stage = byTestId("stage", HTMLElement);
export const video = byTestId("video", HTMLVideoElement);
export const ambience = found(".ambience", HTMLCanvasElement);

export const card = {
  title: byTestId("card-title", HTMLElement),
  text: byTestId("card-text", HTMLElement),
  hint: byTestId("card-hint", HTMLElement),
};
export const plate = { name: byTestId("name", HTMLElement), state: byTestId("state", HTMLElement) };
export const setup = byTestId("setup", HTMLFormElement);
/** Of the same form, for a broker that wants them. */
export const loginFields = byTestId("login", HTMLFieldSetElement);
export const numbers = byTestId("numbers", HTMLElement);
export const toast = byTestId("toast", HTMLElement);
export const notice = byTestId("insecure", HTMLElement);
export const said = byTestId("said", HTMLElement);

export const buttons = {
  connect: byTestId("connect", HTMLButtonElement),
  change: byTestId("change", HTMLButtonElement),
  call: byTestId("call", HTMLButtonElement),
  sound: byTestId("sound", HTMLButtonElement),
  talk: byTestId("talk", HTMLButtonElement),
  snapshot: byTestId("snapshot", HTMLButtonElement),
  fullscreen: byTestId("fullscreen", HTMLButtonElement),
  disconnect: byTestId("disconnect", HTMLButtonElement),
  bell: byTestId("bell", HTMLButtonElement),
  device: byTestId("device", HTMLButtonElement),
  adjust: byTestId("adjust", HTMLButtonElement),
};

export const sheet = {
  dialog: byTestId("sheet", HTMLDialogElement),
  words: found(".sheet-words", HTMLElement),
  picture: byTestId("sheet-picture", HTMLImageElement),
  eyebrow: byTestId("sheet-eyebrow", HTMLElement),
  title: byTestId("sheet-title", HTMLElement),
  text: byTestId("sheet-text", HTMLElement),
  accept: byTestId("accept", HTMLButtonElement),
  decline: byTestId("decline", HTMLButtonElement),
  declineLabel: byTestId("decline-label", HTMLElement),
};

export const panel = {
  box: byTestId("panel", HTMLElement),
  title: byTestId("panel-title", HTMLElement),
  close: byTestId("panel-close", HTMLButtonElement),
  settings: byTestId("settings", HTMLElement),
  privacy: byTestId("privacy", HTMLInputElement),
  mutedRow: byTestId("muted-row", HTMLElement),
  muted: byTestId("muted", HTMLInputElement),
  size: byTestId("size", HTMLSelectElement),
  fps: byTestId("fps-asked", HTMLInputElement),
  fpsShown: byTestId("fps-shown", HTMLElement),
  bitrate: byTestId("bitrate-asked", HTMLInputElement),
  bitrateShown: byTestId("bitrate-shown", HTMLElement),
  own: byTestId("own-controls", HTMLElement),
  ownTitle: byTestId("own-title", HTMLElement),
  plots: byTestId("plots", HTMLElement),
  plotsTitle: byTestId("plots-title", HTMLElement),
  restart: byTestId("restart", HTMLButtonElement),
  question: byTestId("restart-question", HTMLDialogElement),
};

/** The node's files, in the panel. */
export const files = {
  section: byTestId("files-section", HTMLElement),
  list: byTestId("files", HTMLElement),
  words: byTestId("files-words", HTMLElement),
  more: byTestId("files-more", HTMLButtonElement),
  question: byTestId("delete-question", HTMLDialogElement),
  deleteTitle: byTestId("delete-title", HTMLElement),
};

/** The dialog for this browser alone. */
export const ours = {
  dialog: byTestId("this-browser", HTMLDialogElement),
  tablet: byTestId("wall-tablet", HTMLInputElement),
  microphones: byTestId("microphones", HTMLSelectElement),
  speakersRow: byTestId("speakers-row", HTMLElement),
  speakers: byTestId("speakers", HTMLSelectElement),
  hint: byTestId("devices-hint", HTMLElement),
  allow: byTestId("devices-allow", HTMLButtonElement),
};

export const note = {
  box: byTestId("note", HTMLElement),
  title: byTestId("note-title", HTMLElement),
  text: byTestId("note-text", HTMLElement),
  watch: byTestId("note-watch", HTMLButtonElement),
  close: byTestId("note-close", HTMLButtonElement),
};

/** The place of one number. */
export function numberPlace(name: string): HTMLElement {
  return byTestId(name, HTMLElement);
}
