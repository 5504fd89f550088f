// Questions to the Python side, and what it answers.

const HERE = new URL("./", import.meta.url);
const MOST_BYTES = 200e6;
const KINDS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array };

const known = new Map();
let total = 0;

/** Ask, or remember what was answered before. Arrays come as {data, shape}. */
export function ask(question, values = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const each of Array.isArray(value) ? value : [value]) parameters.append(name, each);
  }
  const address = `${question}?${parameters}`;
  const found = known.get(address);
  if (found) {
    known.delete(address);
    known.set(address, found);
    return found.answer;
  }
  const entry = { bytes: 0, answer: fetched(address).then(({ answer, bytes }) => kept(entry, answer, bytes)) };
  known.set(address, entry);
  entry.answer.catch(() => known.delete(address));
  return entry.answer;
}

/** Let go of what may have changed, as the list of runs. */
export function forget(question) {
  for (const address of [...known.keys()]) {
    if (address.startsWith(`${question}?`)) known.delete(address);
  }
}

function kept(entry, answer, bytes) {
  entry.bytes = bytes;
  total += bytes;
  for (const [address, each] of known) {
    if (total <= MOST_BYTES) break;
    if (each === entry || each.bytes === 0) continue;
    known.delete(address);
    total -= each.bytes;
  }
  return answer;
}

async function fetched(address) {
  let response;
  try {
    response = await fetch(new URL(address, HERE));
  } catch {
    throw new Error("TensorBoard does not answer; is it still running?");
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({ error: `the answer has status ${response.status}` }));
    throw new Error(told.error);
  }
  const buffer = await response.arrayBuffer();
  return { answer: unpacked(buffer), bytes: buffer.byteLength };
}

function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  for (const [name, value] of Object.entries(facts)) {
    if (value && typeof value === "object" && value.dtype in KINDS && "offset" in value) {
      const count = value.shape.reduce((product, side) => product * side, 1);
      facts[name] = { data: new KINDS[value.dtype](buffer, 4 + length + value.offset, count), shape: value.shape };
    }
  }
  return facts;
}
