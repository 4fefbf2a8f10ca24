// Start: charts of every group, sorting, copying, the theme. The tables were there before.

const BOARD = JSON.parse(document.getElementById("data").textContent);
const ROOT = document.documentElement;

function copyable(block) {
  const button = make("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("code")); // no clipboard here: the user copies it
      button.textContent = "Selected";
    }
  });
  block.after(button);
}

function theme() {
  const preferred = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const dark = () => (ROOT.dataset.theme || preferred()) === "dark";
  const button = make("button", { type: "button", id: "theme" });
  const name = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
  button.addEventListener("click", () => {
    ROOT.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  name();
  document.getElementById("tools").append(button);
}

function repaintOnResize() {
  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a telephone's address bar changes the height alone
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => PAINTERS.forEach((paint) => paint()), 120);
  });
}

theme();
for (const section of document.querySelectorAll(".group")) {
  const group = BOARD.groups[Number(section.dataset.group)];
  const [first, rest] = ["first", "rest"].map((name) => section.querySelector(`[data-place="${name}"]`));
  sortable(section);
  forest(group, BOARD.metric, first);
  curves(group, BOARD.metric, rest);
  cost(group, BOARD.metric, rest);
  knobs(group, BOARD.metric, rest);
}
document.querySelectorAll("pre.command").forEach(copyable);
for (const section of document.querySelectorAll(".group")) {
  section.querySelector("details[data-row]")?.setAttribute("open", "");
}
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.setAttribute("open", "");
});
repaintOnResize();
PAINTERS.forEach((paint) => paint());
ROOT.classList.add("ready");
