// How each row learned: a metric or a loss by epoch or by seconds of training. The best rows have colours.

const COLOURED = 8;

function curves(group, metric, place) {
  const drawn = group.rows.map((row, index) => ({ row, index }))
    .filter(({ row }) => (row.curve.epoch || []).length > 1);
  const values = Object.entries({ ...group.metrics, ...group.losses });
  const known = Object.fromEntries(values.filter(([name]) => drawn.some(({ row }) => row.curve[name])));
  if (!drawn.length || !Object.keys(known).length) return;
  const timed = drawn.some(({ row }) => row.curve.seconds);
  const chosen = { y: metric in known ? metric : Object.keys(known)[0], x: "epoch" };
  const best = drawn.slice(0, COLOURED);
  const colour = new Map(best.map(({ index }, number) => [index, number]));
  const choose = (axis) => (value) => {
    chosen[axis] = value;
    repaint();
  };
  const controls = [picker("Show", known, chosen.y, choose("y"))];
  if (timed) controls.push(picker("by", { epoch: "epoch", seconds: "training seconds" }, "epoch", choose("x")));
  const others = drawn.length - best.length;
  const repaint = figure({
    group, place, controls,
    title: "Learning curves",
    about: "The dot is the epoch that was kept."
      + (others ? ` The best ${best.length} rows have colours, ${others} more stand behind them.` : ""),
    paint: (width) => [curvesOf({ drawn, colour, chosen, names: known, group }, width), legend(best, colour)],
    describe: (row) => {
      const path = (row.curve[chosen.y] || []).filter((value) => value !== null);
      const kept = row.curve[chosen.y]?.[(row.curve.epoch || []).indexOf(row.epoch)];
      return `${row.name}: ${known[chosen.y]} from ${exact(path[0])} to ${exact(path.at(-1))}`
        + (kept === undefined ? "" : `, kept at epoch ${row.epoch} with ${exact(kept)}`);
    },
  });
}

function curvesOf({ drawn, colour, chosen, names, group }, width) {
  const height = 300;
  const box = { left: 52, right: width - 12, top: 24, bottom: height - 40 };
  const points = ({ row }) => (row.curve[chosen.y] || [])
    .map((value, place) => [(row.curve[chosen.x] || [])[place] ?? null, value, row.curve.epoch[place]])
    .filter(([at, value]) => at !== null && value !== null);
  const every = drawn.flatMap(points);
  const levels = group.rows.filter((row) => row.kind === "floor").map((row) => row.values[chosen.y]);
  const over = padded(extent(every.map((point) => point[0])), 0.02);
  const reach = padded(extent([...every.map((point) => point[1]), ...levels]));
  const x = linear(over, [box.left, box.right]);
  const y = linear(reach, [box.bottom, box.top]);
  const whole = chosen.x === "epoch" ? (value) => Number.isInteger(value) : () => true;
  const axes = frame({
    x, y, box, across: ticks(over, width < 500 ? 4 : 7).filter(whole), down: ticks(reach),
    names: [chosen.x === "epoch" ? "epoch" : "seconds of training", names[chosen.y]],
  });
  const lines = [...drawn].reverse().map((one) => {
    const path = points(one);
    const series = colour.has(one.index) ? `series s${colour.get(one.index)}` : "series behind";
    const kept = path.find((point) => point[2] === one.row.epoch);
    return draw("g", { class: series, "data-row": one.index },
      draw("polyline", { points: path.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
      kept ? draw("circle", { cx: x(kept[0]), cy: y(kept[1]), r: colour.has(one.index) ? 4 : 2 }) : null);
  });
  const busy = every.map(([at, value]) => [x(at), y(value)]);
  return canvas(width, height, ...axes, ...lines, ...floorLines(group, chosen.y, { y, box, points: busy }));
}

function legend(best, colour) {
  const items = best.map(({ row, index }) => make("li", { "data-row": index },
    draw("svg", { width: 26, height: 10, "aria-hidden": "true" },
      draw("g", { class: `series s${colour.get(index)}` }, draw("polyline", { points: "1,5 25,5" }))),
    make("bdi", {}, row.name)));
  return make("ul", { class: "legend" }, ...items);
}
