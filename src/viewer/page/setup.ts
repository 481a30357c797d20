/** Asks for broker and node where nothing names them, and for a user name and password where the broker wants them. */

import { buttons, card, loginFields, root, setup } from "./elements.ts";
import type { Login } from "./login.ts";
import { brokerAddress, isComplete, problemOf, type Settings, toFragment } from "./settings.ts";

/** Shows the form, filled with what is known, and why that is not enough; what is entered becomes the page's fragment. */
export function askForSettings(known: Partial<Settings>): void {
  root.dataset["state"] = "idle";
  document.title = "Camera";
  card.title.textContent = "Which camera?";
  card.text.textContent = "Tell this page where the camera's broker is, and the name of its node.";
  // Who comes with nothing has done nothing wrong.
  openForm(known, Object.keys(known).length > 0 ? (problemOf(known) ?? "") : "");
  setup.onsubmit = (event) => {
    event.preventDefault();
    const settings = entered(known);
    if (settings !== undefined) goTo(settings);
  };
}

/** Shows the form for this camera's broker, which has let nobody in for the reason `why`; `login` gets what is entered. */
export function askForLogin(known: Settings, username: string | undefined, why: string, login: (login: Login, settings: Settings) => void): void {
  Object.assign(root.dataset, { state: "refused", reason: "unauthorized" });
  buttons.connect.hidden = buttons.call.hidden = buttons.change.hidden = true;
  card.title.textContent = "Sign in";
  card.text.textContent = why;
  loginFields.hidden = loginFields.disabled = false;
  openForm({ ...known, broker: brokerAddress(known.broker, location.href) }, "");
  const [name, password] = [inputOf("username"), inputOf("password")];
  if (name !== undefined) name.value = username ?? name.value;
  if (password !== undefined) password.value = "";
  (name?.value === "" ? name : password)?.focus();
  setup.onsubmit = (event) => {
    event.preventDefault();
    const settings = entered(known);
    if (settings !== undefined) login({ username: name?.value.trim() ?? "", password: password?.value ?? "" }, settings);
  };
}

/** Whether it is open. */
export function isAsking(): boolean {
  return !setup.hidden;
}

/** Takes the form away: the camera's own words stand there again. */
export function closeForm(): void {
  setup.hidden = loginFields.hidden = loginFields.disabled = true;
  root.dataset["page"] = "camera";
}

/** Another camera: the page listens to its fragment and starts with it. */
export function goTo(settings: Settings): void {
  const fragment = toFragment(settings);
  // The same fragment again would not be heard.
  if (location.hash === fragment) location.reload();
  else location.hash = fragment;
}

function openForm(known: Partial<Settings>, hint: string): void {
  root.dataset["page"] = "setup";
  card.hint.textContent = hint;
  setup.hidden = false;
  for (const key of ["broker", "node"] as const) {
    const input = inputOf(key);
    if (input !== undefined) input.value = known[key] ?? "";
  }
}

/** What stands in the form, or nothing, and what is wrong with it on the card. */
function entered(known: Partial<Settings>): Settings | undefined {
  const text = (key: string): string => inputOf(key)?.value.trim() ?? "";
  const settings = { ...known, broker: brokerAddress(text("broker"), location.href), node: text("node") };
  if (isComplete(settings)) return settings;
  card.hint.textContent = problemOf(settings) ?? "";
  return undefined;
}

function inputOf(name: string): HTMLInputElement | undefined {
  const input = setup.elements.namedItem(name);
  return input instanceof HTMLInputElement ? input : undefined;
}
