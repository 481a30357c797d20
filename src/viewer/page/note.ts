/** What has become of a call that was not taken here. It stands until somebody has seen it. */

import { note } from "./elements.ts";
import type { EndWords } from "./ends.ts";
import { hush } from "./toast.ts";

/** What somebody else has taken is news for a while only. */
const PASSES_AFTER_MS = 15_000;

let watchIt: (() => void) | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

note.watch.addEventListener("click", () => {
  watchIt?.();
  closeNote();
});
note.close.addEventListener("click", () => {
  closeNote();
});

/** Shows it; `watch` is what its button does. */
export function showNote({ title, text, isMissed }: EndWords, from: string, at: Date, watch: () => void): void {
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  note.title.textContent = title;
  note.text.textContent = `${from}, ${time}${text === "" ? "" : `. ${text}`}`;
  note.box.dataset["missed"] = String(isMissed);
  note.box.hidden = false;
  hush();
  watchIt = watch;
  clearTimeout(timer);
  if (!isMissed) timer = setTimeout(closeNote, PASSES_AFTER_MS);
}

export function closeNote(): void {
  clearTimeout(timer);
  note.box.hidden = true;
}
