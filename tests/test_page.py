"""The report page as text; tests/test_page_browser.py looks at it."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import page_case
import pytest

from twotower.evaluation.page import FOLDER, SCRIPTS, embedded, page

EVIL = "</script><img src=x onerror=alert(1)>"
VOID = {"meta", "link", "img", "br"}


class Nesting(HTMLParser):
    """Elements still open, ids, and every element's name."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.ids: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> Nesting:
    found = Nesting()
    found.feed(html)
    return found


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_same_document_gives_the_same_page() -> None:
    assert page(page_case.document(4)) == page(page_case.document(4))


def test_elements_are_closed_and_ids_are_unique() -> None:
    found = parsed(page(page_case.document(6)))
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids) > 0


def test_all_parts_are_there() -> None:
    html = page(page_case.document(6, 1))
    for said in (
        "Leaderboard by MRR@10",
        page_case.TITLE,
        'class="verdict',
        'class="alarms"',
        "Why queries fail",
    ):
        assert said in html
    for said in (
        "by slice of the queries",
        "Geometry of the embeddings",
        "1 left out",
        "<noscript>",
        'class="seed"',
    ):
        assert said in html


def test_nothing_is_fetched() -> None:
    html = page(page_case.document(3))
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|<script[^>]* src=|<link[^>]*href=\"(?!data:)", html)


def test_no_name_becomes_an_element() -> None:
    document = page_case.document(2, 1)
    row = next(row for row in document["groups"][0]["rows"] if row["kind"] == "checkpoint")
    row |= {"name": EVIL, "checkpoint": EVIL, "towers": EVIL, "sweep": EVIL, "letters": EVIL, "created": EVIL}
    row["config"] = {EVIL: EVIL}
    row["geometry"] = {EVIL: 1.0}
    row["slices"] = {EVIL: [{"value": EVIL, "queries": 1, "metrics": {"mrr_10": 0.1}, "intervals": {}}]}
    document["groups"][0] |= {"verdict": EVIL, "alarms": [EVIL]}
    document["groups"][0]["protocol"] |= {"title": EVIL, "key": EVIL}
    document |= {"alarms": [f"other {EVIL}"], "left_out": [{"file": EVIL, "why": EVIL}]}
    html = page(document)
    assert "img" not in parsed(html).names
    assert parsed(html).names.count("script") == 2
    assert EVIL in [one["name"] for one in data_of(html)["groups"][0]["rows"]]


def test_json_ends_no_script() -> None:
    assert "<" not in embedded({"a": "</script><!--<script>"})
    assert json.loads(embedded({"a": "</script>\u2028"})) == {"a": "</script>\u2028"}


def test_names_that_utf8_cannot_say_are_no_error() -> None:
    document = page_case.document(1, 1)
    document["groups"][0]["rows"][0]["name"] = "\ud800 Zoë 模型"
    assert "? Zoë 模型" in page(document).encode().decode()


def test_the_policy_lets_only_the_pages_own_script_run() -> None:
    html = page(page_case.document(1, 1))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy[1])) == 2
    assert not re.search(r"<[^>]* (style|on\w+)=", re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))


def test_every_script_is_used_and_none_parses_html() -> None:
    assert sorted(SCRIPTS) == sorted(path.name for path in FOLDER.glob("*.js"))
    for name in SCRIPTS:
        script = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|</script", script
        )
        assert len(script.splitlines()) <= 300
        assert max(map(len, script.splitlines())) <= 120


def test_an_alarm_is_said_once() -> None:
    document = page_case.document(2, 1)
    alarm = document["groups"][0]["alarms"][0]
    document["alarms"] = [f"{page_case.TITLE}: {alarm}", "a folder was skipped"]
    html = page(document)
    assert html.count(alarm) == 1
    assert html.count("a folder was skipped") == 1


def test_one_protocol_needs_no_contents_and_several_have_them() -> None:
    assert "<nav" not in page(page_case.document(1, 1))
    assert page(page_case.document(1, 3)).count('<a href="#group-') == 3


@pytest.mark.parametrize(("rows", "groups"), [(0, 0), (0, 1)])
def test_nothing_to_rank_is_no_error(rows: int, groups: int) -> None:
    html = page(page_case.document(rows, groups))
    assert parsed(html).open == []
    assert ("There is nothing to rank." in html) == (groups == 0)


def test_a_document_of_the_fewest_entries_is_enough() -> None:
    row = {"name": "x", "kind": "checkpoint", "metrics": {"mrr_10": 0.1}}
    html = page(
        {"metric": "mrr_10", "groups": [{"protocol": {"collection": "six", "split": "dev"}, "rows": [row]}]}
    )
    assert ">six dev</h2>" in html
    assert "<b>0.1000</b>" in html


def test_a_page_of_500_runs_stays_below_two_megabytes() -> None:
    assert len(page(page_case.document(500, 1)).encode()) < 2_000_000
