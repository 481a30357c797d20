/** A few words that come and go. */

import { toast } from "./elements.ts";

/** Long enough for a few words, and for slow readers of a long sentence. */
const MIN_TOAST_MS = 3_500;
const TOAST_MS_A_LETTER = 75;
let timer: ReturnType<typeof setTimeout> | undefined;

export function notify(text: string): void {
  toast.textContent = text;
  toast.dataset["shown"] = "true";
  clearTimeout(timer);
  timer = setTimeout(hush, Math.max(MIN_TOAST_MS, text.length * TOAST_MS_A_LETTER));
}

/** Takes them away. */
export function hush(): void {
  clearTimeout(timer);
  toast.dataset["shown"] = "false";
}
