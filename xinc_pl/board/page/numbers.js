// Numbers as people read them.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** Three digits: 0.0123, 4.56·10⁻⁵. */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (value === 0) return "0";
  const sign = value < 0 ? "−" : "";
  if (size >= 1e-4 && size < 1e5) return sign + (size >= 1000 ? String(Math.round(size)) : size.toPrecision(3));
  const [digits, power] = size.toExponential(2).split("e");
  return `${sign}${digits}·10${[...power.replace("+", "")].map((each) => RAISED[each]).join("")}`;
}

/** The same, with a plus. */
export const signed = (value) => (value > 0 ? `+${short(value)}` : short(value));

export const percent = (share) => (share >= 0.0995 ? `${(share * 100).toFixed(0)} %` : `${(share * 100).toPrecision(2)} %`);

export const decibels = (psnr) => (psnr === null || psnr === undefined ? "exact" : `${psnr.toFixed(2)} dB`);

export const grouped = (count) => count.toLocaleString("en-US");

/** Where the colours of maps in one scale end: not at the largest value where fewer pixels than 1 - `most` are so large. */
export function limitOf(arrays, most = 0.997) {
  const each = arrays.map((values) => limitOfOne(values, most));
  return {
    limit: Math.max(0, ...each.map(({ limit }) => limit)) || 1,
    largest: Math.max(0, ...each.map(({ largest }) => largest)),
  };
}

function limitOfOne(values, share) {
  const sizes = [];
  let largest = 0;
  const step = Math.max(1, Math.floor(values.length / 20000));
  for (let at = 0; at < values.length; at += 1) {
    const size = Math.abs(values[at]);
    if (size > largest) largest = size;
    if (at % step === 0) sizes.push(size);
  }
  sizes.sort((a, b) => a - b);
  const most = sizes[Math.floor(sizes.length * share)] ?? 0;
  return { limit: Math.max(most, largest / 8), largest };
}
