/** Telemetry as small lines: the last two minutes of each number. */

import type { Telemetry } from "../lib/index.ts";
import { panel } from "./elements.ts";
import { bitrate, milliseconds, PLOT_WIDTH, plotPoints } from "./numbers.ts";

const SVG = "http://www.w3.org/2000/svg";

interface Figure {
  readonly name: string;
  readonly label: string;
  readonly read: (telemetry: Telemetry) => number | undefined;
  readonly words: (value: number) => string;
  /** The least span of its axis, so that nothing is made of noise. */
  readonly span: number;
}

const megabytes = (bytes: number): string => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

const FIGURES: readonly Figure[] = [
  { name: "temperature", label: "Temperature", read: (t) => t.temperature_c, words: (v) => `${v.toFixed(1)} °C`, span: 10 },
  { name: "load", label: "Load", read: (t) => t.load, words: (v) => v.toFixed(2), span: 1 },
  { name: "memory", label: "Free memory", read: (t) => t.memoryAvailableBytes, words: megabytes, span: 1e8 },
  { name: "disk", label: "Free disk", read: (t) => t.diskFreeBytes, words: megabytes, span: 1e8 },
  { name: "wifi", label: "Wi-Fi", read: (t) => t.wifi_dbm, words: (v) => `${v} dBm`, span: 20 },
  { name: "bitrate", label: "To you", read: (t) => t.viewer?.bitrate_bps, words: bitrate, span: 500_000 },
  { name: "rtt", label: "Round trip", read: (t) => t.viewer?.rtt_ms, words: milliseconds, span: 10 },
  { name: "latency", label: "In the camera", read: (t) => Object.values(t.cameras)[0]?.captureToWire_ms, words: milliseconds, span: 10 },
];

interface Plot {
  readonly values: number[];
  readonly line: SVGPolylineElement;
  readonly output: HTMLOutputElement;
}

const plots = new Map<string, Plot>();

/** Draws one more second. */
export function showTelemetry(telemetry: Telemetry): void {
  for (const figure of FIGURES) {
    const value = figure.read(telemetry);
    // What a board does not tell has no place.
    if (value === undefined) continue;
    const plot = plots.get(figure.name) ?? add(figure);
    plot.values.push(value);
    if (plot.values.length > PLOT_WIDTH) plot.values.shift();
    plot.output.textContent = figure.words(value);
    plot.line.setAttribute("points", plotPoints(plot.values, figure.span));
  }
  const throttled = telemetry.throttled?.now ?? [];
  panel.plots.dataset["throttled"] = throttled.join(" ");
  panel.plotsTitle.textContent = throttled.length === 0 ? "Board and network" : `Board: ${throttled.join(", ")}`;
  panel.plotsTitle.hidden = plots.size === 0;
}

function add({ name, label }: Figure): Plot {
  const figure = document.createElement("figure");
  figure.className = "plot";
  figure.dataset["testid"] = `plot-${name}`;
  const caption = document.createElement("figcaption");
  const words = document.createElement("span");
  words.textContent = label;
  const output = document.createElement("output");
  caption.append(words, output);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 120 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  svg.append(line);
  figure.append(caption, svg);
  // In the order of the table, whenever they come.
  const after = FIGURES.slice(FIGURES.findIndex((each) => each.name === name) + 1);
  const next = after.map((each) => panel.plots.querySelector(`[data-testid="plot-${each.name}"]`)).find((found) => found !== null);
  panel.plots.insertBefore(figure, next ?? null);
  const plot = { values: [], line, output };
  plots.set(name, plot);
  return plot;
}
