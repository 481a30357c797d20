/** Asks for user name and password where the broker lets nobody in without. */

import type { Camera, CameraState } from "../lib/index.ts";
import { type Door, keepLogin } from "./login.ts";
import { brokerAddress, type Settings } from "./settings.ts";
import { askForLogin, closeForm, goTo, isAsking } from "./setup.ts";

/** What only who has been let in by the broker is told. */
const BEHIND_BROKER: ReadonlySet<CameraState["reason"]> = new Set(["node", "join", "nodeOffline", "nodeRestarted", "live"]);

/** Follows what the broker says to us; `show` writes the camera's state once nothing is asked any more. */
export function followSignIn(camera: Camera, door: Door, settings: Settings, show: () => void): void {
  const ask = (): void => {
    const why = door.refused();
    if (!isAsking()) askForLogin(settings, door.username, why, enter);
  };
  const enter = (login: Parameters<Door["enter"]>[0], entered: Settings): void => {
    const isSame = entered.node === settings.node && entered.broker === brokerAddress(settings.broker, location.href);
    if (!isSame) {
      // Of another broker nothing is known yet: the page starts anew with it.
      keepLogin(entered, login, () => sessionStorage);
      goTo(entered);
      return;
    }
    const watches = camera.state.state !== "idle";
    door.enter(login);
    closeForm();
    // At once, whatever the waits between tries have come to. A tablet only waits for calls.
    camera.stop();
    camera.start();
    if (!watches) camera.stop();
    show();
  };
  const taken = (): void => {
    door.taken();
    if (!isAsking()) return;
    closeForm();
    show();
  };

  camera.on("state", ({ reason }) => {
    if (reason === "unauthorized") ask();
    else if (BEHIND_BROKER.has(reason)) taken();
  });
  camera.on("status", taken);
  camera.on("registration", ({ reason }) => {
    if (reason === "unauthorized") ask();
  });
}
