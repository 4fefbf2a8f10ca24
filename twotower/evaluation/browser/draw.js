// Elements, scales and words. Text goes in as text nodes only: no string here is ever parsed as HTML.

const SPACE = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const make = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => filled(document.createElementNS(SPACE, tag), attributes, children);

const FONT = 12; // of the text within charts, in CSS pixels
const RULER = document.createElement("canvas").getContext("2d");
RULER.font = `650 ${FONT}px ${getComputedStyle(document.body).fontFamily}`; // the boldest, which is the widest
const widthOf = (words) => RULER.measureText(words).width * 1.03;

function fitted(words, room) {
  if (widthOf(words) <= room) return words;
  let end = words.length;
  while (end > 1 && widthOf(`${words.slice(0, end)}…`) > room) end -= 1;
  return `${words.slice(0, end)}…`;
}

// A text that is cut says the whole in its title.
function label(words, x, y, { anchor = "start", room = Infinity, kind = "" } = {}) {
  const shown = fitted(words, room);
  const title = shown === words ? null : draw("title", {}, words);
  return draw("text", { x, y, "text-anchor": anchor, class: kind }, title, shown);
}

function extent(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const widen = ([low, high], value) => [Math.min(low, value), Math.max(high, value)];
  return known.length ? known.reduce(widen, [Infinity, -Infinity]) : [0, 1];
}

// Room on either side, so that no mark lies on the frame; a constant gets a range too.
function padded([low, high], share = 0.06) {
  const room = (high - low) * share || Math.abs(low) * 0.1 || 0.5;
  return [low - room, high + room];
}

const linear = ([low, high], [from, to]) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

function logarithmic([low, high], range) {
  const scale = linear([Math.log10(low), Math.log10(high)], range);
  return (value) => scale(Math.log10(value));
}

function ticks([low, high], count = 5) {
  const rough = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

function powers([low, high]) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    all.push(...[1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  }
  const within = all.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const tens = within.filter((value) => /^1(0*$|e)|^0\.0*1$/.test(String(value)));
  return within.length > 7 && tens.length > 1 ? tens : within;
}

// 0.0003 -> 3e-4, 3409280 -> 3.41M, 0.25 -> 0.25
function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  if (size > 0 && size < 1e-3) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

const exact = (value) => (value === null || value === undefined ? "–" : value.toFixed(4));
