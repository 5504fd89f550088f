// One pane: a run at an epoch under a convention, its pictures, the list and the chosen neurons.

import { errorOf } from "./colours.js";
import { choices, html, press, Section } from "./dom.js";
import { Detail } from "./detail.js";
import { EpochSlider } from "./epochs.js";
import { ORDERS, table } from "./list.js";
import { drawMatches, findMatches } from "./match.js";
import { decibels, limitOf, short } from "./numbers.js";
import { Picture } from "./picture.js";
import { ask } from "./server.js";

export const CONVENTIONS = [
  { value: "paper", title: "the paper's formulas" },
  { value: "released", title: "the formulas of the authors' code" },
  { value: "effect", title: "how the image moves, to first order, when the neuron is taken away" },
];
const BRIGHTNESS = "brightness";

export class Pane {
  /** `app`: change(patch), changePane(index, patch), hover(pixel), and the state. */
  constructor(app, index) {
    this.app = app;
    this.index = index;
    this.controls = new Section("controls", "the run");
    this.pictures = new Section("pictures", "the frame");
    this.readout = html("p", { class: "readout", "aria-live": "off" });
    this.instances = html("div", { class: "instances" });
    this.list = new Section("list", "the list");
    this.match = new Section("match", "the match");
    this.listActions = {
      sortBy: (sort) => app.sortBy(sort),
      more: () => app.more(),
      choose: (layer, neuron, more) => app.choose(layer, neuron, more, index),
    };
    this.detail = new Detail({
      focus: ({ layer, neuron }) => app.choose(layer, neuron, true, app.state.from),
      drop: ({ layer, neuron }) => app.drop(layer, neuron),
      epoch: (epoch) => app.changePane(index, { epoch }),
      hover: (pixel) => app.hover(pixel),
    });
    this.left = html("div", { class: "frame" }, this.pictures.element, this.readout, this.instances);
    this.element = html(
      "article",
      { class: "pane" },
      html("div", { class: "inner" }, this.controls.element, this.left, this.list.element, html("div", { class: "chosen" }, this.match.element, this.detail.element)),
    );
  }

  /** Show the app's state; `facts` are those of the pane's run. */
  show(state, runs, facts) {
    const own = state.panes[this.index];
    this.state = state;
    this.own = own;
    this.drawControls(own, runs, facts, state);
    const moment = { run: own.run, epoch: own.epoch, frame: state.frame };
    this.pictures.show(
      JSON.stringify(moment),
      () => ask("pictures", moment),
      (answer) => this.drawPictures(answer, moment),
    );
    this.mark();
    this.pressInstance();
    this.showChosen(state, own, moment, facts);
  }

  /** The list and the chosen neurons: where these are of the other pane's run, the ones that are matched to them. */
  showChosen(state, own, moment, facts) {
    const source = state.panes[state.panes.length === 2 ? state.from : this.index];
    this.proceed = (neurons) => {
      this.showList(state, own, moment, neurons);
      this.showDetail(own, moment, facts, neurons);
    };
    if (source.run === own.run || !state.neurons.length) {
      this.match.put("none", () => []);
      this.proceed(state.neurons);
      return;
    }
    const key = JSON.stringify([source.run, source.epoch, moment, state.neurons]);
    if (this.match.key === key) {
      if (this.matched) this.proceed(this.matched.neurons);
      return;
    }
    this.matched = null;
    const draw = (found) => {
      this.matched = found;
      this.proceed(found.neurons);
      return drawMatches(found, source.run);
    };
    this.match.show(key, () => findMatches(state.neurons, source, own, state.frame), draw).then(() => {
      if (this.match.key === null) this.proceed([]); // what went wrong stands there
    });
  }

  drawControls(own, runs, facts, state) {
    this.controls.put(JSON.stringify([own.run, runs, facts, state.frame]), () => {
      const choose = (patch) => this.app.changePane(this.index, patch);
      this.slider = new EpochSlider(facts, state.frame, (epoch) => choose({ epoch }));
      this.convention = choices("convention", CONVENTIONS, own.convention, (convention) => choose({ convention }));
      const select = html(
        "select",
        { "aria-label": "run", onchange: (event) => choose({ run: event.target.value, epoch: null }) },
        runs.map((name) => html("option", { value: name, selected: name === own.run }, name)),
      );
      return [html("label", {}, "run", select), this.convention, this.slider.element];
    });
    this.slider.show(own.epoch);
    press(this.convention, own.convention);
  }

  drawPictures(answer, moment) {
    this.answer = answer;
    const [, height, width] = answer.reconstruction.shape;
    this.size = [height, width];
    const listeners = {
      hover: (pixel) => this.app.hover(pixel),
      drag: (rectangle) => this.drag(rectangle),
      pick: (rectangle) => this.pick(rectangle),
    };
    const make = (title) => new Picture({ title, name: `${title}-${moment.run}-frame-${moment.frame}-epoch-${moment.epoch}`, listeners });
    const reconstruction = make("reconstruction").image(answer.reconstruction);
    this.shown = [reconstruction];
    if (answer.psnr !== null) reconstruction.note(decibels(answer.psnr));
    if (answer.target && answer.target.shape[0] === answer.reconstruction.shape[0]) {
      this.error = errorOf(answer.reconstruction, answer.target);
      const { limit } = limitOf([this.error.data]);
      const error = make("error").values(this.error.data, this.error.shape, { kind: "magnitude", limit, unit: BRIGHTNESS });
      this.shown = [make("target").image(answer.target), reconstruction, error];
    } else {
      this.error = null;
    }
    this.drawInstances();
    this.pressInstance();
    this.mark();
    return html("div", { class: "three" }, this.shown.map((picture) => picture.element));
  }

  drawInstances() {
    const { instances } = this.answer;
    this.instances.replaceChildren(
      ...(instances.length ? [html("span", { class: "note" }, "instances")] : []),
      ...instances
        .filter((each) => each.num_pixels > 0)
        .map((each) =>
          html(
            "button",
            {
              type: "button",
              class: "chip",
              title: `${each.num_pixels} pixels`,
              "data-instance": each.position,
              onclick: () => this.app.change({ place: { kind: "instance", numbers: [each.position] } }),
              onpointerenter: () => this.mark({ instance: each.position }),
              onpointerleave: () => this.mark(),
            },
            each.name,
          ),
        ),
    );
  }

  /** Show which instance is chosen. */
  pressInstance() {
    const { place } = this.state;
    for (const button of this.instances.querySelectorAll("[data-instance]")) {
      const isChosen = place?.kind === "instance" && place.numbers[0] === Number(button.dataset.instance);
      button.setAttribute("aria-pressed", String(isChosen));
    }
  }

  pick([top, left, bottom, right]) {
    this.dragged = null;
    const isPixel = bottom - top === 1 && right - left === 1;
    if (isPixel && this.state.pick === "instance") {
      const position = this.answer.positions.data[top * this.size[1] + left];
      if (position >= 0) this.app.change({ place: { kind: "instance", numbers: [position] } });
      return;
    }
    const place = isPixel ? { kind: "pixel", numbers: [top, left] } : { kind: "rectangle", numbers: [top, left, bottom, right] };
    this.app.change({ place });
  }

  drag(rectangle) {
    this.dragged = rectangle;
    this.mark();
  }

  /** Draw marks: the pixel under the pointer, what is chosen, an instance's outline. */
  mark({ instance = null } = {}) {
    if (!this.shown) return;
    const { place, pick } = this.state;
    const hover = this.app.hovered;
    let chosen = this.dragged;
    if (!chosen && place?.kind === "pixel") chosen = [...place.numbers, place.numbers[0] + 1, place.numbers[1] + 1];
    if (!chosen && place?.kind === "rectangle") chosen = place.numbers;
    let outlined = instance;
    if (outlined === null && place?.kind === "instance") [outlined] = place.numbers;
    if (outlined === null && pick === "instance" && hover && this.inside(hover)) outlined = this.answer.positions.data[hover[0] * this.size[1] + hover[1]];
    const outline = outlined === null || outlined < 0 ? null : this.outline(outlined);
    for (const picture of this.shown) picture.mark({ hover: hover && this.inside(hover) ? hover : null, chosen, outline });
    this.read(hover);
  }

  inside = ([row, column]) => row < this.size[0] && column < this.size[1];

  outline(position) {
    const { data } = this.answer.positions;
    const [height, width] = this.size;
    const own = (row, column) => row >= 0 && column >= 0 && row < height && column < width && data[row * width + column] === position;
    let path = "";
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        if (!own(row, column)) continue;
        if (!own(row - 1, column)) path += `M${column} ${row}h1`;
        if (!own(row + 1, column)) path += `M${column} ${row + 1}h1`;
        if (!own(row, column - 1)) path += `M${column} ${row}v1`;
        if (!own(row, column + 1)) path += `M${column + 1} ${row}v1`;
      }
    }
    return path;
  }

  /** The values under the pointer, in words. */
  read(pixel) {
    if (!pixel || !this.inside(pixel)) {
      this.readout.textContent = this.state.place
        ? "Hold the pointer over a picture to read its values."
        : "Click a pixel or drag a rectangle: which neurons paint it?";
      return;
    }
    const [row, column] = pixel;
    const [height, width] = this.size;
    const at = row * width + column;
    const colours = ({ data, shape }) => Array.from({ length: Math.min(shape[0], 4) }, (_, channel) => data[channel * height * width + at].toFixed(3)).join(" ");
    const parts = [`row ${row}, column ${column} (pixels)`];
    if (this.answer.target) parts.push(`target ${colours(this.answer.target)}`);
    parts.push(`reconstruction ${colours(this.answer.reconstruction)}`);
    if (this.error) parts.push(`error ${this.error.data[at].toFixed(3)} (brightness, 0 to 1)`);
    const instance = this.answer.instances[this.answer.positions.data[at]];
    if (instance) parts.push(instance.name);
    const { large, shown } = this.detail;
    if (large && this.state.neurons.length && large.shape[0] === height) parts.push(`map of ${shown.layer}:${shown.neuron} ${short(large.data[at])}`);
    this.readout.textContent = parts.join(" · ");
  }

  showList(state, own, moment, neurons) {
    const { place, layer, sort } = state;
    if (!place) {
      this.list.put("nothing", () => this.guide());
      return;
    }
    const about = { ...moment, convention: own.convention, [place.kind]: place.numbers.join(",") };
    const base = JSON.stringify([about, layer, sort, state.k]);
    const key = JSON.stringify([base, neurons]);
    if (this.base !== base) this.found = null;
    this.base = base;
    const draw = (found) => {
      const focused = this.list.element.contains(document.activeElement) ? document.activeElement.dataset.neuron : null;
      const tables = found.map(({ top, changes, unit }) =>
        table({ top, changes, sort, chosen: neurons, unit, where: this.where(place, top), name: `neurons-${top.layer}-epoch-${own.epoch}`, actions: this.listActions }),
      );
      if (focused) queueMicrotask(() => this.list.element.querySelector(`[data-neuron="${focused}"]`)?.focus());
      return tables;
    };
    this.list.show(key, () => this.found ?? this.find(about, layer, sort, state.k, base), draw).then(() => this.addChanges(about, base, key, draw));
  }

  async find(about, layer, sort, k, base) {
    const { run, epoch, frame, convention } = about;
    const { layers, unit } = await ask("layers", { run, epoch, frame, convention });
    const names = layers.map((each) => each.name);
    if (layer !== "*" && !names.includes(layer)) throw new Error(`run ${run} has no layer ${layer} under ${convention}; it has ${names.join(", ")}`);
    const wanted = layer === "*" ? names : [layer];
    const tops = await Promise.all(wanted.map((name) => ask("top", { ...about, layer: name, by: ORDERS[sort].by, k: layer === "*" ? k / 2 : k })));
    const found = tops.map((top) => ({ top, changes: null, unit }));
    if (this.base === base) this.found = found;
    return found;
  }

  /** Columns that need the epoch before come later. */
  async addChanges(about, base, key, draw) {
    const { found } = this;
    if (this.base !== base || !found || found.some((each) => each.changes)) return;
    const changes = await Promise.all(
      found.map(({ top }) => ask("changes", { ...about, layer: top.layer, neurons: top.neurons.join(",") }).catch(() => ({ before: null, changes: null, groups: top.neurons.map((_, at) => at) }))),
    );
    if (this.base !== base) return;
    this.found = found.map((each, at) => ({ ...each, changes: changes[at] }));
    if (this.list.key === key) this.list.element.replaceChildren(...draw(this.found));
  }

  where({ kind, numbers }, top) {
    if (kind === "pixel") return `row ${numbers[0]}, column ${numbers[1]}`;
    if (kind === "instance") return `“${this.answer?.instances[numbers[0]]?.name ?? "instance"}” (${top.num_selected} pixels)`;
    return `${numbers[2] - numbers[0]} × ${numbers[3] - numbers[1]} pixels`;
  }

  guide() {
    return html(
      "div",
      { class: "guide" },
      html("h3", {}, "Which neurons paint this pixel?"),
      html("p", {}, "Click a pixel of the target, the reconstruction or the error; drag a rectangle; or choose an instance below the pictures."),
    );
  }

  showDetail(own, moment, facts, neurons) {
    const unit = own.convention === "effect" ? BRIGHTNESS : "layer units";
    this.detail.show({ moment, convention: own.convention, unit, run: facts, neurons });
  }
}
