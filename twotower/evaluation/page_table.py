"""The table of a protocol's rows, as HTML that is whole without a script; a script makes it sortable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from twotower.evaluation.cost import MORE_IS_BETTER
from twotower.evaluation.page_data import (
    COSTS,
    Row,
    costs_of,
    finite,
    label,
    metrics_of,
    title_of,
)

KINDS = {"floor": "floor", "run": "run file", "vectors": "vectors"}
"""What is said beside the name of a row that is no checkpoint."""
PARETO = (
    '<span class="star" aria-hidden="true">★</span><span class="unseen"> (none better and cheaper)</span>'
)
"""Marks a cost for which no other row is at least as good and as cheap."""


@dataclass(frozen=True)
class Column:
    """One column: its heading, what that means, and a row's cell."""

    title: str
    about: str
    cell: Callable[[Row], str]
    """The cell's HTML."""
    value: Callable[[Row], float | None] | None = None
    """What it is sorted by; None: by its text."""
    falling: bool = False
    """Whether the first click puts the largest on top."""


def text(value: object) -> str:
    """`value` as text within HTML, also within an attribute; what UTF-8 cannot say becomes a question mark.

    >>> text('<b title="x">'), text("\\ud800")
    ('&lt;b title=&quot;x&quot;&gt;', '?')
    """
    return escape(str(value).encode("utf-8", "replace").decode())


def measured(row: Mapping[str, Any], metric: str) -> str:
    """A metric with its 95 % interval below it, as far as there is one."""
    value = finite(row.get("metrics", {}).get(metric))
    if value is None:
        return ""
    low, high = (row.get("intervals") or {}).get(metric) or (None, None)
    ends = "" if low is None or high is None else f' <small class="ends">{low:.4f}–{high:.4f}</small>'
    return f"<b>{value:.4f}</b>{ends}"


def table(group: Mapping[str, Any], metric: str) -> str:
    """The rows best first, one body a row, the seeds of a configuration below it."""
    rows: Sequence[Row] = group["rows"]
    columns = [*_identity(rows, metric), *_metrics(rows, metric), *_costs(rows), *_history(rows)]
    used = [column for column in columns if any(column.cell(row) for row in rows)]
    heads = "".join(
        _head(column, "descending" if column.title == label(metric) else "none") for column in used
    )
    bodies = "\n".join(_body(row, place, used, metric) for place, row in enumerate(rows))
    caption = f"Rows of {text(title_of(group['protocol']))}, best {text(label(metric))} first"
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}"><table class="rows">'
        f'<caption class="unseen">{caption}</caption>\n'
        f'<thead><tr><th scope="col" class="text" aria-sort="none">Name</th>{heads}</tr></thead>\n'
        f"{bodies}\n</table></div>"
    )


def _head(column: Column, order: str) -> str:
    kind = "number" if column.value else "text"
    first = "descending" if column.falling else "ascending"
    about = f' title="{text(column.about)}"' if column.about else ""
    sort = f'data-first="{first}" aria-sort="{order}"'
    return f'<th scope="col" class="{kind}" {sort}{about}>{text(column.title)}</th>'


def _body(row: Row, place: int, columns: Sequence[Column], metric: str) -> str:
    kind = KINDS.get(row["kind"], "")
    badge = f' <small class="badge">{kind}</small>' if kind else ""
    towers = f'<small class="towers">{text(row["towers"])}</small>' if row.get("towers") else ""
    file = f' title="{text(row["checkpoint"])}"' if row.get("checkpoint") else ""
    name = f'<th scope="row"{file}><span><bdi>{text(row["name"])}</bdi>{badge}</span>{towers}</th>'
    cells = "".join(_cell(column, row) for column in columns)
    seeds = "".join(_seed(seed, columns, metric) for seed in row.get("seeds") or ())
    return f'<tbody class="{text(row["kind"])}" data-row="{place}"><tr>{name}{cells}</tr>{seeds}</tbody>'


def _cell(column: Column, row: Row) -> str:
    if column.value is None:
        return f"<td>{column.cell(row)}</td>"
    value = column.value(row)
    stored = "" if value is None else f' data-v="{value:.8g}"'
    return f'<td class="number"{stored}>{column.cell(row)}</td>'


def _seed(seed: Mapping[str, Any], columns: Sequence[Column], metric: str) -> str:
    """One seed of a configuration: its own metrics below the mean's."""
    titles = {label(name): name for name in seed["metrics"]}
    cells = "".join(
        f'<td class="number">{_plain(finite(seed["metrics"].get(titles.get(column.title, ""))))}</td>'
        if column.value
        else "<td></td>"
        for column in columns
    )
    file = f' title="{text(seed["checkpoint"])}"' if seed.get("checkpoint") else ""
    name = f"<bdi>{text(seed.get('name', ''))}</bdi>"
    return f'<tr class="seed"><th scope="row"{file}>seed {text(seed["seed"])} {name}</th>{cells}</tr>'


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _identity(rows: Sequence[Row], metric: str) -> list[Column]:
    """Which rows cannot be told apart, and the metric that orders them."""
    return [
        Column(
            "Same?",
            "Rows that share a letter cannot be told apart (adjusted for all comparisons)",
            lambda row: text(row.get("letters") or ""),
        ),
        Column(
            label(metric),
            "Mean over the judged queries, with its 95 % interval",
            lambda row: measured(row, metric) + _spread(row, metric),
            lambda row: finite(row["metrics"].get(metric)),
            falling=True,
        ),
        Column(
            "p to best",
            "Adjusted p-value of the difference to the best row",
            lambda row: _p(row.get("p_best")),
            lambda row: finite(row.get("p_best")),
        ),
        *_versus(rows),
        *_reported(rows, metric),
    ]


def _spread(row: Row, metric: str) -> str:
    """Over how many seeds the mean is, and how far they lie apart."""
    if not row.get("seeds"):
        return ""
    deviation = finite((row.get("spread") or {}).get(metric))
    apart = "" if deviation is None else f", sd {deviation:.4f}"
    return f' <small class="ends">{len(row["seeds"])} seeds{apart}</small>'


def _p(value: Any) -> str:
    if (p := finite(value)) is None:
        return ""
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def _versus(rows: Sequence[Row]) -> list[Column]:
    """Against the baseline, where one was chosen."""
    baseline = next((row["versus"]["baseline"] for row in rows if row.get("versus")), "")

    def tally(row: Row) -> str:
        if not (versus := row.get("versus")):
            return ""
        difference = finite(versus.get("difference"))
        said = "" if difference is None else f" <b>{difference:+.4f}</b>"
        p = f", p {_p(versus.get('p'))}" if _p(versus.get("p")) else ""
        counts = f"{versus['wins']}/{versus['ties']}/{versus['losses']}"
        return f'{counts}{said} <small class="ends">won/tied/lost{p}</small>'

    def difference(row: Row) -> float | None:
        return finite((row.get("versus") or {}).get("difference"))

    return [Column(f"Against {baseline}", "Queries won, tied and lost", tally, difference, falling=True)]


def _reported(rows: Sequence[Row], metric: str) -> list[Column]:
    """Figures that did not order the rows: of the split for reporting, unseen queries, equal time."""
    seconds = next((row["after"].get("seconds") for row in rows if row.get("after")), None)

    def part(key: str, row: Row) -> Mapping[str, Any]:
        return row.get(key) or {}

    return [
        Column(
            f"{label(metric)}, reported",
            "On the split for reporting, which ordered nothing",
            lambda row: measured(part("reported", row), metric),
            lambda row: finite(part("reported", row).get("metrics", {}).get(metric)),
            falling=True,
        ),
        Column(
            f"{label(metric)}, unseen",
            "Without the queries that training has seen",
            lambda row: _plain(_unseen(row, metric)),
            lambda row: _unseen(row, metric),
            falling=True,
        ),
        Column(
            f"after {seconds:g} s" if isinstance(seconds, int | float) else "at equal time",
            "The best epoch within so many seconds of training",
            lambda row: _plain(finite(part("after", row).get(metric))),
            lambda row: finite(part("after", row).get(metric)),
            falling=True,
        ),
    ]


def _unseen(row: Row, metric: str) -> float | None:
    leak = row.get("leak") or {}
    return finite((leak.get("clean") or {}).get(metric)) if leak.get("leaky") else None


def _metrics(rows: Sequence[Row], metric: str) -> list[Column]:
    def column(name: str) -> Column:
        def value(row: Row) -> float | None:
            return finite(row["metrics"].get(name))

        return Column(label(name), "", lambda row: _plain(value(row)), value, falling=True)

    return [column(name) for name in metrics_of(rows, metric)[1:]]


def _costs(rows: Sequence[Row]) -> list[Column]:
    def column(name: str) -> Column:
        def value(row: Row) -> float | None:
            return finite((row.get("cost") or {}).get(name))

        def cell(row: Row) -> str:
            if (number := value(row)) is None:
                return ""
            return amount(number) + (PARETO if name in (row.get("pareto") or ()) else "")

        about = "A star: no row is both better and cheaper"
        return Column(COSTS[name].capitalize(), about, cell, value, falling=name in MORE_IS_BETTER)

    return [column(name) for name in costs_of(rows)]


def amount(value: float) -> str:
    """A cost to three digits, larger ones whole.

    >>> amount(0.12345), amount(12.34), amount(3409280)
    ('0.123', '12.3', '3,409,280')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _history(rows: Sequence[Row]) -> list[Column]:
    def said(key: str) -> Callable[[Row], str]:
        return lambda row: "" if row.get(key) is None else text(row[key])

    return [
        Column("Epoch", "Of the kept weights", said("epoch"), lambda row: finite(row.get("epoch"))),
        Column("Sweep", "", said("sweep")),
        Column("When", "", lambda row: text(str(row.get("created") or "")[:16].replace("T", " "))),
    ]
