// Every row's metric with its 95 % interval, best first; floors and luck as lines through all of them.

const FIRST_ROWS = 40;

function forest(group, metric, place) {
  const known = group.rows.map((row, index) => ({ row, index })).filter(({ row }) => row.values[metric] !== null);
  if (!known.length) return;
  const state = { all: known.length <= FIRST_ROWS, scale: "floors" };
  const name = group.metrics[metric];
  const controls = [];
  const floors = known.some(({ row }) => row.kind === "floor");
  const real = known.filter(({ row }) => row.kind !== "floor");
  const [from] = extent(real.map(({ row }) => row.low ?? row.values[metric]));
  if (floors && real.length) {
    controls.push(picker("Scale", { floors: "with floors", rows: "rows alone" }, "floors", (value) => {
      state.scale = value;
      repaint();
    }));
  }
  if (!state.all) {
    const more = make("button", { type: "button" }, `Show all ${known.length} rows`);
    more.addEventListener("click", () => {
      state.all = true;
      more.remove();
      repaint();
    });
    controls.push(more);
  }
  const shown = () => known
    .filter(({ row, index }) => state.all || index < FIRST_ROWS || row.kind === "floor")
    .filter(({ row }) => state.scale === "floors" || row.kind !== "floor" || row.values[metric] >= from);
  const tested = known.some(({ row }) => row.letters);
  const repaint = figure({
    group, place, controls,
    title: `${name}: who is better?`,
    about: "Each line is a 95 % interval."
      + (tested ? " Rows that share a letter cannot be told apart; no filled mark can be told from the best." : "")
      + (group.luck ? ` The dotted line is what the best of ${group.luck.rows} equal rows would show by luck.` : ""),
    paint: (width) => forestOf(shown(), group, metric, width),
    describe: (row) => `${row.name}: ${name} ${exact(row.values[metric])}`
      + (row.low === null ? "" : `, 95 % interval ${exact(row.low)} to ${exact(row.high)}`)
      + (row.letters ? `, group ${row.letters}` : ""),
  });
}

// What is drawn through all rows: the floors among them, and luck.
function guides(rows, metric, luck) {
  const floors = rows.filter(({ row }) => row.kind === "floor")
    .map(({ row }) => [row.name, row.values[metric], "floor"]);
  return luck && luck.best !== null ? [...floors, [`luck, best of ${luck.rows}`, luck.best, "luck"]] : floors;
}

function forestOf(rows, group, metric, width) {
  const narrow = width < 560; // names then stand above their lines
  const step = narrow ? 40 : 25;
  const longest = Math.max(...rows.map(({ row }) => widthOf(row.name)));
  const letters = Math.max(0, ...rows.map(({ row }) => widthOf(row.letters)));
  const room = Math.min(longest + 4, width * 0.3);
  const box = { left: narrow ? 8 : room + 14, right: width - (narrow ? 10 : 64 + Math.min(letters, 120)) };
  const lines = guides(rows, metric, group.luck);
  const ends = rows.flatMap(({ row }) => [row.low, row.high, row.values[metric]]);
  const [low, high] = padded(extent([...ends, ...lines.map(([, value]) => value)]), 0.03);
  const reach = [Math.max(low, 0), high];
  const x = linear(reach, [box.left, box.right]);
  const placed = lanes(lines.map(([name, value]) => [fitted(name, width / 2), x(value)]), width);
  const top = 8 + 15 * (1 + Math.max(-1, ...placed.map(([, , lane]) => lane)));
  const bottom = top + step * rows.length + 6;
  const through = (kind, at, from) => draw("line", { class: kind, x1: at, x2: at, y1: from, y2: bottom });
  const parts = ticks(reach, narrow ? 4 : 8).flatMap((value) => [
    through("grid", x(value), top),
    label(short(value), Math.min(x(value), width - 16), bottom + 16, { anchor: "middle", kind: "dim" }),
  ]);
  lines.forEach(([, value, kind]) => parts.push(through(kind, x(value), top - 2)));
  for (const [words, , lane, at] of placed) {
    parts.push(label(words, at, 12 + 15 * lane, { anchor: "middle", kind: "dim" }));
  }
  rows.forEach((one, number) => {
    const middle = top + step * (number + (narrow ? 0.72 : 0.5)) + 2;
    parts.push(forestRow(one, metric, { x, box, room, width, middle, narrow, step }));
  });
  return canvas(width, bottom + 24, ...parts);
}

function forestRow({ row, index }, metric, { x, box, room, width, middle, narrow, step }) {
  const value = row.values[metric];
  const said = exact(value);
  const base = narrow ? middle - 13 : middle + 4;
  const side = narrow ? "end" : "start";
  const nameRoom = narrow ? width - widthOf(`${said} ${row.letters}`) - 24 : room;
  const at = narrow
    ? { name: 8, value: width - 8, letters: width - widthOf(said) - 14 }
    : { name: box.left - 10, value: box.right + 10, letters: box.right + 58 };
  const letters = { anchor: side, kind: "letters halo", room: narrow ? 80 : 126 };
  return draw("g", { class: `row ${row.kind}${row.alike ? " equal" : ""}`, "data-row": index },
    draw("rect", { class: "hit", x: 0, y: middle - step * (narrow ? 0.72 : 0.5), width, height: step }),
    label(row.name, at.name, base, { anchor: narrow ? "start" : "end", room: nameRoom, kind: "name halo" }),
    row.low === null
      ? null
      : draw("line", { class: "interval", x1: x(row.low), x2: x(row.high), y1: middle, y2: middle }),
    shape(row.kind, x(value), middle),
    label(said, at.value, base, { anchor: side, kind: "value halo" }),
    row.letters ? label(row.letters, at.letters, base, letters) : null);
}

// Kinds differ in shape, not in colour alone.
function shape(kind, x, y) {
  if (kind === "floor") return draw("path", { class: "point", d: `M${x - 5},${y}l5,-5l5,5l-5,5z` });
  if (kind === "checkpoint") return draw("circle", { class: "point", cx: x, cy: y, r: 4.5 });
  return draw("rect", { class: "point", x: x - 4, y: y - 4, width: 8, height: 8 });
}
