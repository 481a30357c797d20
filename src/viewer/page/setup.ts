/** Asks for broker and node where nothing names them. */

import { card, root, setup } from "./elements.ts";
import { brokerAddress, isComplete, problemOf, type Settings, toFragment } from "./settings.ts";

/** Shows the form, filled with what is known, and why that is not enough; what is entered becomes the page's fragment. */
export function askForSettings(known: Partial<Settings>): void {
  root.dataset["page"] = "setup";
  root.dataset["state"] = "idle";
  document.title = "Camera";
  card.title.textContent = "Which camera?";
  card.text.textContent = "Tell this page where the camera's broker is, and the name of its node.";
  // Who comes with nothing has done nothing wrong.
  card.hint.textContent = Object.keys(known).length > 0 ? (problemOf(known) ?? "") : "";
  setup.hidden = false;
  for (const key of ["broker", "node"] as const) {
    const input = setup.elements.namedItem(key);
    if (input instanceof HTMLInputElement) input.value = known[key] ?? "";
  }
  setup.addEventListener("submit", (event) => {
    event.preventDefault();
    const entered = new FormData(setup);
    const text = (key: string): string => {
      const value = entered.get(key);
      return typeof value === "string" ? value.trim() : "";
    };
    const settings = { ...known, broker: brokerAddress(text("broker"), location.href), node: text("node") };
    if (!isComplete(settings)) {
      card.hint.textContent = problemOf(settings) ?? "";
      return;
    }
    const fragment = toFragment(settings);
    // The page listens and starts with it; the same fragment again would not be heard.
    if (location.hash === fragment) location.reload();
    else location.hash = fragment;
  });
}
