// Parallel coordinates: one axis for each knob that differs, the last one the metric, one line for each row.

const AXIS_ROOM = 108; // the least distance between two axes, in pixels; narrower windows scroll

function knobs(group, metric, place) {
  const rows = group.rows.map((row, index) => ({ row, index }))
    .filter(({ row, index }) => row.values[metric] !== null && group.knobs.some((knob) => knob.values[index] !== null));
  if (rows.length < 2 || !group.knobs.length) return;
  const axes = [
    ...group.knobs.map((knob) => axisOf(knob.name, rows.map(({ index }) => knob.values[index]))),
    numeric(group.metrics[metric], rows.map(({ row }) => row.values[metric]), true),
  ];
  figure({
    group, place,
    title: "What the knobs did",
    about: "Knobs that differ between the rows. Each row is a line, the thickest the best; the stronger its "
      + `colour, the better its place by ${group.metrics[metric]}.`,
    whole: true,
    paint: (width) => knobsOf(axes, rows, width),
    describe: (row, index) => `${row.name}: ${group.metrics[metric]} ${exact(row.values[metric])}; `
      + group.knobs.map((knob) => `${knob.name} ${worded(knob.values[index])}`).join(", "),
  });
}

const worded = (value) => (value === null ? "none" : typeof value === "number" ? short(value) : String(value));

function axisOf(name, values) {
  const numbers = values.every((value) => value === null || typeof value === "number");
  return numbers && values.some((value) => value !== null) ? numeric(name, values, false) : categorical(name, values);
}

function categorical(name, values) {
  const kinds = [...new Set(values.map(worded))].sort();
  const at = (value) => (kinds.length > 1 ? kinds.indexOf(worded(value)) / (kinds.length - 1) : 0.5);
  return { name, at, marks: kinds.map((kind) => [kind, at(kind)]), values };
}

// From 0 at the bottom to 1 at the top. Numbers that span a factor of 10 are compared by their ratio; zeros
// and missing values then stand below them.
function numeric(name, values, plain) {
  const known = values.filter((value) => value !== null);
  const positive = known.filter((value) => value > 0);
  const [least, most] = extent(positive.length ? positive : known);
  const ratio = !plain && known.every((value) => value >= 0) && least > 0 && most / least >= 10;
  const apart = [
    ...(values.includes(null) ? [null] : []),
    ...(ratio && known.includes(0) ? [0] : []),
  ];
  const low = 0.12 * apart.length;
  const range = ratio ? [least, most] : extent(known);
  const scale = range[0] === range[1] ? () => (low + 1) / 2 : (ratio ? logarithmic : linear)(range, [low, 1]);
  const at = (value) => (apart.includes(value) ? 0.12 * apart.indexOf(value) : scale(value));
  const distinct = [...new Set(known)].filter((value) => !apart.includes(value));
  const chosen = distinct.length <= 6 && !plain ? distinct : ratio ? powers(range) : ticks(range, 5);
  const marks = [...apart, ...chosen].map((value) => [worded(value), at(value)]);
  return { name: ratio ? `${name} (log)` : name, at, marks, values };
}

function knobsOf(axes, rows, width) {
  const height = 320;
  const whole = Math.max(width, AXIS_ROOM * axes.length + 20);
  const top = 46;
  const bottom = height - 16;
  const edge = AXIS_ROOM / 2;
  const x = (place) => edge + ((whole - 2 * edge) * place) / (axes.length - 1);
  const y = (share) => bottom - share * (bottom - top);
  const many = rows.length > 60 ? " many" : "";
  const lines = rows.map(({ index }, number) => {
    const levels = axes.map((axis) => y(axis.at(axis.values[number])));
    const points = levels.map((level, place) => `${x(place).toFixed(1)},${level.toFixed(1)}`).join(" ");
    const share = 1 - number / Math.max(rows.length - 1, 1); // by place: a few bad rows would take all the range
    const line = draw("polyline", { points, class: number === 0 ? "path best" : `path${many}` });
    line.style.stroke = `color-mix(in oklab, var(--strong) ${Math.round(100 * share)}%, var(--weak))`;
    return draw("g", { class: "knobs", "data-row": index }, line, draw("polyline", { points, class: "hit" }));
  });
  const gap = Math.min(x(1) - x(0), AXIS_ROOM * 1.6) - 14;
  const columns = axes.flatMap((axis, place) => [
    draw("line", { class: "axis", x1: x(place), x2: x(place), y1: top, y2: bottom }),
    ...titled(axis.name, x(place)),
    ...spaced(axis.marks, y).map(([words, share]) => label(
      words, x(place) + 5, y(share) + 4, { kind: "halo", room: place === axes.length - 1 ? edge - 6 : gap })),
  ]);
  return canvas(whole, height, ...lines.reverse(), ...columns);
}

// A knob's name on at most two lines, broken at a dot or an underscore.
function titled(name, x) {
  const room = AXIS_ROOM - 8;
  if (widthOf(name) <= room) return [label(name, x, 30, { anchor: "middle", kind: "name" })];
  const ends = [...name.matchAll(/[._ ]/g)].map((found) => found.index + 1);
  const end = ends.filter((one) => widthOf(name.slice(0, one)) <= room).at(-1) ?? Math.ceil(name.length / 2);
  const style = { anchor: "middle", kind: "name", room };
  return [label(name.slice(0, end).trim(), x, 15, style), label(name.slice(end), x, 30, style)];
}

// Marks that stand too close to the one before are left out.
function spaced(marks, y) {
  let free = Infinity;
  return [...marks].sort((left, right) => left[1] - right[1]).filter(([, share]) => {
    if (y(share) > free) return false;
    free = y(share) - FONT - 2;
    return true;
  });
}
