/** When nobody moves, only the picture stays. */

import { root } from "./elements.ts";

/** Long enough to read the numbers and find a button. */
const CALM_AFTER_MS = 4_500;
/** After the first picture the invitation to sound stands a little longer. */
const FIRST_CALM_AFTER_MS = 9_000;
/** Somebody who has stopped among the controls with the keyboard may be about to press one. */
const FOCUSED_CALM_AFTER_MS = 15_000;

let timer: ReturnType<typeof setTimeout> | undefined;

/** Starts to watch for people. */
export function followPeople(): void {
  for (const name of ["pointerdown", "keydown", "focusin"]) {
    addEventListener(name, () => {
      stir();
    });
  }
  let at = "";
  addEventListener("pointermove", ({ screenX, screenY }) => {
    // Browsers also report a move when the page moves under a resting pointer.
    const here = `${screenX},${screenY}`;
    if (here !== at) stir();
    at = here;
  });
  // The tap that brings the controls back must not press one that nobody saw.
  addEventListener(
    "pointerdown",
    (event) => {
      if (root.dataset["calm"] !== "true" || event.pointerType === "mouse") return;
      const swallow = (click: Event): void => {
        click.stopPropagation();
        click.preventDefault();
      };
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => {
        removeEventListener("click", swallow, { capture: true });
      }, 600);
    },
    { capture: true },
  );
}

/** Somebody is there, or something has changed that they should see. */
export function stir(first = false): void {
  root.dataset["calm"] = "false";
  clearTimeout(timer);
  timer = setTimeout(rest, first ? FIRST_CALM_AFTER_MS : CALM_AFTER_MS);
}

function rest(): void {
  if (document.querySelector(".chrome :focus-visible") === null) calm();
  else timer = setTimeout(calm, FOCUSED_CALM_AFTER_MS);
}

function calm(): void {
  const seen = root.dataset["state"] === "live" && root.dataset["picture"] === "true" && root.dataset["tap"] !== "true";
  if (seen) root.dataset["calm"] = "true";
}
