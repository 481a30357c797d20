/** The sheet of a call: who calls, or is called, and large buttons. Nothing else can be done meanwhile. */

import { root, sheet } from "./elements.ts";

/** What is written on it. */
export interface SheetWords {
  readonly eyebrow: string;
  readonly title: string;
  readonly text: string;
}

/** What a person can do. */
export interface SheetAnswers {
  /** Absent where we call ourselves. */
  readonly accept?: () => void;
  /** Before it has been accepted, and after; or hangs up. */
  readonly decline: () => void;
}

let answers: SheetAnswers | undefined;

/** Makes its buttons and keys work. */
export function followSheet(): void {
  sheet.accept.addEventListener("click", () => answers?.accept?.());
  sheet.decline.addEventListener("click", () => answers?.decline());
  // Escape. The browser would only close it.
  sheet.dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    answers?.decline();
  });
  // What is behind it has keys of its own.
  sheet.dialog.addEventListener("keydown", (event) => {
    event.stopPropagation();
    // Chromium closes it at a second Escape whatever is done about the first.
    if (event.key !== "Escape") return;
    event.preventDefault();
    if (!event.repeat) answers?.decline();
  });
}

/** Opens it, ringing. */
export function openSheet(words: SheetWords, given: SheetAnswers): void {
  answers = given;
  write(words);
  const isOurs = given.accept === undefined;
  sheet.dialog.dataset["stage"] = isOurs ? "calling" : "ringing";
  sheet.declineLabel.textContent = isOurs ? "Hang up" : "Decline";
  sheet.accept.hidden = isOurs;
  root.dataset["sheet"] = "true";
  if (!sheet.dialog.open) sheet.dialog.showModal();
  // Not on a button: whoever is typing must not answer by that.
  sheet.words.focus({ preventScroll: true });
}

/** It has been accepted, or rings at the other end, and is not there yet. */
export function showAnswering(words: SheetWords): void {
  write(words);
  sheet.dialog.dataset["stage"] = "answering";
  sheet.accept.hidden = true;
  sheet.declineLabel.textContent = "Hang up";
  sheet.words.focus({ preventScroll: true });
}

/** Shows what the camera sees, or nothing of it. */
export function showPicture(picture: Blob | undefined): void {
  URL.revokeObjectURL(sheet.picture.src);
  sheet.picture.hidden = picture === undefined;
  if (picture === undefined) sheet.picture.removeAttribute("src");
  else sheet.picture.src = URL.createObjectURL(picture);
}

export function closeSheet(): void {
  answers = undefined;
  root.dataset["sheet"] = "false";
  sheet.dialog.close();
  showPicture(undefined);
}

function write({ eyebrow, title, text }: SheetWords): void {
  sheet.eyebrow.textContent = eyebrow;
  sheet.title.textContent = title;
  sheet.text.textContent = text;
}
