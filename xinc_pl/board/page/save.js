// Pictures and tables as files.

import { anchorsOf } from "./colours.js";

const LEAST_WIDTH = 1024;

function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function enlarged(canvas) {
  const by = Math.max(1, Math.ceil(LEAST_WIDTH / canvas.width));
  const large = document.createElement("canvas");
  large.width = canvas.width * by;
  large.height = canvas.height * by;
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return large;
}

/** A picture, its pixels as squares. */
export function savePNG(canvas, name) {
  enlarged(canvas).toBlob((blob) => offer(blob, `${name}.png`));
}

/** A picture with its title and its colour scale. */
export function saveSVG(canvas, name, title, scale) {
  offer(new Blob([asSVG(canvas, title, scale)], { type: "image/svg+xml" }), `${name}.svg`);
}

export function asSVG(canvas, title, scale) {
  const width = 512;
  const height = Math.round((canvas.height / canvas.width) * width);
  const words = (text, x, y, anchor = "start") =>
    `<text x="${x}" y="${y}" font-family="sans-serif" font-size="12" text-anchor="${anchor}">${escaped(text)}</text>`;
  let bar = "";
  if (scale) {
    const anchors = anchorsOf(scale.kind);
    const stops = anchors.map((colour, at) => `<stop offset="${at / (anchors.length - 1)}" stop-color="${colour}"/>`);
    const top = height + 44;
    bar =
      `<defs><linearGradient id="scale">${stops.join("")}</linearGradient></defs>` +
      `<rect x="156" y="${top - 10}" width="200" height="10" fill="url(#scale)"/>` +
      words(scale.low, 150, top, "end") +
      words(scale.high, 362, top);
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + (scale ? 56 : 32)}">` +
    `<rect width="100%" height="100%" fill="white"/>${words(title, 4, 17)}` +
    `<image y="26" width="${width}" height="${height}" style="image-rendering:pixelated" href="${canvas.toDataURL()}"/>` +
    `${bar}</svg>`
  );
}

/** A table: a row of headings, and rows of values. */
export function saveCSV(headings, rows, name) {
  offer(new Blob([asCSV(headings, rows)], { type: "text/csv" }), `${name}.csv`);
}

export function asCSV(headings, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [headings, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

const escaped = (text) => text.replace(/[&<>"]/g, (each) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[each]);
