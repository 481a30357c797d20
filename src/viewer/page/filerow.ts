/** One of the node's files, to be fetched and deleted. */

import type { FileInfo } from "../lib/index.ts";
import { fileWords, progressWords } from "./filelist.ts";

/** What a person does to it. */
export interface FileActs {
  /** Begins to fetch it. */
  readonly download: () => void;
  /** Has enough of that. */
  readonly stop: () => void;
  /** Wants it gone. */
  readonly remove: () => void;
}

/** Its line in the list. */
export interface FileRow {
  readonly element: HTMLElement;
  /** So much of it is there; nothing when it is not being fetched. */
  readonly show: (received: number | undefined) => void;
}

const SVG = "http://www.w3.org/2000/svg";
const DOWNLOAD = "M12 4v10.500M7.500 10.500 12 15l4.500-4.500M5 19.500h14";
const STOP = "m7 7 10 10M17 7 7 17";
const REMOVE = "M5 7h14M10 7V4.500h4V7M7 7l.8 12.500h8.400L17 7M10.500 10.500v5.500M13.500 10.500v5.500";

/** Makes it. */
export function fileRow(file: FileInfo, acts: FileActs): FileRow {
  const { name, bytes } = file;
  const element = document.createElement("li");
  element.className = "file";
  element.dataset["testid"] = "file";
  const words = document.createElement("p");
  words.className = "file-words";
  const title = document.createElement("span");
  title.textContent = name;
  const small = document.createElement("small");
  words.append(title, small);
  words.title = name;
  const bar = document.createElement("progress");
  bar.className = "file-progress";
  bar.setAttribute("aria-label", `How much of ${name} is here`);
  // Of an empty one all is there.
  bar.max = Math.max(1, bytes);

  let isComing: boolean | undefined;
  const get = button("file-download", () => {
    if (isComing === true) acts.stop();
    else acts.download();
  });
  const remove = button("file-delete", acts.remove);
  label(remove, REMOVE, `Delete ${name}`);
  element.append(words, get, remove, bar);

  const show = (received: number | undefined): void => {
    const told = received === undefined ? fileWords(file) : progressWords(received, bytes);
    // It comes in hundreds of pieces a second.
    if (told === small.textContent) return;
    small.textContent = told;
    bar.value = received ?? 0;
    const comes = received !== undefined;
    if (comes === isComing) return;
    isComing = comes;
    bar.hidden = !comes;
    remove.disabled = comes;
    if (comes) label(get, STOP, `Stop fetching ${name}`);
    else label(get, DOWNLOAD, `Download ${name}`);
  };
  show(undefined);
  return { element, show };
}

function button(testId: string, act: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "button file-button";
  made.dataset["testid"] = testId;
  made.addEventListener("click", act);
  return made;
}

function label(button: HTMLButtonElement, drawing: string, words: string): void {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", drawing);
  svg.append(path);
  button.replaceChildren(svg);
  button.title = words;
  button.setAttribute("aria-label", words);
}
