// The Canvas tab: which neurons paint this pixel, and what else does this neuron paint?

import { choices, html, press } from "./dom.js";
import { Pane } from "./pane.js";
import { ask, forget } from "./server.js";
import { Address, followTheme, MOST_NEURONS, read, written } from "./state.js";

const SNIPPET = `trainer:
  callbacks:
    - class_path: xinc_pl.callbacks.CanvasRecorder`;
const PATIENCE = 2000; // milliseconds until it is looked again whether something has been recorded
const KEYS = [
  ["← →", "epoch"],
  ["1 … 9, 0", "layer, all layers"],
  ["[ ]", "frame"],
  ["↑ ↓", "neuron in the list"],
  ["Enter, space", "look at it, add it"],
  ["c", "convention"],
  ["i", "click pixels or instances"],
  ["p", "one pane, two panes"],
  ["Esc", "let go of neurons, then of pixels"],
];

class App {
  constructor(root) {
    this.root = root;
    this.address = new Address();
    this.state = read(this.address.get());
    this.bar = html("header", { class: "top" });
    this.panes = [];
    this.body = html("main", { class: "panes" });
    this.root.replaceChildren(this.bar, this.body);
    this.hovered = null;
    this.address.listen((text) => {
      this.state = read(text);
      this.update();
    });
    window.addEventListener("focus", () => this.reload()); // a training may have recorded more
    document.addEventListener("keydown", (event) => this.key(event));
  }

  change(patch) {
    this.state = { ...this.state, ...patch };
    this.update();
  }

  changePane(index, patch) {
    this.change({ panes: this.state.panes.map((pane, at) => (at === index ? { ...pane, ...patch } : pane)) });
  }

  sortBy(sort) {
    this.change({ sort });
  }

  /** List more neurons, or fewer again. */
  more() {
    this.change({ k: this.state.k === 16 ? 64 : 16 });
  }

  /** Look at a neuron of a pane; or add it to those that are chosen (or take it out again). */
  choose(layer, neuron, more, pane) {
    const { panes, from } = this.state;
    const isElsewhere = pane !== from && panes.length === 2 && panes[0].run !== panes[1].run;
    const others = isElsewhere ? [] : this.state.neurons.filter((each) => each.layer !== layer || each.neuron !== neuron);
    const isLast = !isElsewhere && this.state.neurons.at(-1)?.layer === layer && this.state.neurons.at(-1)?.neuron === neuron;
    if (!more) this.change({ neurons: [{ layer, neuron }], from: pane });
    else if (isLast && others.length) this.change({ neurons: others, from: pane });
    else this.change({ neurons: [...others, { layer, neuron }].slice(-MOST_NEURONS), from: pane });
  }

  drop(layer, neuron) {
    this.change({ neurons: this.state.neurons.filter((each) => each.layer !== layer || each.neuron !== neuron) });
  }

  hover(pixel) {
    this.hovered = pixel;
    for (const pane of this.panes) pane.mark();
  }

  /** Fill in what the address left open, and show it. */
  async update() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const list = await ask("runs");
      if (!list.runs.length) {
        this.empty(list);
        return;
      }
      const panes = [];
      for (const pane of this.state.panes) panes.push(await this.completed(pane, list.runs));
      const [first] = panes;
      const frame = first.facts.frames.includes(this.state.frame) ? this.state.frame : first.facts.frames[0];
      const state = { ...this.state, panes: panes.map(({ own }) => own), frame };
      for (const pane of state.panes) pane.convention ??= await this.conventionOf(pane, frame);
      if (!state.layer) {
        const { layers } = await ask("layers", { ...state.panes[0], frame });
        state.layer = layers.at(-1).name;
      }
      if (turn !== this.turn) return;
      this.state = state;
      this.address.set(written(state));
      this.draw(list, panes.map(({ facts }) => facts));
    } catch (error) {
      if (turn !== this.turn) return;
      this.panes = [];
      this.bare();
      this.body.replaceChildren(
        html("div", { class: "empty" }, html("h2", {}, "This cannot be shown"), html("p", { class: "error", role: "alert" }, error.message), html("div", { class: "actions" }, this.again(), this.anew())),
      );
    }
  }

  async completed(pane, runs) {
    const run = pane.run ?? runs.at(-1);
    const facts = await ask("run", { run });
    const epochs = facts.epochs.map(({ epoch }) => epoch);
    return { own: { ...pane, run, epoch: epochs.includes(pane.epoch) ? pane.epoch : epochs.at(-1) }, facts };
  }

  /** The paper's formulas, or effects where the network is no chain of layers. */
  conventionOf({ run, epoch }, frame) {
    const works = (convention) => ask("layers", { run, epoch, frame, convention }).then(() => convention);
    return works("paper").catch(() => works("effect").catch(() => "paper"));
  }

  draw(list, facts) {
    [this.facts] = facts;
    this.drawBar(this.facts);
    if (this.panes.length !== this.state.panes.length) {
      this.panes = this.state.panes.map((_, index) => this.panes[index] ?? new Pane(this, index));
      this.body.replaceChildren(...this.panes.map((pane) => pane.element));
      this.body.dataset.panes = this.panes.length;
    }
    this.panes.forEach((pane, index) => pane.show(this.state, list.runs, facts[index]));
  }

  async drawBar(facts) {
    const { state } = this;
    const { layers } = await ask("layers", { ...state.panes[0], frame: state.frame }).catch(() => ({ layers: [] }));
    if (state !== this.state) return;
    this.layers = [...layers.map(({ name }) => name)];
    const options = layers.map(({ name, num_neurons, completeness_error }) => ({
      value: name,
      title: `${num_neurons.toLocaleString("en-US")} neurons; self-check: relative error ${completeness_error.toExponential(1)}`,
    }));
    const frames = facts.frames.map((index, at) => ({ value: index, text: facts.frame_names[at] || `frame ${index}` }));
    const key = JSON.stringify([options, frames, state.frame, state.panes.length]);
    if (key === this.barKey) {
      press(this.layerChoice, state.layer);
      press(this.pickChoice, state.pick);
      return;
    }
    this.barKey = key;
    this.layerChoice = choices(
      "layer",
      [...options, { value: "*", text: "all", title: "the first neurons of each layer" }],
      state.layer,
      (layer) => this.change({ layer }),
    );
    const kinds = [
      { value: "pixel", text: "a pixel" },
      { value: "instance", text: "an instance" },
    ];
    this.pickChoice = choices("a click takes", kinds, state.pick, (pick) => this.change({ pick }));
    this.bar.replaceChildren(
      html("h1", {}, "Canvas"),
      frames.length > 1
        ? html(
            "label",
            {},
            "frame",
            html(
              "select",
              { "aria-label": "frame", onchange: (event) => this.change({ frame: Number(event.target.value) }) },
              frames.map(({ value, text }) => html("option", { value, selected: value === state.frame }, text)),
            ),
          )
        : "",
      html("span", { class: "label" }, "layer"),
      this.layerChoice,
      html("span", { class: "label" }, "a click takes"),
      this.pickChoice,
      html("span", { class: "space" }),
      html("button", { type: "button", class: "two", "aria-pressed": String(state.panes.length === 2), onclick: () => this.two() }, "two panes"),
      html(
        "details",
        { class: "help" },
        html("summary", { title: "keys" }, "keys"),
        html("dl", {}, KEYS.map(([key, what]) => [html("dt", {}, html("kbd", {}, key)), html("dd", {}, what)])),
      ),
    );
  }

  /** Show a second pane beside the first, an epoch earlier; or leave it again. */
  two() {
    const [first, second] = this.state.panes;
    const isOthers = second && this.state.from === 1 && first.run !== second.run; // numbers that mean nothing in the first
    const neurons = isOthers ? [] : this.state.neurons;
    this.change({ panes: second ? [first] : [first, { ...first, epoch: this.epochBeside(first, -1) ?? first.epoch }], neurons, from: 0 });
  }

  epochBeside({ epoch }, by) {
    const epochs = this.facts.epochs.map((each) => each.epoch);
    return epochs[epochs.indexOf(epoch) + by] ?? null;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const { state } = this;
    const [first] = state.panes;
    if (!this.panes.length) return;
    const { frames } = this.facts;
    if (/^(Arrow|\[|\])/.test(event.key)) event.preventDefault();
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const by = event.key === "ArrowLeft" ? -1 : 1;
      const epoch = this.epochBeside(first, by);
      if (epoch !== null) this.changePane(0, { epoch });
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const rows = [...this.body.querySelectorAll(".list [role=option]")];
      const at = rows.indexOf(document.activeElement);
      rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)))]?.focus();
    } else if (/^[0-9]$/.test(event.key)) {
      const layer = event.key === "0" ? "*" : this.layers[Number(event.key) - 1];
      if (layer) this.change({ layer });
    } else if (event.key === "[" || event.key === "]") {
      const frame = frames[frames.indexOf(state.frame) + (event.key === "[" ? -1 : 1)];
      if (frame !== undefined) this.change({ frame });
    } else if (event.key === "c") {
      const all = ["paper", "released", "effect"];
      this.changePane(0, { convention: all[(all.indexOf(first.convention) + 1) % 3] });
    } else if (event.key === "i") this.change({ pick: state.pick === "pixel" ? "instance" : "pixel" });
    else if (event.key === "p") this.two();
    else if (event.key === "Escape") this.change(state.neurons.length ? { neurons: [] } : { place: null });
  }

  empty({ num_listed, logdir }) {
    this.panes = [];
    clearTimeout(this.later);
    this.later = setTimeout(() => this.reload(), PATIENCE);
    this.bare();
    const found = num_listed
      ? `TensorBoard lists ${num_listed} ${num_listed === 1 ? "run" : "runs"} in ${logdir}, but none of them has recordings.`
      : `TensorBoard lists no runs in ${logdir || "the folder that it was given"} yet.`;
    this.body.replaceChildren(
      html(
        "div",
        { class: "empty" },
        html("h2", {}, "Nothing has been recorded yet"),
        html("p", {}, found),
        html("p", {}, "Train with the callback CanvasRecorder. In a configuration:"),
        html("pre", {}, SNIPPET),
        html("p", {}, "or in code:"),
        html("pre", {}, "Trainer(callbacks=[xinc_pl.CanvasRecorder(...)])"),
        html("p", {}, "The first recording is there before the first step: this page then shows it."),
        html("div", { class: "actions" }, this.again()),
      ),
    );
  }

  /** The bar without anything to choose. */
  bare() {
    this.barKey = null;
    this.bar.replaceChildren(html("h1", {}, "Canvas"));
  }

  again() {
    return html("button", { type: "button", onclick: () => this.reload() }, "look again");
  }

  anew() {
    return html("button", { type: "button", onclick: () => this.change(read("")) }, "start anew");
  }

  reload() {
    forget("runs");
    forget("run");
    forget("match");
    return this.update();
  }
}

/** Called by TensorBoard, once, when the tab is opened. */
export function render() {
  document.documentElement.lang = "en";
  document.head.append(html("link", { rel: "stylesheet", href: new URL("style.css", import.meta.url).href }));
  followTheme((isDark) => {
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
  });
  const app = new App(document.body);
  app.update();
}
