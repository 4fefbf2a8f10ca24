"""The leaderboard as one HTML file that shows itself: no network, no library, no font, in any browser.

    page(document) -> "<!doctype html>..."

`document` is what `twotower leaderboard format=json verbose=true` prints. The tables are whole without a
script; the scripts beside this module (`browser/`) sort them and draw the charts from JSON within the page.
Names of runs and texts of queries are other people's words: they are escaped here, set as text there, and a
content security policy, with the hashes of the page's own style and script, lets nothing else run.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from twotower.evaluation import page_sections
from twotower.evaluation.page_data import charts, label, title_of
from twotower.evaluation.page_table import table, text

FOLDER = Path(__file__).parent / "browser"
SCRIPTS = ("draw.js", "figure.js", "forest.js", "curves.js", "cost.js", "knobs.js", "table.js", "page.js")
"""In the order in which they run, as one script."""


def page(document: Mapping[str, Any]) -> str:
    """The whole file, the same for the same document; ASCII but for what the document says."""
    style = _read("page.css")
    script = f"'use strict';\n(() => {{\n{''.join(map(_read, SCRIPTS))}}})();\n"
    title = f"Leaderboard by {label(document['metric'])}"
    groups = document["groups"]
    return Template(_read("page.html")).substitute(
        title=text(title),
        style=style,
        script=script,
        style_hash=_digest(style),
        script_hash=_digest(script),
        summary=text(_summary(document)),
        notes=_notes(document),
        contents=_contents(groups) if len(groups) > 1 else "",
        groups="\n".join(_group(group, number, document["metric"]) for number, group in enumerate(groups)),
        data=embedded(charts(document)),
    )


def embedded(content: Any) -> str:
    """JSON that can stand within a script element: no `<`, so no end of it.

    >>> embedded({"name": "</script>"})
    '{"name":"\\\\u003c/script>"}'
    """
    said = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return said.replace("<", "\\u003c")


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    """As a content security policy names the source that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _summary(document: Mapping[str, Any]) -> str:
    groups: Sequence[Mapping[str, Any]] = document["groups"]
    rows = sum(row["kind"] != "floor" for group in groups for row in group["rows"])
    found = document.get("found", rows)
    said = f"{found:,} checkpoint{'s' * (found != 1)} found, {rows:,} row{'s' * (rows != 1)}"
    newest = max((str(row.get("created") or "") for group in groups for row in group["rows"]), default="")
    said += f", the newest of {newest[:16].replace('T', ' ')}" if newest else ""
    apart = f". {len(groups)} protocols, whose numbers do not compare, stand apart" if len(groups) > 1 else ""
    return f"{said}{apart}."


def _notes(document: Mapping[str, Any]) -> str:
    """Alarms that are of no group, and the files that are in no table."""
    within = [alarm for group in document["groups"] for alarm in group.get("alarms") or ()]
    alarms = [
        alarm
        for alarm in document.get("alarms") or ()
        if not any(said and said in alarm for said in within)  # these stand in their groups
    ]
    lines = "".join(f"<li>{text(alarm)}</li>" for alarm in alarms)
    said = f'<ul class="alarms" aria-label="Alarms">{lines}</ul>' if lines else ""
    left = document.get("left_out") or ()
    files = "".join(f"<li><code>{text(one['file'])}</code>: {text(one['why'])}</li>" for one in left)
    head = f"{len(left):,} left out: in no table, and no zero anywhere"
    said += f'<details class="left"><summary>{head}</summary><ul>{files}</ul></details>' if left else ""
    return said if document["groups"] else f"{said}<p>There is nothing to rank.</p>"


def _contents(groups: Sequence[Mapping[str, Any]]) -> str:
    """One line a protocol, with its judgement: the way through a page of many."""
    lines = []
    for number, group in enumerate(groups):
        level, said = page_sections.judgement(group)
        title = text(title_of(group["protocol"]))
        lines.append(
            f'<li><a href="#group-{number}">{title}</a> <span class="mark {level}">{text(said)}</span></li>'
        )
    return f'<nav aria-label="Protocols"><ol>{"".join(lines)}</ol></nav>'


def _group(group: Mapping[str, Any], number: int, metric: str) -> str:
    """Everything of one protocol; the charts' places are empty until the script fills them."""
    rows = group["rows"]
    protocol = group["protocol"]
    return (
        f'<section class="group" id="group-{number}" data-group="{number}" '
        f'aria-labelledby="title-{number}">\n'
        f'<h2 id="title-{number}">{text(title_of(protocol))}</h2>\n'
        f'<p class="about">Protocol <code>{text(protocol.get("key", ""))}</code>: only rows that were '
        "measured on the same documents, queries and judgements stand in one order.</p>\n"
        f"{page_sections.verdict(group, metric)}\n"
        '<div class="charts" data-place="first"></div>\n'
        f"{table(group, metric)}\n"
        '<div class="charts" data-place="rest"></div>\n'
        f"{page_sections.diagnoses(rows)}\n{page_sections.slices(rows, metric)}\n"
        f"{page_sections.geometry(rows)}\n</section>"
    )
