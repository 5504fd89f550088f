// Two colour scales, the same everywhere: one for signed maps, one for magnitudes.

const SIGNED = ["053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b", "67001f"];
const MAGNITUDES = ["000004", "1c1044", "4f127b", "812581", "b5367a", "e55064", "fb8761", "fec287", "fcfdbf"];
const STEPS = 512;

function table(anchors) {
  const colours = anchors.map((text) => [0, 2, 4].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const found = new Uint8Array(STEPS * 3);
  for (let step = 0; step < STEPS; step += 1) {
    const place = (step / (STEPS - 1)) * (colours.length - 1);
    const lower = Math.min(Math.floor(place), colours.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [from, to] = [colours[lower][channel], colours[lower + 1][channel]];
      found[step * 3 + channel] = Math.round(from + (to - from) * (place - lower));
    }
  }
  return found;
}

const TABLES = { signed: table(SIGNED), magnitude: table(MAGNITUDES) };

/** Paint values (h, w): "signed" from -limit to limit, "magnitude" from 0 to limit. */
export function paint(canvas, values, [height, width], scale, limit) {
  const colours = TABLES[scale];
  fill(canvas, height, width, (pixels) => {
    for (let at = 0; at < height * width; at += 1) {
      const share = scale === "signed" ? (values[at] / limit + 1) / 2 : values[at] / limit;
      const step = Math.max(0, Math.min(STEPS - 1, Math.round(share * (STEPS - 1))));
      pixels[at * 4] = colours[step * 3];
      pixels[at * 4 + 1] = colours[step * 3 + 1];
      pixels[at * 4 + 2] = colours[step * 3 + 2];
      pixels[at * 4 + 3] = 255;
    }
  });
}

/** Paint an image (C, h, w) in [0, 1]: its first three channels in colour, or one channel in grey. */
export function paintImage(canvas, { data, shape: [channels, height, width] }) {
  const size = height * width;
  const places = channels >= 3 ? [0, size, 2 * size] : [0, 0, 0];
  fill(canvas, height, width, (pixels) => {
    for (let at = 0; at < size; at += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        pixels[at * 4 + channel] = Math.round(255 * Math.max(0, Math.min(1, data[places[channel] + at])));
      }
      pixels[at * 4 + 3] = 255;
    }
  });
}

function fill(canvas, height, width, write) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  write(image.data);
  context.putImageData(image, 0, 0);
}

/** CSS colours of a scale, from left to right. */
export function gradient(scale) {
  const anchors = scale === "signed" ? SIGNED : MAGNITUDES;
  return `linear-gradient(to right, ${anchors.map((text) => `#${text}`).join(", ")})`;
}

export const anchorsOf = (scale) => (scale === "signed" ? SIGNED : MAGNITUDES).map((text) => `#${text}`);

/** The mean over channels of how far two images are apart: {data, shape: [h, w]}. */
export function errorOf(image, target) {
  const [channels, height, width] = image.shape;
  const data = new Float32Array(height * width);
  for (let at = 0; at < image.data.length; at += 1) {
    data[at % data.length] += Math.abs(image.data[at] - target.data[at]) / channels;
  }
  return { data, shape: [height, width] };
}

/** The mean over channels of image minus other, signed. */
export function differenceOf(image, other) {
  const [channels, height, width] = image.shape;
  const data = new Float32Array(height * width);
  for (let at = 0; at < image.data.length; at += 1) {
    data[at % data.length] += (image.data[at] - other.data[at]) / channels;
  }
  return { data, shape: [height, width] };
}
