// Elements in few words.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element; attributes that begin with "on" are listeners. */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** A row of buttons of which one is pressed. */
export function choices(label, options, chosen, choose) {
  return html(
    "div",
    { class: "choices", role: "radiogroup", "aria-label": label },
    options.map(({ value, text, title }) =>
      html(
        "button",
        {
          type: "button",
          role: "radio",
          "aria-checked": String(value === chosen),
          "data-value": value,
          title,
          onclick: () => choose(value),
        },
        text ?? value,
      ),
    ),
  );
}

/** Press another button of such a row. */
export function press(row, chosen) {
  for (const button of row.querySelectorAll("[role=radio]")) {
    button.setAttribute("aria-checked", String(button.dataset.value === String(chosen)));
  }
}

/** A place on the page that shows one answer: "loading" where it takes long, and what went wrong. */
export class Section {
  constructor(name, what) {
    this.element = html("section", { class: `section ${name}`, "data-section": name });
    this.what = what;
    this.key = null;
  }

  /** Show what `load` gives, unless it is there already; `draw` makes elements of it. */
  async show(key, load, draw) {
    if (key === this.key) return;
    this.key = key;
    this.element.removeAttribute("data-ready");
    const late = setTimeout(() => this.element.classList.add("loading"), 200);
    try {
      const answer = await load();
      if (this.key !== key) return;
      const drawn = draw(answer);
      if (drawn !== undefined) this.element.replaceChildren(...[drawn].flat());
      this.element.setAttribute("data-ready", "");
    } catch (error) {
      if (this.key !== key) return;
      this.element.replaceChildren(html("p", { class: "error", role: "alert" }, `${this.what}: ${error.message}`));
      this.element.classList.remove("loading");
      this.key = null; // it is tried again when something changes
    } finally {
      clearTimeout(late);
      if (this.key === key) this.element.classList.remove("loading");
    }
  }

  /** Show what `draw` makes, which needs no answer, unless it is there already. */
  put(key, draw) {
    if (key === this.key) return;
    this.key = key;
    this.element.classList.remove("loading");
    this.element.replaceChildren(...[draw()].flat());
  }
}
