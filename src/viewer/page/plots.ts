/** Telemetry as small lines: the last two minutes of each number. */

import type { Telemetry } from "../lib/index.ts";
import { panel } from "./elements.ts";
import { type Figure, FIGURES } from "./figures.ts";
import { PLOT_WIDTH, plotPoints } from "./numbers.ts";

const SVG = "http://www.w3.org/2000/svg";

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
