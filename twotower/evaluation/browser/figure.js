// A chart: heading, controls, a drawing as wide as the window allows, and a line that says what is pointed at.

const PAINTERS = []; // called once all charts have their place, and whenever the width changes
let stamped = 0;

// `paint(width)` gives an SVG element, or a list that begins with one;
// `describe(row)` the words for a row of the group.
function figure({ group, place, title, about, controls = [], whole = false, paint, describe }) {
  const plot = make("div", { class: "plot" });
  const said = make("p", { class: "said", "aria-live": "polite" });
  const id = `figure-${(stamped += 1)}`;
  const head = make("figcaption", {}, make("h3", { id }, title), make("p", { class: "about" }, about));
  const tools = controls.length ? [make("div", { class: "controls" }, ...controls)] : [];
  place.append(make("figure", { class: whole && "whole" }, head, ...tools, plot, said));
  const hint = "Point at a row, or focus the chart and press the arrow keys.";
  said.textContent = hint;
  const tell = (row) => {
    said.textContent = row === null ? hint : describe(group.rows[row], row);
  };
  const repaint = () => {
    plot.replaceChildren();
    const [svg, ...below] = [paint(Math.max(Math.floor(plot.clientWidth), 240))].flat();
    plot.append(filled(svg, { role: "img", tabindex: 0, "aria-labelledby": id }, []), ...below);
  };
  explore(plot, place.closest(".group"), tell);
  PAINTERS.push(repaint);
  return repaint;
}

// Pointing and arrow keys choose a row, and mark it wherever the group shows it.
function explore(plot, section, tell) {
  let chosen = null;
  const choose = (row) => {
    if (row === chosen) return;
    chosen = row;
    mark(section, row);
    tell(row);
  };
  plot.addEventListener("pointerover", (event) => {
    const target = event.target.closest("[data-row]");
    if (target) choose(Number(target.dataset.row));
  });
  plot.addEventListener("pointerleave", () => choose(null));
  plot.addEventListener("focusout", () => choose(null));
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault(); // the page stays where it is
    const rows = [...new Set([...plot.querySelectorAll("[data-row]")].map((one) => Number(one.dataset.row)))];
    rows.sort((left, right) => left - right);
    const next = rows.indexOf(chosen) + step;
    choose(rows[chosen === null ? 0 : (next + rows.length) % rows.length]);
  });
}

function mark(section, row) {
  for (const one of section.querySelectorAll(".on")) one.classList.remove("on");
  section.classList.toggle("pointing", row !== null);
  for (const one of row === null ? [] : section.querySelectorAll(`[data-row="${row}"]`)) one.classList.add("on");
}

function canvas(width, height, ...children) {
  return draw("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, ...children);
}

function picker(words, choices, chosen, changed) {
  const options = Object.entries(choices).map(([value, text]) =>
    make("option", { value, selected: value === chosen }, text));
  const select = make("select", {}, ...options);
  select.addEventListener("change", () => changed(select.value));
  return make("label", {}, `${words} `, select);
}

// Words beside each other, each in the first lane where it overlaps none: [words, x] -> [words, x, lane].
function lanes(words, width) {
  const ends = [];
  return [...words].sort((left, right) => left[1] - right[1]).map(([text, at]) => {
    const size = widthOf(text);
    const x = Math.min(Math.max(at, size / 2), Math.max(width - size / 2, size / 2));
    let lane = ends.findIndex((end) => end < x - size / 2);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = x + size / 2 + 10;
    return [text, at, lane, x];
  });
}

// Horizontal lines with numbers at the left, and numbers below; both scales map values to pixels.
function frame({ x, y, box, across, down, names }) {
  const parts = [];
  for (const value of down) {
    parts.push(draw("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
    parts.push(label(short(value), box.left - 6, y(value) + 4, { anchor: "end", kind: "dim" }));
  }
  let free = -Infinity;
  for (const value of across) {
    const words = short(value);
    const half = widthOf(words) / 2;
    const at = Math.min(x(value), box.right - half + 8);
    parts.push(draw("line", { class: "grid", x1: x(value), x2: x(value), y1: box.bottom, y2: box.bottom + 4 }));
    if (at - half < free) continue;
    free = at + half + 8;
    parts.push(label(words, at, box.bottom + 17, { anchor: "middle", kind: "dim" }));
  }
  parts.push(draw("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  const wide = box.right - box.left;
  parts.push(label(names[0], box.left + wide / 2, box.bottom + 34, { anchor: "middle", kind: "dim", room: wide }));
  parts.push(label(names[1], 2, FONT, { kind: "dim", room: box.right }));
  return parts;
}

// Floors as dashed lines across a chart of `metric`, each with its name where there is room for it: at the
// right, or at the left where that is free of the chart's `points`.
function floorLines(group, metric, { y, box, points }) {
  const floors = group.rows.map((row, index) => [row, index])
    .filter(([row]) => row.kind === "floor" && (row.values[metric] ?? null) !== null) // none has a loss
    .sort(([left], [right]) => right.values[metric] - left.values[metric]);
  let free = -Infinity;
  return floors.flatMap(([row, index]) => {
    const at = y(row.values[metric]);
    const line = draw("line", { class: "floor", "data-row": index, x1: box.left, x2: box.right, y1: at, y2: at });
    if (at - 4 < free + FONT || at < box.top + 4) return [line];
    free = at - 4;
    const room = box.right - box.left;
    const size = widthOf(row.name) + 6;
    const within = (from, to) => points.some(([left, top]) => left > from && left < to && Math.abs(top - at + 8) < 14);
    const left = within(box.right - size, box.right + 6) && !within(box.left - 6, box.left + size);
    const style = { anchor: left ? "start" : "end", kind: "dim halo", room };
    return [line, label(row.name, left ? box.left + 4 : box.right, at - 4, style)];
  });
}
