/** The page: finds out which camera to show, and joins the library to the elements. */

import { Camera, type CameraEvent, type CameraState, scopesOfToken, type Stats, type Status } from "../lib/index.ts";
import { drawAmbience, followAmbience } from "./ambience.ts";
import { followBell } from "./bell.ts";
import { keptName } from "./bellname.ts";
import { followCalls } from "./calls.ts";
import { followPeople, stir } from "./calm.ts";
import { followControls } from "./controls.ts";
import { buttons, root } from "./elements.ts";
import { kept, type Kept } from "./kept.ts";
import { LastName } from "./lastname.ts";
import { measureLatency } from "./latency.ts";
import { Door, isOwnBroker } from "./login.ts";
import { hasSound, onFirstPicture, show } from "./player.ts";
import { showName, showNumbers, showState } from "./screen.ts";
import { showLacks } from "./insecure.ts";
import { followFiles } from "./files.ts";
import { followPanel } from "./panel.ts";
import { secretsFor, takeSecrets } from "./secrets.ts";
import { brokerAddress, findSettings, isComplete, type Settings } from "./settings.ts";
import { askForSettings, isAsking } from "./setup.ts";
import { followSignIn } from "./signin.ts";
import { isTabletByAddress, onFirstTouch, Tablet } from "./tablet.ts";
import { followTalk } from "./talk.ts";
import { followChoices } from "./thisbrowser.ts";
import { followVisibility, keepAwake } from "./wakelock.ts";

declare global {
  interface Window {
    /** For tests and the curious; reading it changes nothing. */
    readonly cameraNode?: Hook;
  }
}

/** What `window.cameraNode` offers. */
interface Hook {
  readonly camera: Camera;
  readonly state: CameraState;
  readonly stats: Stats | undefined;
  readonly status: Status | undefined;
  /** Steps of the protocol, oldest first; `time` is as `Date.now()` counts. */
  readonly events: readonly CameraEvent[];
  /** From the last `join` to its first picture on the screen. */
  readonly firstPictureMs: number | undefined;
  /** From the stamp of a test pattern to the screen. */
  readonly measuredLatencyMs: number | undefined;
}

async function main(): Promise<void> {
  // First of all, so that it stands in the address for no longer than it must.
  const given = takeSecrets();
  followPeople();
  followVisibility();
  followAmbience();
  // Another fragment is another camera.
  addEventListener("hashchange", () => {
    location.reload();
  });
  const { settings, from, https } = await findSettings();
  if (isComplete(settings)) {
    const secrets = secretsFor(settings, given, () => sessionStorage);
    showLacks(https, secrets);
    const password = { value: secrets.password, isNew: given.password !== undefined };
    const door = new Door(settings, brokerAddress(settings.broker, location.href), password, () => sessionStorage);
    const takesLogins = !isOwnBroker(settings, from);
    watch(settings, secrets.token, door, https, { mayChange: from === "fragment", byAddress: isTabletByAddress(location.hash), takesLogins });
  } else askForSettings(settings);
}

/** What of the page depends on where the camera was found. */
interface Place {
  /** Another camera may be chosen. */
  readonly mayChange: boolean;
  /** The address makes a wall tablet of this browser. */
  readonly byAddress: boolean;
  /** The broker may want a user name and a password. */
  readonly takesLogins: boolean;
}

function watch(settings: Settings, token: string | undefined, door: Door, https: string | undefined, { mayChange, byAddress, takesLogins }: Place): void {
  const { node, prefix } = settings;
  const allows = allowed(token);
  const mayTalk = allows("talk");
  const camera = new Camera({
    wants: { video: true, audio: true, ...(mayTalk && { talk: true }), channels: ["telemetry", "snapshot", ...["control", "files"].filter(allows)] },
    connect: door.connect,
    node,
    ...(prefix !== undefined && { prefix }),
    ...(token !== undefined && { token }),
  });
  const keep = (what: string): Kept => kept(what, settings, () => localStorage);
  const tablet = new Tablet(keep("wall-tablet"), byAddress);
  let shown: string | undefined;
  let firstPictureMs: number | undefined;
  let stillFor = 0;
  let isTouched = false;
  const measured = measureLatency();
  const called = new LastName(node, keep("name"));

  const state = (): void => {
    if (isAsking()) return;
    const details = camera.status?.state_detail;
    const detail = shown === undefined ? undefined : details?.cameras[shown];
    showState(camera.state, { detail, warnings: details?.warnings ?? [], isStill: stillFor >= 3, mayChange, mayCall: mayTalk, idle: tablet.isOn ? waits(isTouched) : undefined });
  };

  // Before all others: while somebody has to type, nothing else is said.
  if (takesLogins) followSignIn(camera, door, settings, state);
  camera.on("state", ({ state: name }) => {
    if (name !== "live") stillFor = 0;
    keepAwake(name === "live" || tablet.isOn);
    stir(true);
    state();
  });
  camera.on("status", (status) => {
    called.hear(status);
    showName(called.shown);
    state();
  });
  camera.on("stream", (got) => {
    // A page shows one camera: the first that comes.
    if (got !== undefined && got.camera !== (shown ??= got.camera)) return;
    show(got?.stream);
    buttons.sound.hidden = !hasSound();
    if (got === undefined) showNumbers(undefined, undefined);
  });
  camera.on("stats", (stats) => {
    stillFor = stats.still ? stillFor + 1 : 0;
    showNumbers(stats, measured());
    state();
  });
  onFirstPicture((time) => {
    const join = camera.events.findLast((event) => event.name === "join");
    drawAmbience();
    firstPictureMs = join === undefined ? undefined : time - join.time;
    stir(true);
    state();
  });
  const bell = followBell(camera, keptName(settings, () => localStorage));
  const turned = (on: boolean): void => {
    root.dataset["tablet"] = String(on);
    keepAwake(on || camera.state.state === "live");
    if (on) bell.turnOn();
    state();
  };
  const choices = { tablet, microphone: keep("microphone"), speaker: keep("speaker"), https };
  const microphone = followChoices(camera, choices, turned);
  followTalk(camera, { mayTalk, https, microphone });
  followCalls(camera, { mayTalk, https, microphone, answersItself: () => tablet.isOn });
  const files = allows("files") ? followFiles(camera) : undefined;
  const look = (): void => {
    files?.look();
  };
  followPanel(camera, () => shown, look);
  followControls(camera, { node, shown: () => shown ?? "camera", https });

  const hook: Hook = {
    camera,
    get state() {
      return camera.state;
    },
    get stats() {
      return camera.stats;
    },
    get status() {
      return camera.status;
    },
    get events() {
      return camera.events;
    },
    get firstPictureMs() {
      return firstPictureMs;
    },
    get measuredLatencyMs() {
      return measured();
    },
  };
  Object.defineProperty(window, "cameraNode", { value: Object.freeze(hook) });

  onFirstTouch(() => {
    isTouched = true;
    state();
  });
  root.dataset["page"] = "camera";
  showName(called.shown);
  if (tablet.isOn) turned(true);
  else camera.start();
}

/** What a wall tablet says while nobody calls. */
function waits(isTouched: boolean): { title: string; text: string; hint: string } {
  const hint = isTouched ? "" : "Touch the screen once: browsers let a page sound only after that.";
  return { title: "Waiting for calls", text: "This tablet answers by itself when the camera calls.", hint };
}

/** What this token allows; where none is needed, everything. One that is asked for more than it allows would not let us in at all. */
function allowed(token: string | undefined): (scope: string) => boolean {
  const scopes = token === undefined ? undefined : scopesOfToken(token);
  return (scope) => scopes === undefined || scopes.includes(scope);
}

void main();
