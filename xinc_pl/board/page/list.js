// The neurons that come first at the chosen pixels, as a table.

import { paint } from "./colours.js";
import { html } from "./dom.js";
import { grouped, limitOf, percent, short, signed } from "./numbers.js";
import { scaleBar } from "./picture.js";
import { saveCSV } from "./save.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** What the table can be sorted by: the key in the address, the heading, what it means, and its value. */
export const COLUMNS = [
  { key: "share", text: "share", about: "of all that the layer's neurons add up to at these pixels" },
  { key: "signed", text: "adds here", about: "mean of the signed map over these pixels" },
  { key: "focus", text: "focus", about: "how much stronger it is here than over the whole image: mean magnitude here / everywhere" },
  { key: "total", text: "total", about: "mean magnitude over the whole image" },
  { key: "change", text: "change", about: "mean change of its map at these pixels since the recorded epoch before" },
  { key: "group", text: "group", about: "neurons of one letter have maps that look like the letter’s first (cosine of at least 0.7, whatever the sign); sorted by group: all of the layer’s" },
];

/** Rows of an answer of `top`, and of `changes` where that is there. */
export function rowsOf(top, changes) {
  return top.neurons.map((neuron, at) => ({
    at,
    neuron,
    label: top.labels[at],
    value: top.values[at],
    share: top.shares[at],
    signed: top.signed[at],
    total: top.means[at],
    within: top.within[at],
    focus: top.means[at] ? top.values[at] / top.means[at] : 0,
    change: changes?.changes ? changes.changes[at] : null,
    group: changes ? changes.groups[at] : null,
    groupSize: top.group_sizes ? top.group_sizes[at] : null,
  }));
}

/** How the Python side orders all neurons of a layer for each key, and what to call those that come first. */
export const ORDERS = {
  share: { by: "magnitude", text: "with the largest share here" },
  signed: { by: "positive", text: "that add most here" },
  focus: { by: "focus", text: "that are most focused here" },
  total: { by: "total", text: "with the largest total" },
  change: { by: "change", text: "that changed most here" },
  group: { by: "group", text: "by group, the first few of each" },
};

function chosenBy(sort, top) {
  if (top.by !== ORDERS[sort].by) return "with the largest share here, for there is no epoch before";
  return ORDERS[sort].text;
}

/** The table of one layer. `actions`: sortBy(key), choose(layer, neuron, more), more(). */
export function table({ top, changes, sort, chosen, unit, where, name, actions }) {
  const rows = rowsOf(top, changes);
  const scale = { kind: "signed", limit: limitOf([top.maps.data], 0.98).limit, unit };
  const most = Math.max(...rows.map((row) => row.share), 1e-12);
  const sum = rows.reduce((total, row) => total + row.share, 0);
  const looked = top.num_pixels < top.num_selected ? `, looked at in ${top.num_pixels} of them, evenly spaced` : "";
  return html(
    "div",
    { class: "layer-table" },
    html(
      "header",
      {},
      html("h3", {}, top.layer),
      html(
        "p",
        {},
        `the ${rows.length} of ${grouped(top.num_neurons)} neurons ${chosenBy(sort, top)}: ${percent(sum)} of all that the layer adds up to at ${where}, ${short(top.total)} ${unit}${looked}`,
      ),
      orders(sort, actions),
      html("button", { type: "button", class: "more", onclick: () => actions.more() }, rows.length > 32 ? "fewer" : "more"),
      html("button", { type: "button", class: "csv", title: "save the table", onclick: () => save(rows, top, unit, name) }, "CSV"),
    ),
    html(
      "div",
      { class: "neurons", "data-sorted": sort, role: "listbox", "aria-label": `neurons of ${top.layer}`, "aria-multiselectable": "true" },
      html(
        "div",
        { class: "row headings" },
        html("span", {}, "map"),
        html("span", {}, "neuron"),
        COLUMNS.map((column) => heading(column, sort, changes, actions)),
      ),
      rows.map((row) => rowOf(row, { top, chosen, scale, most, changes, actions })),
    ),
    html("footer", {}, scaleBar(scale)),
  );
}

/** The headings once more, where there is no room for all of them. */
function orders(sort, actions) {
  return html(
    "select",
    { class: "orders", "aria-label": "sort by", title: "sort by", onchange: (event) => actions.sortBy(event.target.value) },
    COLUMNS.map(({ key, text }) => html("option", { value: key, selected: key === sort }, text)),
  );
}

function heading({ key, text, about }, sort, changes, actions) {
  const since = key === "change" && changes?.before !== null && changes ? ` (epoch ${changes.before})` : "";
  return html(
    "button",
    {
      type: "button",
      class: key === sort ? "sorted" : "",
      title: about + since,
      "data-sort": key,
      onclick: () => actions.sortBy(key),
    },
    text,
  );
}

function rowOf(row, { top, chosen, scale, most, changes, actions }) {
  const isChosen = chosen.some(({ layer, neuron }) => layer === top.layer && neuron === row.neuron);
  const canvas = html("canvas", { class: "thumb", "aria-hidden": "true" });
  const [, height, width] = top.maps.shape;
  const size = height * width;
  paint(canvas, top.maps.data.subarray(row.at * size, (row.at + 1) * size), [height, width], "signed", scale.limit);
  const choose = (event) => actions.choose(top.layer, row.neuron, event.ctrlKey || event.metaKey || event.shiftKey);
  return html(
    "div",
    {
      class: "row",
      role: "option",
      tabindex: 0,
      "aria-selected": String(isChosen),
      "data-neuron": row.neuron,
      "data-layer": top.layer,
      title: `${top.layer}, neuron ${row.neuron}: click to look at it, Ctrl-click to add it`,
      onclick: choose,
      onkeydown: (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        actions.choose(top.layer, row.neuron, event.key === " ");
      },
    },
    canvas,
    html("span", { class: "name" }, html("b", {}, row.label), html("small", {}, `# ${row.neuron}`)),
    html("span", { class: "bar", "data-value": row.share }, bar(row.share / most, "share"), percent(row.share)),
    html("span", { class: row.signed < 0 ? "minus" : "plus" }, signed(row.signed)),
    focus(row),
    html("span", {}, short(row.total)),
    html("span", {}, changes ? (row.change === null ? "–" : short(row.change)) : "…"),
    html("span", { class: "group" }, row.group === null ? "" : groupOf(row)),
  );
}

function groupOf({ group, groupSize }) {
  const size = groupSize ? html("small", { title: "neurons of the layer in this group" }, grouped(groupSize)) : "";
  return [html("i", { "data-group": group % 8 }, letter(group)), size];
}

function bar(share, className) {
  return html("i", { class: className, style: `width: ${Math.max(0, Math.min(1, share)) * 100}%` });
}

/** From 1/32 to 32 times, in powers of two; 1 in the middle. */
function focus(row) {
  const place = Math.max(-5, Math.min(5, Math.log2(row.focus || 1e-9))) / 5;
  return html(
    "span",
    { class: "bar middle", title: `${percent(row.within)} of all that it paints is here` },
    html("i", { class: "focus", style: `left: ${50 + Math.min(place, 0) * 50}%; width: ${Math.abs(place) * 50}%` }),
    `${row.focus >= 100 ? Math.round(row.focus) : row.focus.toPrecision(2)} ×`,
  );
}

const letter = (group) => LETTERS[group % 26] + (group >= 26 ? Math.floor(group / 26) : "");

function save(rows, top, unit, name) {
  const headings = [
    "layer",
    "neuron",
    "label",
    "share here",
    `magnitude here (${unit})`,
    `adds here (${unit})`,
    "focus (times)",
    "part of it that is here",
    `total (${unit})`,
    `change (${unit})`,
    "group",
    "neurons in the group",
  ];
  const cells = rows.map((row) => [
    top.layer,
    row.neuron,
    row.label,
    row.share,
    row.value,
    row.signed,
    row.focus,
    row.within,
    row.total,
    row.change,
    row.group === null ? null : letter(row.group),
    row.groupSize,
  ]);
  saveCSV(headings, cells, name);
}
