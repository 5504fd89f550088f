// A picture with its title, its colour scale, and what can be done with it: look up values, choose pixels, save.

import { gradient, paint, paintImage } from "./colours.js";
import { html, svg } from "./dom.js";
import { short } from "./numbers.js";
import { savePNG, saveSVG } from "./save.js";

const MEANINGS = {
  brightness: ", from 0 (black) to 1 (white)",
  "layer units": ": what the layer returns, before its activation",
};

/** A bar of colours with the numbers at its ends: {kind, limit, unit}. */
export function scaleBar({ kind, limit, unit }) {
  const { low, high } = ends({ kind, limit });
  return html(
    "div",
    { class: "scale", title: `the colours end at ${short(limit)} ${unit}${MEANINGS[unit] ?? ""}` },
    html("span", {}, low),
    html("i", { style: `background: ${gradient(kind)}` }),
    html("span", {}, high),
    html("span", { class: "unit" }, unit),
  );
}

function ends({ kind, limit }) {
  return { low: kind === "signed" ? `−${short(limit)}` : "0", high: kind === "signed" ? `+${short(limit)}` : short(limit) };
}

export class Picture {
  /** `listeners`: hover(row, column or null), and pick(rectangle) where pixels can be chosen. */
  constructor({ title, name, listeners = {}, className = "" }) {
    this.title = title;
    this.name = name;
    this.listeners = listeners;
    this.canvas = html("canvas", { role: "img", "aria-label": title });
    this.marks = svg("svg", { class: "marks", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.caption = html("figcaption", {}, html("b", {}, title));
    this.legend = html("div", { class: "legend" });
    this.stage = html("div", { class: "stage" }, this.canvas, this.marks);
    this.element = html("figure", { class: `picture ${className}` }, this.caption, this.stage, this.legend);
    this.caption.append(
      html(
        "span",
        { class: "save" },
        html("button", { type: "button", title: `save “${title}” as PNG`, onclick: () => savePNG(this.canvas, this.name) }, "PNG"),
        html("button", { type: "button", title: `save “${title}” as SVG`, onclick: () => this.saveSVG() }, "SVG"),
      ),
    );
    this.follow();
  }

  /** An image (C, h, w) in colour. */
  image(values) {
    paintImage(this.canvas, values);
    this.scale = null;
    this.legend.replaceChildren();
    return this.shaped();
  }

  /** Values (h, w) on one of the two scales: {kind, limit, unit}. */
  values(data, shape, scale) {
    paint(this.canvas, data, shape, scale.kind, scale.limit);
    this.scale = scale;
    this.legend.replaceChildren(scaleBar(scale));
    return this.shaped();
  }

  shaped() {
    this.stage.style.aspectRatio = `${this.canvas.width} / ${this.canvas.height}`;
    this.marks.setAttribute("viewBox", `0 0 ${this.canvas.width} ${this.canvas.height}`);
    return this;
  }

  /** Words beside the title. */
  note(text) {
    this.words ??= this.caption.insertBefore(html("span", { class: "note" }), this.caption.lastChild);
    this.words.textContent = text;
    return this;
  }

  /** Mark a pixel under the pointer, and the chosen rectangle [top, left, bottom, right]. */
  mark({ hover = null, chosen = null, outline = null }) {
    const box = ([top, left, bottom, right], className) =>
      svg("rect", { class: className, x: left, y: top, width: right - left, height: bottom - top, rx: 0 });
    this.marks.replaceChildren(
      ...(outline ? [svg("path", { class: "outline", d: outline })] : []),
      ...(chosen ? [box(chosen, "chosen-under"), box(chosen, "chosen")] : []),
      ...(hover ? [box([hover[0], hover[1], hover[0] + 1, hover[1] + 1], "hover")] : []),
    );
  }

  saveSVG() {
    saveSVG(this.canvas, this.name, this.title, this.scale && { kind: this.scale.kind, ...withUnit(this.scale) });
  }

  follow() {
    const { hover, pick, drag } = this.listeners;
    if (!hover) return;
    let from = null;
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      const place = (share, side) => Math.max(0, Math.min(side - 1, Math.floor(share * side)));
      return [
        place((event.clientY - box.top) / box.height, this.canvas.height),
        place((event.clientX - box.left) / box.width, this.canvas.width),
      ];
    };
    const between = (one, other) => [
      Math.min(one[0], other[0]),
      Math.min(one[1], other[1]),
      Math.max(one[0], other[0]) + 1,
      Math.max(one[1], other[1]) + 1,
    ];
    this.stage.addEventListener("pointermove", (event) => {
      hover(at(event));
      if (from && drag) drag(between(from, at(event)));
    });
    this.stage.addEventListener("pointerleave", () => hover(null));
    if (!pick) return;
    this.stage.classList.add("pickable");
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = at(event);
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointerup", (event) => {
      if (from) pick(between(from, at(event)));
      from = null;
    });
    this.stage.addEventListener("pointercancel", () => {
      from = null;
      if (drag) drag(null);
    });
  }
}

const withUnit = (scale) => {
  const { low, high } = ends(scale);
  return { low, high: `${high} ${scale.unit}` };
};
