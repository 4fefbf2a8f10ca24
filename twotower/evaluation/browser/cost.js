// What a better metric costs; the front joins the rows to which no other is at least as good and as cheap.

function cost(group, metric, place) {
  const priced = (name) => group.rows.map((row, index) => ({ row, index }))
    .filter(({ row }) => row.values[metric] !== null && row.cost[name] !== undefined);
  const choices = Object.fromEntries(Object.entries(group.costs)
    .filter(([name]) => priced(name).length > 1).map(([name, about]) => [name, about.label]));
  if (!Object.keys(choices).length) return;
  let chosen = Object.keys(choices)[0];
  const repaint = figure({
    group, place,
    title: `${group.metrics[metric]} against cost`,
    about: "The line is the Pareto front: no row is both better and cheaper than those on it.",
    controls: [picker("Cost", choices, chosen, (value) => { chosen = value; repaint(); })],
    paint: (width) => costOf(priced(chosen), { group, metric, chosen }, width),
    describe: (row) => `${row.name}: ${group.metrics[metric]} ${exact(row.values[metric])}, `
      + `${choices[chosen]} ${short(row.cost[chosen])}${row.pareto.includes(chosen) ? ", on the front" : ""}`,
  });
}

function costOf(rows, { group, metric, chosen }, width) {
  const height = 330;
  const box = { left: 52, right: width - 14, top: 24, bottom: height - 40 };
  const prices = rows.map(({ row }) => row.cost[chosen]);
  const [least, most] = extent(prices);
  const steep = least > 0 && most / least > 20; // such costs are compared by their ratio
  const over = steep ? [least / 1.15, most * 1.15] : padded([least, most], 0.05);
  const levels = group.rows.filter((row) => row.kind === "floor").map((row) => row.values[metric]);
  const reach = padded(extent([...rows.flatMap(({ row }) => [row.low, row.high, row.values[metric]]), ...levels]));
  const x = (steep ? logarithmic : linear)(over, [box.left, box.right]);
  const y = linear(reach, [box.bottom, box.top]);
  const { label: name, more } = group.costs[chosen];
  const axes = frame({
    x, y, box, across: steep ? powers(over) : ticks(over, width < 500 ? 4 : 7), down: ticks(reach),
    names: [`${name}, ${more ? "more" : "less"} is better${steep ? " (log scale)" : ""}`, group.metrics[metric]],
  });
  const front = rows.filter(({ row }) => row.pareto.includes(chosen) && row.kind !== "floor")
    .sort((left, right) => left.row.cost[chosen] - right.row.cost[chosen]);
  const line = front.map(({ row }) => `${x(row.cost[chosen])},${y(row.values[metric])}`).join(" ");
  const onFront = new Set(front.map(({ index }) => index));
  const marks = [...rows].reverse().map(({ row, index }) => {
    const at = x(row.cost[chosen]);
    return draw("g", { class: `row ${row.kind}${onFront.has(index) ? " equal" : ""}`, "data-row": index },
      row.low === null || (rows.length > 60 && !onFront.has(index))
        ? null
        : draw("line", { class: "interval thin", x1: at, x2: at, y1: y(row.low), y2: y(row.high) }),
      shape(row.kind, at, y(row.values[metric])),
      draw("circle", { class: "hit", cx: at, cy: y(row.values[metric]), r: 12 }));
  });
  const busy = rows.map(({ row }) => [x(row.cost[chosen]), y(row.values[metric])]);
  return canvas(width, height, ...axes, front.length > 1 ? draw("polyline", { class: "front", points: line }) : null,
    ...marks, ...floorLines(group, metric, { y, box, points: busy }), ...namesOf(front, { x, y, box, metric, chosen }));
}

// Names of the rows on the front, best first, as far as they overlap neither each other nor the frame.
function namesOf(front, { x, y, box, metric, chosen }) {
  const taken = [];
  const placed = [];
  for (const { row } of [...front].sort((left, right) => right.row.values[metric] - left.row.values[metric])) {
    const words = fitted(row.name, 200);
    const size = widthOf(words);
    const at = x(row.cost[chosen]);
    const right = at + 9 + size <= box.right;
    const from = right ? at + 9 : at - 9 - size;
    const base = y(row.values[metric]) - 7;
    const clear = ([left, end, height]) => Math.abs(height - base) > FONT + 2 || from > end || from + size < left;
    if (from < box.left || !taken.every(clear)) continue;
    taken.push([from, from + size, base]);
    placed.push(label(words, from, base, { kind: "halo" }));
  }
  return placed;
}
