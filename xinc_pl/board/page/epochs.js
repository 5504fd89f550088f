// When in the training: a slider over all recorded epochs, below the curve of the frame's PSNR.

import { html, svg } from "./dom.js";
import { decibels } from "./numbers.js";

const HEIGHT = 24;
const PATIENCE = 120; // milliseconds in which the slider may move on before an epoch is loaded

export class EpochSlider {
  constructor(facts, frame, choose) {
    this.epochs = facts.epochs.map((each) => each.epoch);
    this.psnrs = facts.epochs.map((each) => each.psnr[facts.frames.indexOf(frame)] ?? null);
    this.output = html("output");
    let waiting = null;
    this.input = html("input", {
      type: "range",
      min: 0,
      max: this.epochs.length - 1,
      "aria-label": "epoch",
      oninput: () => {
        const epoch = this.epochs[this.input.value];
        this.tell(epoch);
        clearTimeout(waiting);
        waiting = setTimeout(() => choose(epoch), PATIENCE);
      },
    });
    const ticks = this.epochs.map((epoch, at) => html("span", { style: `left: ${this.place(at)}%` }, this.isLabelled(at) ? epoch : ""));
    this.element = html(
      "div",
      { class: "epochs" },
      this.output,
      html("div", { class: "slider" }, this.curve(), this.input, html("div", { class: "ticks" }, ticks)),
    );
  }

  /** Where an epoch stands, in percent. */
  place(at) {
    return this.epochs.length > 1 ? (at / (this.epochs.length - 1)) * 100 : 50;
  }

  /** At most a dozen of them have their number below. */
  isLabelled(at) {
    const by = Math.ceil(this.epochs.length / 12);
    return at % by === 0 || at === this.epochs.length - 1;
  }

  curve() {
    const known = this.psnrs.filter((each) => each !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const points = this.psnrs
      .map((psnr, at) => (psnr === null ? null : `${this.place(at)},${HEIGHT - 2 - ((psnr - low) / (high - low || 1)) * (HEIGHT - 6)}`))
      .filter((each) => each !== null);
    return svg(
      "svg",
      { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      points.length > 1 ? svg("polyline", { points: points.join(" ") }) : null,
    );
  }

  tell(epoch) {
    const psnr = this.psnrs[this.epochs.indexOf(epoch)];
    this.output.replaceChildren(html("b", {}, `epoch ${epoch}`), psnr === null ? "" : ` · ${decibels(psnr)}`);
    this.input.setAttribute("aria-valuetext", `epoch ${epoch}`);
  }

  show(epoch) {
    this.input.value = this.epochs.indexOf(epoch);
    this.tell(epoch);
  }
}
