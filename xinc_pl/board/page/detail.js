// The chosen neurons: map, epochs, weights, outputs, and the image without them.

import { differenceOf } from "./colours.js";
import { html, Section } from "./dom.js";
import { decibels, limitOf, short } from "./numbers.js";
import { Picture, scaleBar } from "./picture.js";
import { ask } from "./server.js";

const STRIP_SIDE = 256;
const CHANNELS = ["red", "green", "blue"];
const BRIGHTNESS = "brightness";

export class Detail {
  /** `actions`: focus(neuron), drop(neuron), epoch(number), hover(pixel). */
  constructor(actions) {
    this.actions = actions;
    this.title = html("header", { class: "detail-title" });
    this.map = new Section("map", "its map");
    this.strip = new Section("strip", "its map over the epochs");
    this.facts = new Section("facts", "its weights and outputs");
    this.effect = new Section("effect", "the image without it");
    const guide = html(
      "div",
      { class: "guide" },
      html("h3", {}, "What else does a neuron paint?"),
      html("p", {}, "Click one in the list: its map over all epochs, its weights, what it adds to each output, and the image without it. Ctrl-click adds another."),
    );
    this.element = html("div", { class: "detail" }, guide, this.title, this.map.element, this.strip.element, this.effect.element, this.facts.element);
  }

  /** `about`: {moment, convention, unit, run (its facts), neurons}; a neuron's `origin` is the one that it was matched to. */
  show(about) {
    const { neurons } = about;
    this.element.classList.toggle("nothing", neurons.length === 0);
    this.element.firstChild.hidden = neurons.length > 0;
    if (!neurons.length) return;
    const shown = neurons.at(-1);
    this.shown = shown;
    this.heading(neurons, shown);
    const { moment, convention, unit, run } = about;
    const about_map = { ...moment, convention, layer: shown.layer, neurons: shown.neuron };
    const which = `${shown.layer}-${shown.neuron}`;
    this.map.show(
      JSON.stringify(about_map),
      () => ask("maps", about_map),
      (answer) => this.drawMap(answer, { which, unit, moment, convention }),
    );
    this.showStrip(about_map, run, { which, unit, convention });
    this.facts.show(
      JSON.stringify([moment, shown]),
      () => ask("neuron", { ...moment, layer: shown.layer, neuron: shown.neuron }),
      (answer) => this.drawFacts(answer, which),
    );
    this.showEffect(moment, neurons);
  }

  heading(neurons, shown) {
    const several = neurons.length > 1;
    this.title.replaceChildren(
      html("h2", {}, several ? `${neurons.length} neurons` : `${shown.layer} · neuron ${shown.neuron}`),
      html(
        "div",
        { class: "chips" },
        neurons.map(({ layer, neuron, origin = { layer, neuron } }) =>
          html(
            "span",
            { class: layer === shown.layer && neuron === shown.neuron ? "chip now" : "chip" },
            html("button", { type: "button", title: "show this one", onclick: () => this.actions.focus(origin) }, `${layer} : ${neuron}`),
            html(
              "button",
              { type: "button", class: "drop", title: "leave it out", "aria-label": `leave out ${layer} ${neuron}`, onclick: () => this.actions.drop(origin) },
              "×",
            ),
          ),
        ),
      ),
    );
  }

  drawMap(answer, { which, unit, moment, convention }) {
    const [, height, width] = answer.maps.shape;
    const picture = new Picture({
      title: "what it paints",
      name: `${which}-epoch-${moment.epoch}-${convention}`,
      className: "large",
      listeners: { hover: (pixel) => this.actions.hover(pixel) },
    });
    this.large = { picture, data: answer.maps.data, shape: [height, width], key: this.map.key };
    const { limit } = limitOf([answer.maps.data]);
    picture.values(answer.maps.data, [height, width], { kind: "signed", limit: this.stripLimit(which) ?? limit, unit });
    picture.note(`mean magnitude ${short(answer.means[0])}, largest ${short(answer.largest[0])}`);
    return picture.element;
  }

  stripLimit(which) {
    return this.scale?.which === which ? this.scale.limit : null;
  }

  /** One map for each recorded epoch, all in one scale, as they come. */
  showStrip(about_map, run, { which, unit, convention }) {
    const { epoch, ...rest } = about_map;
    const key = JSON.stringify([rest, run.epochs.map((each) => each.epoch)]);
    const mark = () => {
      for (const tile of this.strip.element.querySelectorAll("[data-epoch]")) {
        tile.setAttribute("aria-current", String(Number(tile.dataset.epoch) === epoch));
      }
    };
    if (this.strip.key === key) {
      mark();
      return;
    }
    const tiles = run.epochs.map((each) => this.tile(each, which, convention));
    const scale = html("div");
    const come = [];
    const repaint = () => {
      const { limit } = limitOf(come.map(({ data }) => data));
      this.scale = { which, limit };
      for (const { data, shape, picture } of come) picture.values(data, shape, { kind: "signed", limit, unit });
      scale.replaceChildren(scaleBar({ kind: "signed", limit, unit }), html("span", { class: "note" }, "one scale for all epochs"));
      if (this.large?.key === this.map.key) this.large.picture.values(this.large.data, this.large.shape, { kind: "signed", limit, unit });
    };
    this.strip.show(
      key,
      async () => {
        this.strip.element.replaceChildren(
          html("h3", {}, "over the epochs"),
          html("div", { class: "tiles" }, tiles.map((tile) => tile.element)),
          scale,
        );
        mark();
        // The shown epoch first, then its neighbours: each has to be loaded.
        const order = [...tiles].sort((a, b) => Math.abs(a.epoch - epoch) - Math.abs(b.epoch - epoch));
        for (const tile of order) {
          try {
            const answer = await ask("maps", { ...rest, epoch: tile.epoch, side: STRIP_SIDE });
            if (this.strip.key !== key) return;
            const [, height, width] = answer.maps.shape;
            come.push({ data: answer.maps.data, shape: [height, width], picture: tile.picture });
            tile.element.classList.remove("waiting");
            repaint();
          } catch (error) {
            if (this.strip.key !== key) return;
            tile.element.classList.remove("waiting");
            tile.picture.stage.replaceChildren(html("p", { class: "error" }, error.message));
          }
        }
      },
      () => undefined,
    );
  }

  tile({ epoch }, which, convention) {
    const picture = new Picture({ title: `epoch ${epoch}`, name: `${which}-epoch-${epoch}-${convention}`, className: "tile" });
    const element = html(
      "div",
      { class: "waiting", role: "button", tabindex: 0, "data-epoch": epoch, title: `go to epoch ${epoch}` },
      picture.element,
    );
    picture.stage.addEventListener("click", () => this.actions.epoch(epoch));
    element.addEventListener("keydown", (event) => event.key === "Enter" && this.actions.epoch(epoch));
    return { epoch, picture, element };
  }

  drawFacts(answer, which) {
    const weights = new Picture({ title: "weights", name: `${which}-weights`, className: "weights" });
    const range = limitOf([answer.weights.data]);
    weights.values(answer.weights.data, answer.weights.shape, { kind: "signed", limit: range.largest || 1, unit: "" });
    weights.note(`${answer.num_weights}`);
    weights.legend.replaceChildren(html("span", { class: "note" }, `± ${short(range.largest)}`));
    const [channels, height, width] = answer.outputs.shape;
    const size = height * width;
    const { limit } = limitOf([answer.outputs.data]);
    const outputs = Array.from({ length: Math.min(channels, 8) }, (_, channel) => {
      const title = channels === 3 ? CHANNELS[channel] : `output ${channel}`;
      const picture = new Picture({ title, name: `${which}-${title}`, className: "output" });
      return picture.values(answer.outputs.data.subarray(channel * size, (channel + 1) * size), [height, width], {
        kind: "signed",
        limit,
        unit: BRIGHTNESS,
      }).element;
    });
    return [
      html("h3", {}, `weights of ${answer.label}, and what it adds to each output`),
      html("div", { class: "outputs" }, weights.element, outputs),
      html("div", { class: "line" }, scaleBar({ kind: "signed", limit, unit: BRIGHTNESS }), html("span", { class: "note" }, "outputs: its effect on the image, to first order")),
    ];
  }

  showEffect(moment, neurons) {
    const gone = neurons.map(({ layer, neuron }) => `${layer}:${neuron}`);
    this.effect.what = gone.length > 1 ? "the image without them" : "the image without it";
    this.effect.show(
      JSON.stringify([moment, gone]),
      async () => {
        const [without, pictures] = await Promise.all([ask("without", { ...moment, neuron: gone }), ask("pictures", moment)]);
        return { without, pictures };
      },
      ({ without, pictures }) => this.drawEffect(without, pictures, gone, moment),
    );
  }

  drawEffect(without, pictures, gone, moment) {
    const it = gone.length > 1 ? "all of them" : "it";
    const name = `without-${gone.join("-").replaceAll(":", "-").slice(0, 80)}-epoch-${moment.epoch}`;
    const image = new Picture({ title: `without ${it}`, name, listeners: { hover: (pixel) => this.actions.hover(pixel) } });
    const difference = new Picture({ title: "the difference", name: `${name}-difference`, listeners: { hover: (pixel) => this.actions.hover(pixel) } });
    image.image(without.image);
    const moved = differenceOf(without.image, pictures.reconstruction);
    const { limit } = limitOf([moved.data]);
    difference.values(moved.data, moved.shape, { kind: "signed", limit, unit: BRIGHTNESS });
    const cost = without.has_target && without.psnr !== null && without.intact !== null ? without.intact - without.psnr : null;
    const told = without.has_target
      ? [
          html("b", { "data-psnr": without.psnr }, decibels(without.psnr)),
          ` without ${it}, ${decibels(without.intact)} with: costs `,
          html("b", { "data-cost": cost }, cost === null ? "–" : `${cost < 0 ? "−" : ""}${Math.abs(cost).toFixed(Math.abs(cost) < 0.1 ? 4 : 2)} dB`),
        ]
      : [html("b", { "data-psnr": without.psnr }, decibels(without.psnr)), ` against the image with ${it}`];
    return [
      html("h3", {}, "its effect: taken away, not to first order but as it is"),
      html("p", { class: "cost" }, "PSNR ", told),
      html("div", { class: "pair" }, image.element, difference.element),
    ];
  }
}
