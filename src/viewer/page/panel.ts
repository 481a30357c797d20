/** The settings of the camera, made from what it reports, for whom they are; and how board and network are, for all who watch. */

import { type Camera, type CameraSettings, type Control, ControlError } from "../lib/index.ts";
import { buttons, panel, root } from "./elements.ts";
import { controlField, type Field } from "./fields.ts";
import { showTelemetry } from "./plots.ts";
import { notify } from "./toast.ts";
import { isTyping } from "./typing.ts";

/** Makes button, keys and fields work; `opened` is told each time that somebody looks, and when a session comes back meanwhile. */
export function followPanel(camera: Camera, shown: () => string | undefined, opened: () => void): void {
  let fields: Field[] = [];
  const name = (): string => shown() ?? camera.status?.cameras?.[0]?.name ?? "main";

  /** Asks; what the camera refuses is said, and shown as it is. */
  const ask = (work: (control: Control) => Promise<void>): void => {
    const { control } = camera;
    if (control === undefined) return;
    work(control).catch((error: unknown) => {
      // Whoever has gone over to the next session is not to be told of the end of the last one.
      if (error instanceof ControlError && error.name === "AbortError") return;
      notify(error instanceof Error ? error.message : String(error));
      refresh();
    });
  };

  const refresh = (): void => {
    ask(async (control) => {
      const { cameras } = await control.request("describe", {});
      const about = cameras.find((each) => each.name === name());
      panel.privacy.checked = about?.privacy ?? false;
      panel.mutedRow.hidden = about?.muted === undefined;
      panel.muted.checked = about?.muted ?? false;
      showSettings(await control.request("camera.settings", { camera: name() }));
      const own = about?.privacy === true ? [] : await control.controls(name()).catch(() => []);
      fields = own.map((each) => controlField(each, set));
      panel.own.replaceChildren(...fields.map(({ element }) => element));
      panel.ownTitle.hidden = fields.length === 0;
    });
  };

  const set = (id: number, value: number | undefined): void => {
    ask(async (control) => {
      const { controls } = await control.request("camera.setControl", { camera: name(), id, ...(value !== undefined && { value }) });
      // An automatic mode takes others with it.
      for (const changed of controls) fields.find((field) => field.id === changed.id)?.show(changed);
    });
  };

  const change = (settings: { width?: number; height?: number; fps?: number; bitrateKbps?: number }): void => {
    ask(async (control) => {
      showSettings(await control.request("camera.setSettings", { camera: name(), ...settings }));
    });
  };

  const open = (isOpen: boolean): void => {
    const begins = isOpen && panel.box.hidden;
    panel.box.hidden = !isOpen;
    root.dataset["panel"] = String(isOpen);
    buttons.adjust.setAttribute("aria-expanded", String(isOpen));
    if (begins) refresh();
    if (begins) opened();
    if (begins) panel.close.focus({ preventScroll: true });
  };

  let mayChange = false;
  let hasFigures = false;

  /** Offers what there is to be seen or changed. */
  const offer = (): void => {
    buttons.adjust.hidden = !mayChange && !hasFigures;
    panel.settings.hidden = !mayChange;
    panel.restart.hidden = !mayChange;
    const title = mayChange ? "Camera settings" : "How the camera is";
    if (panel.title.textContent === title) return;
    panel.title.textContent = title;
    buttons.adjust.ariaLabel = title;
    buttons.adjust.title = `${title} (A)`;
  };

  const allow = (isAllowed: boolean): void => {
    mayChange = isAllowed;
    offer();
    if (!isAllowed) panel.question.close();
    // A session that comes back finds the panel as it was.
    if (isAllowed && !panel.box.hidden) refresh();
  };

  camera.on("control", (control) => {
    allow(control !== undefined);
  });
  camera.on("telemetry", (telemetry) => {
    hasFigures = true;
    offer();
    showTelemetry(telemetry);
  });
  let isLive = false;
  camera.on("state", ({ state }) => {
    const comes = state === "live" && !isLive;
    isLive = state === "live";
    if (comes && !panel.box.hidden) opened();
    if (isLive) return;
    hasFigures = false;
    offer();
  });
  buttons.adjust.addEventListener("click", () => {
    open(panel.box.hidden);
  });
  panel.close.addEventListener("click", () => {
    open(false);
    buttons.adjust.focus({ preventScroll: true });
  });
  panel.privacy.addEventListener("change", () => {
    ask(async (control) => {
      const { privacy, kept } = await control.request("camera.privacy", { camera: name(), on: panel.privacy.checked });
      notify(words(privacy ? "Camera and microphone are switched off." : "Camera and microphone are on again.", kept));
      refresh();
    });
  });
  panel.muted.addEventListener("change", () => {
    ask(async (control) => {
      const { muted, kept } = await control.request("camera.mute", { camera: name(), muted: panel.muted.checked });
      notify(words(muted ? "Nobody hears this camera now." : "The camera is heard again.", kept));
    });
  });
  panel.size.addEventListener("change", () => {
    const [width, height] = panel.size.value.split("x").map(Number);
    if (width !== undefined && height !== undefined) change({ width, height });
  });
  panel.fps.addEventListener("input", showNumbersOf);
  panel.bitrate.addEventListener("input", showNumbersOf);
  panel.fps.addEventListener("change", () => {
    change({ fps: panel.fps.valueAsNumber });
  });
  panel.bitrate.addEventListener("change", () => {
    change({ bitrateKbps: panel.bitrate.valueAsNumber });
  });
  panel.restart.addEventListener("click", () => {
    panel.question.returnValue = "";
    panel.question.showModal();
  });
  panel.question.addEventListener("close", () => {
    if (panel.question.returnValue !== "yes") return;
    ask(async (control) => {
      await control.request("node.restart", {});
      notify("The camera restarts.");
    });
  });
  addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || buttons.adjust.hidden || panel.question.open) return;
    if (event.key === "Escape" && !panel.box.hidden) open(false);
    if (event.key.toLowerCase() === "a" && !isTyping(event)) open(panel.box.hidden);
  });
}

function words(said: string, kept: boolean): string {
  return kept ? said : `${said} The camera cannot keep this over a restart: its disk is full, or read-only.`;
}

/** The highest rate and bit rate that a slider offers: what is beyond is for the config. */
const MOST = { fps: 60, bitrateKbps: 8_000 };

function showSettings({ width, height, fps, bitrateKbps, limits, sizes }: CameraSettings): void {
  if (sizes !== undefined || panel.size.options.length === 0) {
    const all = [...(sizes ?? [])];
    if (!all.some((size) => size.width === width && size.height === height)) all.push({ width, height });
    const options = all.map((size) => new Option(`${size.width} × ${size.height}`, `${size.width}x${size.height}`));
    panel.size.replaceChildren(...options);
  }
  panel.size.value = `${width}x${height}`;
  range(panel.fps, limits.fps.minimum, Math.max(fps, Math.min(MOST.fps, limits.fps.maximum)), 1, fps);
  range(panel.bitrate, limits.bitrateKbps.minimum, Math.max(bitrateKbps, Math.min(MOST.bitrateKbps, limits.bitrateKbps.maximum)), 100, bitrateKbps);
  showNumbersOf();
}

function range(input: HTMLInputElement, minimum: number, maximum: number, step: number, value: number): void {
  input.min = String(minimum);
  input.max = String(maximum);
  input.step = String(step);
  input.value = String(value);
}

function showNumbersOf(): void {
  panel.fpsShown.textContent = panel.fps.value;
  panel.bitrateShown.textContent = `${panel.bitrate.value} kbit/s`;
}
