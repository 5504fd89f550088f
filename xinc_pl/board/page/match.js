// Two runs: the neurons of the other pane that are matched to those that are chosen in one.

import { html } from "./dom.js";
import { ask } from "./server.js";

/**
 * What `compare` has found: {neurons, answers}. `chosen` are neurons of the run at `from`; each of `neurons`, of the run
 * at `to`, knows its `origin` among them.
 */
export async function findMatches(chosen, from, to, frame) {
  const layers = [...new Set(chosen.map(({ layer }) => layer))];
  const about = { run: from.run, other: to.run, epoch: from.epoch, other_epoch: to.epoch, frame };
  const answers = await Promise.all(
    layers.map(async (layer) => {
      const neurons = chosen.filter((each) => each.layer === layer).map(({ neuron }) => neuron);
      return { layer, answer: await ask("match", { ...about, layer, neurons: neurons.join(",") }) };
    }),
  );
  const matched = chosen.map((origin) => {
    const { answer } = answers.find(({ layer }) => layer === origin.layer);
    const found = answer.neurons.find(({ neuron }) => neuron === origin.neuron);
    return found.match === null ? null : { layer: origin.layer, neuron: found.match, origin, found };
  });
  return { neurons: matched.filter(Boolean), answers: answers.map(({ answer }) => answer) };
}

/** Which neuron is which, how alike they are, who says so; and what to do where there is no match. */
export function drawMatches({ neurons, answers }, run) {
  const whys = [...new Set(answers.map(({ why }) => why).filter(Boolean))];
  const remarks = [...new Set(answers.flatMap((each) => each.remarks))];
  return html(
    "div",
    { class: "matches" },
    html("h3", {}, neurons.length ? `matched to what is chosen in ${run}` : `no match for what is chosen in ${run}`),
    neurons.map(({ layer, neuron, origin, found }) =>
      html(
        "p",
        { "data-match": neuron, "data-of": origin.neuron, "data-similarity": found.similarity },
        html("b", {}, `${layer} : ${neuron}`),
        ` is ${run}’s ${origin.layer} : ${origin.neuron}, similarity `,
        html("b", { title: `Pearson’s correlation of the two neurons over the clusters of the partition ${found.vectors}` }, found.similarity.toFixed(2)),
        found.is_trivial ? " (both runs have one encoding, so this says nothing)" : "",
        found.kind === "other_signal" ? " (the runs show different pictures)" : "",
      ),
    ),
    sources(neurons).map((text) => html("p", { class: "note" }, text)),
    whys.map((text) => told(text)),
    remarks.map((text) => html("p", { class: "error" }, text)),
  );
}

/** Where matches come from, a line each; similarity is a correlation, from -1 to 1. */
function sources(neurons) {
  const texts = neurons.map(
    ({ found }) =>
      `from ${found.source}: epochs ${found.epochs[1]} here and ${found.epochs[0]} there, frame ${found.frame}, ${found.convention}; correlation over ${found.vectors} clusters, −1 to 1`,
  );
  return [...new Set(texts)];
}

/** A line that may end with a command. */
function told(text) {
  const at = text.indexOf("python -m");
  return html("p", { class: "why" }, at < 0 ? text : [text.slice(0, at), html("code", {}, text.slice(at))]);
}
