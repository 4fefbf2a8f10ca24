"""What stands around a protocol's table on the report page: the verdict, and why queries fail, as HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

from twotower.evaluation.page_data import Row, alike, finite, label
from twotower.evaluation.page_table import amount, measured, text

SLICED = 6
"""Rows whose slices stand side by side, the best ones."""
COUNTED = {"judged", "failed", "lost", "buried", "k", "depth"}
"""What a diagnosis must say."""
FOLDED = 8
"""A longer table of geometry is folded."""
GEOMETRY = {
    "mean_cosine": ("Mean cosine", "Of random pairs of documents; near 1 all lie in one cone"),
    "effective_rank": ("Effective rank", "Directions that are really used"),
    "alignment": ("Alignment", "Squared distance of a query to its relevant documents; smaller is closer"),
    "uniformity": ("Uniformity", "More negative is more evenly spread"),
    "hub_skew": ("Hub skew", "How unevenly documents appear in the results; above 3 a few appear everywhere"),
    "dead_dimensions": ("Dead dimensions", "Dimensions that do not vary"),
    "top_spread": ("Top spread", "Best score minus the tenth"),
}
"""Columns of the table of geometry, and what they mean."""


def judgement(group: Mapping[str, Any]) -> tuple[str, str]:
    """How far the order can be believed: (good, unsure or bad; a few words)."""
    rows: Sequence[Row] = group["rows"]
    real = [row for row in rows if row["kind"] != "floor"]
    if not real:
        return "unsure", "Floors alone"
    best = real[0]
    level = [row["name"] for row in rows if row["kind"] == "floor" and alike(row, best)]
    if rows[0]["kind"] == "floor":
        return "bad", f"Nothing stands above {rows[0]['name']}"
    if level:
        return "bad", f"Cannot be told from {level[0]}"
    if len(real) == 1:
        return "unsure", "One row, nothing to compare it with"
    if not best.get("letters"):
        return "unsure", "Not tested: no values by query"
    tied = sum(alike(row, best) for row in real[1:])
    return (
        ("unsure", f"No winner: the first of {len(real)} ties with {tied}")
        if tied
        else ("good", "A clear best")
    )


def verdict(group: Mapping[str, Any], metric: str) -> str:
    """The judgement in words, the figures behind it, and the alarms."""
    level, said = judgement(group)
    alarms = "".join(f"<li>{text(alarm)}</li>" for alarm in group.get("alarms") or ())
    facts = "".join(
        f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in _facts(group, metric)
    )
    return (
        f'<div class="verdict {level}"><p class="level">{text(said)}</p>'
        f"<p>{text(group.get('verdict') or '')}</p></div>"
        + (f'<ul class="alarms" aria-label="Alarms">{alarms}</ul>' if alarms else "")
        + f'<dl class="facts">{facts}</dl>'
    )


def _facts(group: Mapping[str, Any], metric: str) -> list[tuple[str, str]]:
    """The best row, what it was chosen by, the floors, luck and the number of queries, as far as known."""
    rows: Sequence[Row] = group["rows"]
    title = label(metric)
    facts = []
    if best := next((row for row in rows if row["kind"] != "floor"), None):
        facts.append(("Best", f"<bdi>{text(best['name'])}</bdi> {measured(best, metric)}"))
    if choice := group.get("choice"):
        said = f"<bdi>{text(choice['chosen'])}</bdi> {measured(choice, metric)}"
        facts.append((f"Chosen on {choice['choose_split']}, on {choice['report_split']}", said))
    floors = [
        f"<span><bdi>{text(row['name'])}</bdi> <b>{finite(row['metrics'].get(metric)) or 0:.4f}</b></span>"
        for row in rows
        if row["kind"] == "floor" and metric in row["metrics"]
    ]
    if floors:
        facts.append(("Floors", " ".join(floors)))
    luck = group.get("luck") or {}
    if (by_luck := finite(luck.get("best"))) is not None:
        facts.append((f"By luck, the best of {luck['rows']} equals", f"<b>{by_luck:.4f}</b>{_tried(luck)}"))
    return [*facts, ("Judged queries", f"<b>{group.get('judged', 0):,}</b> <small>for {text(title)}</small>")]


def _tried(luck: Mapping[str, Any]) -> str:
    tried = finite(luck.get("tried_best"))
    return "" if tried is None else f" <small>{tried:.4f} over all {luck['tried']} epochs tried</small>"


def diagnoses(rows: Sequence[Row]) -> str:
    """Why queries of each row fail: causes counted, the knob, the command to try, examples."""
    parts = [
        _diagnosis(row, place)
        for place, row in enumerate(rows)
        if (row.get("diagnosis") or {}).keys() >= COUNTED  # a file from elsewhere may lack some
    ]
    return _part("Why queries fail", "A query can fail for several causes at once.", "".join(parts))


def _part(title: str, about: str, content: str) -> str:
    """A part with its heading; nothing where there is no content."""
    if not content:
        return ""
    said = f"<p class='about'>{about}</p>" if about else ""
    return f'<section class="part"><h3>{title}</h3>{said}{content}</section>'


def _diagnosis(row: Row, place: int) -> str:
    found = row["diagnosis"]
    head = (
        f"<b>{found['failed']:,}</b> of {found['judged']:,} queries failed: {found['lost']:,} lost "
        f"(deeper than {found['depth']}), {found['buried']:,} buried (between {found['k']} "
        f"and {found['depth']}); {found.get('unexplained', 0):,} without a cause found"
    )
    causes = "".join(_cause(cause) for cause in found.get("causes") or () if cause.get("queries"))
    warnings = "".join(f"<li>{text(warning)}</li>" for warning in found.get("warnings") or ())
    return (
        f'<details data-row="{place}"><summary><bdi>{text(row["name"])}</bdi>: {head}</summary>'
        + (f'<ul class="alarms">{warnings}</ul>' if warnings else "")
        + (f'<ol class="causes">{causes}</ol>' if causes else "")
        + _against(found.get("against"))
        + "</details>"
    )


def _cause(cause: Mapping[str, Any]) -> str:
    share = min(max(finite(cause.get("share")) or 0.0, 0.0), 1.0)
    bar = f'<svg class="bar" aria-hidden="true"><rect width="{share:.1%}" height="100%"></rect></svg>'
    knob = f'<p class="knob">Knob: <code>{text(cause["knob"])}</code></p>' if cause.get("knob") else ""
    command = (
        f'<pre class="command"><code>{text(cause["command"])}</code></pre>' if cause.get("command") else ""
    )
    return (
        f'<li><p class="cause"><b>{text(cause["title"])}</b> <span>{cause["queries"]:,} queries, {share:.0%} '
        f"of failed</span></p>{bar}{knob}{command}{_examples('Examples', cause.get('examples'))}</li>"
    )


def _examples(title: str, examples: Sequence[Mapping[str, Any]] | None) -> str:
    if not examples:
        return ""
    lines = "".join(
        f'<li><q dir="auto">{text(one.get("query", ""))}</q> <small>{text(one.get("query_id", ""))}: '
        f"{text(one.get('doc_id', ''))} at rank {'deeper' if one.get('rank') is None else text(one['rank'])}"
        f"{'; ' + text(one['said']) if one.get('said') else ''}</small></li>"
        for one in examples
    )
    return f"<details><summary>{title}</summary><ul>{lines}</ul></details>"


def _against(against: Mapping[str, Any] | None) -> str:
    if not against:
        return ""
    examples = against.get("examples") or {}
    return (
        f"<p>Against <bdi>{text(against['checkpoint'])}</bdi>: <b>{against['fixed']:,}</b> queries fixed, "
        f"<b>{against['broken']:,}</b> broken, {against['unchanged_good']:,} still good, "
        f"{against['unchanged_bad']:,} still bad.</p>"
        + _examples("Fixed", examples.get("fixed"))
        + _examples("Broken", examples.get("broken"))
    )


def slices(rows: Sequence[Row], metric: str) -> str:
    """A table for each way in which the queries were sliced: values down, the best rows across."""
    sliced = [row for row in rows if row.get("slices")][:SLICED]
    names = dict.fromkeys(name for row in sliced for name in row["slices"])
    tables = "".join(_slice(name, [row for row in sliced if name in row["slices"]], metric) for name in names)
    return _part(f"{text(label(metric))} by slice of the queries", "", tables)


def _slice(name: str, rows: Sequence[Row], metric: str) -> str:
    by_row = [{str(part["value"]): part for part in row["slices"][name]} for row in rows]
    counts = {str(part["value"]): part["queries"] for row in rows for part in row["slices"][name]}
    heads = "".join(f'<th scope="col" class="number"><bdi>{text(row["name"])}</bdi></th>' for row in rows)
    lines = "".join(
        f'<tr><th scope="row"><bdi>{text(value)}</bdi></th><td class="number">{count:,}</td>'
        + "".join(f'<td class="number">{measured(parts.get(value, {}), metric)}</td>' for parts in by_row)
        + "</tr>"
        for value, count in counts.items()
    )
    shown = text(name.replace("_", " "))
    heads = f'<th scope="col">{shown}</th><th scope="col" class="number">Queries</th>{heads}'
    return _wide(f"By {shown}", f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody>")


def geometry(rows: Sequence[Row]) -> str:
    """The shape of each row's embedding space."""
    measured_rows = [(place, row) for place, row in enumerate(rows) if row.get("geometry")]
    known = dict.fromkeys([*GEOMETRY, *(name for _, row in measured_rows for name in row["geometry"])])
    names = [name for name in known if any(name in row["geometry"] for _, row in measured_rows)]
    if not names:
        return ""
    heads = "".join(_geometry_head(name) for name in names)
    lines = "".join(
        f'<tr data-row="{place}"><th scope="row"><bdi>{text(row["name"])}</bdi></th>'
        + "".join(f'<td class="number">{_amount(row["geometry"].get(name))}</td>' for name in names)
        + "</tr>"
        for place, row in measured_rows
    )
    head = f'<thead><tr><th scope="col">Name</th>{heads}</tr></thead>'
    content = _wide("Geometry", f"{head}<tbody>{lines}</tbody>")
    if len(measured_rows) > FOLDED:
        content = f"<details><summary>Of {len(measured_rows):,} rows</summary>{content}</details>"
    return _part("Geometry of the embeddings", "", content)


def _geometry_head(name: str) -> str:
    title, about = GEOMETRY.get(name, (name.replace("_", " ").capitalize(), ""))
    return f'<th scope="col" class="number">{text(title)}<small>{text(about)}</small></th>'


def _amount(value: Any) -> str:
    number = finite(value)
    return "" if number is None else amount(number)


def _wide(said: str, content: str) -> str:
    """A table in a box that scrolls by itself."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{said}"><table>{content}</table></div>'
