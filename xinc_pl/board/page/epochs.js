// When in the training.

import { html, svg } from "./dom.js";
import { decibels } from "./numbers.js";

/** The slider over all recorded epochs, above the curve of the frame's PSNR. */
export function epochSlider(own, facts, frame, choose) {
  const at = facts.epochs.findIndex((each) => each.epoch === own.epoch);
  const psnrs = facts.epochs.map((each) => each.psnr[facts.frames.indexOf(frame)] ?? null);
  const known = psnrs.filter((each) => each !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const place = (index) => (facts.epochs.length > 1 ? (index / (facts.epochs.length - 1)) * 100 : 50);
  const rise = (psnr) => 22 - ((psnr - low) / (high - low || 1)) * 18;
  const points = psnrs.map((psnr, index) => (psnr === null ? null : [place(index), rise(psnr)])).filter(Boolean);
  return html(
    "div",
    { class: "epochs" },
    html("output", {}, html("b", {}, `epoch ${own.epoch}`), psnrs[at] === null || psnrs[at] === undefined ? "" : ` · ${decibels(psnrs[at])}`),
    html(
      "div",
      { class: "slider" },
      svg(
        "svg",
        { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" },
        points.length > 1 ? svg("polyline", { points: points.map((each) => each.join(",")).join(" ") }) : null,
      ),
      html("input", {
        type: "range",
        min: 0,
        max: facts.epochs.length - 1,
        value: at,
        "aria-label": "epoch",
        "aria-valuetext": `epoch ${own.epoch}`,
        oninput: (event) => choose(facts.epochs[event.target.value].epoch),
      }),
      html("div", { class: "ticks" }, facts.epochs.map((each, index) => html("span", { style: `left: ${place(index)}%` }, each.epoch))),
    ),
  );
}
