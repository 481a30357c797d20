/** A camera's own controls as things to touch: sliders, switches, menus, buttons. */

import type { CameraControl } from "../lib/index.ts";

/** One of them. */
export interface Field {
  readonly id: number;
  readonly element: HTMLElement;
  /** Shows it as it is now. */
  show(control: CameraControl): void;
}

/** A slider says what it is at only so often while it is dragged. */
const EVERY_MS = 100;

/** Makes one; `set` is told what is chosen, nothing by a button. */
export function controlField(control: CameraControl, set: (id: number, value: number | undefined) => void): Field {
  const { id, kind, name } = control;
  const label = document.createElement("label");
  label.className = kind === "boolean" ? "field field-switch" : "field";
  const words = document.createElement("span");
  const number = document.createElement("output");
  words.append(name);
  const touched = touchable(control, (value) => {
    number.textContent = kind === "integer" ? String(value) : "";
    set(id, value);
  });
  touched.dataset["testid"] = `control-${id}`;
  if (kind === "button") label.append(touched);
  else {
    if (kind === "integer") words.append(number);
    label.append(words, touched);
  }
  const field: Field = {
    id,
    element: label,
    show: (now) => {
      touched.toggleAttribute("disabled", now.readOnly || now.inactive);
      if (now.value === undefined) return;
      if (touched instanceof HTMLInputElement && touched.type === "checkbox") touched.checked = now.value !== 0;
      // What is being dragged is where the finger is.
      else if (!(touched instanceof HTMLButtonElement) && !touched.matches(":active")) touched.value = String(now.value);
      if (kind === "integer") number.textContent = String(now.value);
    },
  };
  field.show(control);
  return field;
}

type Touchable = HTMLInputElement | HTMLSelectElement | HTMLButtonElement;

function touchable(control: CameraControl, chosen: (value: number | undefined) => void): Touchable {
  switch (control.kind) {
    case "button": {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button button-line";
      button.textContent = control.name;
      button.addEventListener("click", () => {
        chosen(undefined);
      });
      return button;
    }
    case "boolean": {
      const box = document.createElement("input");
      box.type = "checkbox";
      box.className = "switch";
      box.setAttribute("role", "switch");
      box.addEventListener("change", () => {
        chosen(box.checked ? 1 : 0);
      });
      return box;
    }
    case "menu": {
      const menu = document.createElement("select");
      menu.append(...(control.items ?? []).map(({ name, value }) => new Option(name, String(value))));
      menu.addEventListener("change", () => {
        chosen(Number(menu.value));
      });
      return menu;
    }
    case "integer": {
      const slider = document.createElement("input");
      slider.type = "range";
      slider.min = String(control.minimum);
      slider.max = String(control.maximum);
      slider.step = String(Math.max(1, control.step));
      let next: ReturnType<typeof setTimeout> | undefined;
      slider.addEventListener("input", () => {
        next ??= setTimeout(() => {
          next = undefined;
          chosen(slider.valueAsNumber);
        }, EVERY_MS);
      });
      return slider;
    }
  }
}
