// Tables that sort by a click or a key on a heading, fold their seeds, and show their first rows first.

const SHOWN = 50;

function sortable(section) {
  const table = section.querySelector("table.rows");
  const box = table.parentElement;
  const bodies = [...table.tBodies];
  const heads = [...table.tHead.rows[0].cells];
  let all = bodies.length <= SHOWN;
  const show = () => [...table.tBodies].forEach((body, place) => { body.hidden = !all && place >= SHOWN; });
  heads.forEach((head, column) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.dataset.first || "ascending";
      const other = { ascending: "descending", descending: "ascending" };
      const order = head.ariaSort === first ? other[first] : first;
      for (const one of heads) one.setAttribute("aria-sort", one === head ? order : "none");
      table.append(...sorted(bodies, column, order === "descending"));
      show();
    });
  });
  bodies.forEach(foldable);
  show();
  box.addEventListener("pointerover", (event) => {
    const body = event.target.closest("tbody");
    mark(section, body ? Number(body.dataset.row) : null);
  });
  box.addEventListener("pointerleave", () => mark(section, null));
  if (all) return;
  const more = make("button", { type: "button", class: "more" }, `Show all ${bodies.length} rows`);
  more.addEventListener("click", () => {
    all = true;
    more.remove();
    show();
  });
  box.after(more);
}

// Numbers by their value, words by the alphabet; what is empty comes last in either order.
function sorted(bodies, column, falling) {
  const keys = new Map(bodies.map((body) => {
    const cell = body.rows[0].cells[column];
    if (!cell.classList.contains("number")) return [body, cell.textContent.trim() || null];
    return [body, cell.dataset.v === undefined ? null : Number(cell.dataset.v)];
  }));
  const words = new Intl.Collator("en", { numeric: true });
  const compare = (left, right) => (typeof left === "number" ? left - right : words.compare(left, right));
  return [...bodies].sort((one, two) => {
    const [left, right] = [keys.get(one), keys.get(two)];
    if (left === null || right === null) return (left === null) - (right === null);
    return falling ? compare(right, left) : compare(left, right);
  });
}

function foldable(body) {
  const seeds = [...body.querySelectorAll("tr.seed")];
  if (!seeds.length) return;
  const button = make("button", { type: "button", class: "fold", "aria-expanded": "false" }, `${seeds.length} seeds`);
  const fold = (open) => {
    button.setAttribute("aria-expanded", String(open));
    for (const seed of seeds) seed.hidden = !open;
  };
  button.addEventListener("click", () => fold(button.getAttribute("aria-expanded") === "false"));
  fold(false);
  body.rows[0].cells[0].append(button);
}
