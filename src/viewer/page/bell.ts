/** The bell: whether this browser rings when the node calls. */

import type { Camera, RegistrationState } from "../lib/index.ts";
import { browserName, nextName } from "./bellname.ts";
import { buttons, root } from "./elements.ts";
import type { Kept } from "./kept.ts";
import { askToNotify } from "./notification.ts";
import { tuneIn } from "./ringtone.ts";
import { notify } from "./toast.ts";
import { isTyping } from "./typing.ts";

/** Follows the button that turns it on; `kept` is what this browser remembers. Gives the way to turn it on otherwise. */
export function followBell(camera: Camera, kept: Kept): { turnOn: () => void } {
  const turnOn = (): void => {
    isNews = true;
    tuneIn();
    void askToNotify();
    const name = browserName(navigator.userAgent, mark());
    kept.set(name);
    camera.register(name);
  };
  const turnOff = (): void => {
    kept.set(undefined);
    camera.unregister();
    notify("This browser does not ring any more.");
  };

  buttons.bell.addEventListener("click", () => {
    if (camera.registration.state === "off" || camera.registration.state === "refused") turnOn();
    else turnOff();
  });
  addEventListener("keydown", (event) => {
    if (!isTyping(event) && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && event.key.toLowerCase() === "b") buttons.bell.click();
  });

  camera.on("registration", (registration) => {
    const another = registration.reason === "nameTaken" ? nextName(registration.name ?? "") : undefined;
    if (another !== undefined) camera.register(another);
    else showBell(registration);
  });

  const name = kept.get();
  if (name !== undefined) camera.register(name);
  showBell(camera.registration);
  return {
    turnOn: () => {
      if (camera.registration.state !== "off") return;
      turnOn();
      isNews = false;
    },
  };
}

let shown: RegistrationState["state"] = "off";
/** Somebody has just turned it on, and not the page itself at its beginning, or after the broker was away. */
let isNews = false;

function showBell({ state, reason, said }: RegistrationState): void {
  const { bell } = buttons;
  root.dataset["bell"] = state;
  bell.setAttribute("aria-pressed", String(state === "on" || state === "pending"));
  bell.title = state === "on" ? "Rings here (B)" : state === "pending" ? "Will ring here once the camera can be reached (B)" : "Ring here when somebody calls (B)";
  if (state === shown) return;
  shown = state;
  if (state === "on" && isNews) notify("This browser rings when somebody calls, as long as this page is open.");
  isNews = isNews && state === "pending";
  // That nobody is let in stands on the card already.
  if (state === "refused" && reason !== "unauthorized") notify(reason === "unsupported" ? "This camera does not call anybody." : `This browser cannot be called: ${said ?? "the camera does not allow it"}`);
}

/** Enough to tell the browsers of a household. */
function mark(): string {
  return (crypto.getRandomValues(new Uint16Array(1))[0] ?? 0).toString(16).padStart(4, "0").slice(-3);
}
