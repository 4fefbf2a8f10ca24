"""The report page in a real browser: what is drawn is looked at, not what was written."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import page_case
import pytest

from twotower.evaluation.page import page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path (Debian: chromium)")

EVIL = "</script><img src=x onerror=alert(1)>"

LOOK = """() => {
  const wrong = [];
  const say = (what, one) => wrong.push(`${what}: ${one.tagName} ${one.textContent.slice(0, 60)}`);
  const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".unseen");
  const scrolls = (element) => element.closest(".wide, .plot");
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("the page scrolls sideways");
  const kinds = "th, td, label, dd, dt, li, button, select, p, h1, h2, h3, summary, pre";
  for (const one of [...document.querySelectorAll(kinds)].filter(seen)) {
    if (one.clientWidth && one.scrollWidth > one.clientWidth + 1) say("clipped", one);
    const box = one.getBoundingClientRect();
    if (!scrolls(one) && (box.left < -1 || box.right > innerWidth + 1)) say("beside the window", one);
  }
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const { width, height } = svg.viewBox.baseVal;
    if (Math.abs(svg.getBoundingClientRect().width - width) > 1) say("scaled", svg);
    for (const text of svg.querySelectorAll("text")) {
      const box = text.getBBox();
      const [right, bottom] = [box.x + box.width, box.y + box.height];
      const outside = box.x < -1 || box.y < -1 || right > width + 1 || bottom > height + 1;
      if (outside) say("outside its drawing", text);
    }
  }
  return wrong;
}"""
"""What is cut off, by its words."""

CONTRAST = """() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((byte) => byte / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = element ? getComputedStyle(element).backgroundColor : "white";
    return !element || parts(colour)[3] === 255 ? colour : behind(element.parentElement);
  };
  const low = new Set();
  let looked = 0;
  for (const one of document.body.querySelectorAll("*")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest("script, noscript, title, .unseen")) continue;
    const style = getComputedStyle(one);
    const [a, b] = [light(one instanceof SVGElement ? style.fill : style.color), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    looked += 1;
    if (ratio < 4.5) low.add(`${ratio.toFixed(2)} ${one.tagName}: ${one.textContent.slice(0, 40)}`);
  }
  return [looked, [...low]];
}"""
"""How many texts were looked at, and those with a contrast below 4.5 (WCAG 2, AA)."""


@dataclass
class Opened:
    """A page in the browser, with all that it said and asked for."""

    tab: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        """The words of a column of the first table, in the order shown, but for what stands below a value."""
        return self.tab.evaluate(
            """(name) => {
              const table = document.querySelector("table.rows");
              const heads = [...table.tHead.rows[0].cells];
              const place = heads.findIndex((head) => head.textContent === name);
              const bodies = [...table.tBodies].filter((body) => !body.hidden);
              const cells = bodies.map((body) => body.rows[0].cells[place]);
              return cells.map((cell) => (cell.querySelector("b, bdi") || cell).textContent);
            }""",
            name,
        )

    def head(self, name: str) -> Any:
        return self.tab.locator("table.rows").first.locator("thead button").get_by_text(name, exact=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a document as a file; after the test, nothing may have been complained of or fetched."""
    opened: list[Opened] = []

    def show_(document: Mapping[str, Any], width: int = 1280, theme: str = "light", **more: Any) -> Opened:
        path = tmp_path / "board.html"
        path.write_text(page(document), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, **more)
        one = Opened(context.new_page())
        one.tab.on("console", lambda message: one.said.append(message.text))
        one.tab.on("pageerror", lambda error: one.said.append(str(error)))
        one.tab.on("dialog", lambda dialog: (one.said.append(dialog.message), dialog.dismiss()))
        one.tab.on("request", lambda request: one.asked.append(request.url))
        one.tab.goto(path.as_uri())
        if more.get("java_script_enabled", True):
            one.tab.wait_for_selector("html.ready")
        opened.append(one)
        return one

    yield show_
    for one in opened:
        assert one.said == []
        assert [url for url in one.asked if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in one.asked if url.startswith("file:")]) == 1
        one.tab.context.close()


def drawn_well(opened: Opened) -> None:
    assert opened.tab.evaluate(LOOK) == []
    looked, low = opened.tab.evaluate(CONTRAST)
    assert looked > 50
    assert low == []


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (400, "dark")])
def test_nothing_is_cut_and_everything_can_be_read(show: Any, width: int, theme: str) -> None:
    opened = show(page_case.document(12, 2), width, theme)
    drawn_well(opened)
    assert opened.tab.locator("figure").count() == 8  # four charts in each of two groups
    opened.tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.tab.evaluate("document.querySelectorAll('.fold').forEach((one) => one.click())")
    drawn_well(opened)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (400, "light"), (760, "light")])
@pytest.mark.parametrize("runs", [1, 12, 500])
def test_pages_of_every_size_are_drawn_well(show: Any, runs: int, width: int, theme: str) -> None:
    drawn_well(show(page_case.document(runs, 1), width, theme))


def test_the_table_sorts_by_number_by_mouse_and_keyboard(show: Any) -> None:
    opened = show(page_case.document(12, 1))
    shown = opened.column("MRR@10")
    assert shown == sorted(shown, reverse=True)
    opened.head("MRR@10").click()
    assert opened.column("MRR@10") == sorted(shown)
    opened.head("Training, s").focus()
    opened.tab.keyboard.press("Enter")
    seconds = [float(words.partition("★")[0]) for words in opened.column("Training, s")[:12]]
    assert seconds == sorted(seconds)
    assert len({len(str(int(one))) for one in seconds}) > 1  # 9.5 before 10: as numbers, not as words
    assert opened.column("Training, s")[12:] == [""] * 4  # floors cost nothing and come last
    heads = opened.tab.locator("table.rows th[aria-sort=ascending]")
    assert heads.all_text_contents() == ["Training, s"]
    opened.tab.keyboard.press("Enter")
    assert opened.column("Training, s")[12:] == [""] * 4
    assert float(opened.column("Training, s")[0].partition("★")[0]) == max(seconds)


@pytest.mark.slow
def test_names_sort_by_the_alphabet(show: Any) -> None:
    document = page_case.document(4, 1)
    rows = document["groups"][0]["rows"] = document["groups"][0]["rows"][:4]
    for row, name in zip(rows, ("run10", "run9", "Beta", "alpha"), strict=True):
        row["name"] = name
    opened = show(document)
    opened.head("Name").click()
    assert opened.column("Name") == ["alpha", "Beta", "run9", "run10"]


@pytest.mark.slow
def test_seeds_unfold(show: Any) -> None:
    opened = show(page_case.document(6, 1))
    assert opened.tab.locator("tr.seed:visible").count() == 0
    opened.tab.locator(".fold").first.press("Space")
    assert opened.tab.locator("tr.seed:visible").count() == 3


def test_names_are_shown_as_they_are_and_run_nothing(show: Any) -> None:
    document = page_case.document(3, 1)
    for row in document["groups"][0]["rows"]:
        row["name"] += EVIL
        row["config"] = {f"{name}{EVIL}": f"{value}{EVIL}" for name, value in row["config"].items()}
    opened = show(document)
    assert opened.tab.locator("img").count() == 0
    assert EVIL in opened.column("Name")[0]
    assert opened.tab.locator("svg text", has_text="</script>").count() > 0
    opened.tab.locator("svg[role=img]").first.press("ArrowDown")
    assert EVIL in opened.tab.locator(".said").first.inner_text()


def test_names_of_any_length_fit(show: Any) -> None:
    document = page_case.document(3, 1)
    group = document["groups"][0]
    for row in group["rows"]:
        row["name"] += "-" + "W" * 200
        row["letters"] = "abcdefghijklmnopqrstuvwxyz"
        row["config"] = {f"{name}{'m' * 80}": f"{value}{'W' * 80}" for name, value in row["config"].items()}
    group["protocol"]["title"] = "W" * 200
    group["alarms"] = group["alarms"] + ["W" * 200]
    assert show(document, 400).tab.evaluate(LOOK) == []
    assert show(document, 1280).tab.evaluate(LOOK) == []


def test_charts_answer_to_keys_and_choices(show: Any) -> None:
    opened = show(page_case.document(5, 1))
    first = page_case.document(5, 1)["groups"][0]["rows"][0]
    forest, curves = (opened.tab.locator("figure").nth(place) for place in (0, 1))
    forest.locator("svg[role=img]").press("ArrowDown")
    said = forest.locator(".said").inner_text()
    assert said.startswith(f"{first['name']}: MRR@10 {first['metrics']['mrr_10']:.4f}, 95 % interval ")
    assert opened.tab.locator("tbody.on").get_attribute("data-row") == "0"
    before = curves.locator("svg[role=img]").inner_html()
    curves.get_by_label("by").select_option("seconds")
    assert "seconds of training" in curves.locator("svg[role=img]").text_content()
    assert curves.locator("svg[role=img]").inner_html() != before
    curves.get_by_label("Show").select_option("dev_loss")
    assert "chance" not in curves.locator("svg[role=img]").text_content()  # floors have no loss


@pytest.mark.slow
def test_the_scale_can_leave_floors_out(show: Any) -> None:
    opened = show(page_case.document(5, 1))
    forest = opened.tab.locator("figure").first
    assert forest.locator("g.floor").count() == 4
    forest.get_by_label("Scale").select_option("rows")
    assert forest.locator("g.floor").count() < 4


@pytest.mark.slow
def test_the_button_turns_the_theme_round(show: Any) -> None:
    opened = show(page_case.document(2, 1), theme="dark")
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    assert opened.tab.evaluate(colour) == "rgb(17, 21, 26)"
    opened.tab.get_by_role("button", name="Light theme").click()
    assert opened.tab.evaluate(colour) == "rgb(255, 255, 255)"


@pytest.mark.slow
def test_charts_follow_the_width_of_the_window(show: Any) -> None:
    opened = show(page_case.document(4, 1))
    forest = opened.tab.locator("svg[role=img]").first
    before = forest.get_attribute("width")
    opened.tab.set_viewport_size({"width": 420, "height": 900})
    playwright.expect(forest).not_to_have_attribute("width", before)
    assert opened.tab.evaluate(LOOK) == []


@pytest.mark.slow
def test_a_long_table_shows_its_first_rows_first(show: Any) -> None:
    opened = show(page_case.document(60, 1, history=False))
    assert len(opened.column("Name")) == 50
    opened.head("MRR@10").click()
    assert opened.column("Name")[0] == "chance"  # the last of all rows, not of those that were shown
    opened.tab.locator(".more").click()
    assert len(opened.column("Name")) == 64


def test_charts_without_data_are_not_there(show: Any) -> None:
    document = page_case.document(1, 1, history=False)
    document["groups"][0]["rows"] = document["groups"][0]["rows"][:1]
    titles = show(document).tab.locator("figure h3").all_inner_texts()
    assert titles == ["MRR@10: who is better?"]


def test_the_tables_are_whole_without_a_script(show: Any) -> None:
    opened = show(page_case.document(60, 1), java_script_enabled=False)
    assert opened.tab.locator("table.rows tbody:visible").count() == 64
    assert opened.tab.locator("tr.seed:visible").count() == 36  # every fifth of 60 has three seeds
    assert opened.tab.locator("button").count() == 0
    assert "need JavaScript" in opened.tab.locator("noscript").inner_text()
