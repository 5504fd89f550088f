// What is shown, and the address that holds it.

const KEYS = ["run", "epoch", "convention"];
const PLACES = ["pixel", "rectangle", "instance"];
const ADDRESS = "p.canvas.view";
export const MOST_NEURONS = 16;
const SORTS = ["share", "signed", "focus", "total", "change", "group"];

/** The state that an address stands for; what it does not say is left to `completed`. */
export function read(text) {
  const values = new URLSearchParams(text);
  const pane = (suffix) => ({
    run: values.get(`run${suffix}`),
    epoch: whole(values.get(`epoch${suffix}`)),
    convention: values.get(`convention${suffix}`),
  });
  const kind = PLACES.find((each) => values.has(each));
  const numbers = kind ? values.get(kind).split(",").map(whole) : [];
  return {
    panes: KEYS.some((key) => values.has(`${key}2`)) ? [pane(""), pane("2")] : [pane("")],
    frame: whole(values.get("frame")),
    layer: values.get("layer"),
    place: kind && numbers.every((each) => each !== null) ? { kind, numbers } : null,
    from: values.get("from") === "2" ? 1 : 0, // the pane whose run the neurons are of
    neurons: values.getAll("neuron").map(neuronOf).filter(Boolean).slice(0, MOST_NEURONS),
    sort: SORTS.includes(values.get("sort")) ? values.get("sort") : "share",
    k: values.get("k") === "64" ? 64 : 16,
    pick: values.get("pick") === "instance" ? "instance" : "pixel",
  };
}

/** The address of a state. */
export function written(state) {
  const values = new URLSearchParams();
  state.panes.forEach((pane, at) => {
    for (const key of KEYS) if (pane[key] !== null) values.set(key + (at ? "2" : ""), pane[key]);
  });
  if (state.frame !== null) values.set("frame", state.frame);
  if (state.layer) values.set("layer", state.layer);
  if (state.place) values.set(state.place.kind, state.place.numbers.join(","));
  for (const { layer, neuron } of state.neurons) values.append("neuron", `${layer}:${neuron}`);
  if (state.from === 1 && state.panes.length === 2 && state.neurons.length) values.set("from", "2");
  if (state.sort !== "share") values.set("sort", state.sort);
  if (state.k !== 16) values.set("k", state.k);
  if (state.pick !== "pixel") values.set("pick", state.pick);
  return values.toString();
}

const whole = (text) => (/^\d{1,9}$/.test(text ?? "") ? Number(text) : null);

function neuronOf(text) {
  const colon = text.lastIndexOf(":");
  const neuron = whole(text.slice(colon + 1));
  return colon > 0 && neuron !== null ? { layer: text.slice(0, colon), neuron } : null;
}

/** The part of the address after "#" that is ours: of the window, or of TensorBoard's around it. */
export class Address {
  constructor() {
    this.window = outer();
    this.isAlone = this.window === window;
  }

  get() {
    const hash = this.window.location.hash.slice(1);
    if (this.isAlone) return hash;
    const own = hash.split("&").find((part) => part.startsWith(`${ADDRESS}=`));
    return own ? decodeURIComponent(own.slice(ADDRESS.length + 1)) : "";
  }

  set(text) {
    if (this.get() === text) return;
    let hash = text;
    if (!this.isAlone) {
      const others = this.window.location.hash.slice(1).split("&");
      if (others[0] !== "canvas") return; // another tab is shown
      hash = [...others.filter((part) => !part.startsWith(`${ADDRESS}=`)), `${ADDRESS}=${encodeURIComponent(text)}`].join("&");
    }
    this.window.history.replaceState(this.window.history.state, "", `#${hash}`);
  }

  listen(changed) {
    this.window.addEventListener("hashchange", () => changed(this.get()));
  }
}

function outer() {
  try {
    if (window.parent !== window && window.parent.location.origin === window.location.origin) return window.parent;
  } catch {
    // TensorBoard itself is a frame of another site's page
  }
  return window;
}

/** Whether it is dark around: as TensorBoard says, or else the system. Calls back at once, and when that changes. */
export function followTheme(apply) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const around = outer();
  if (around !== window && around.document.body) {
    const body = around.document.body;
    const tell = () => apply(body.classList.contains("dark-mode"));
    new MutationObserver(tell).observe(body, { attributes: true, attributeFilter: ["class"] });
    tell();
    return;
  }
  system.addEventListener("change", () => apply(system.matches));
  apply(system.matches);
}
