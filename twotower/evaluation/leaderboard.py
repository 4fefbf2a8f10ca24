"""The leaderboard: the rows of each protocol, best first, and what their order is worth; without torch.

gather  ->  join seeds  ->  order  ->  compare (standing)  ->  alarms, verdict, Pareto marks
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twotower.evaluation import alarms, choice, cost, seeds, standing, verdict
from twotower.evaluation.choice import Splits
from twotower.evaluation.gathering import gather
from twotower.evaluation.metrics import canonical, shown
from twotower.evaluation.names import label
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.row import Row, ranked
from twotower.evaluation.standing import Luck
from twotower.evaluation.statistics import DRAWS


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How rows are compared and which are shown; `twotower.config.Leaderboard` says what each means."""

    top: int = 0
    sweep: str = ""
    baseline: str = ""
    choose_split: str = ""
    report_split: str = ""
    after: float = 0.0
    expand: bool = False
    draws: int = DRAWS
    cache_dir: Path | None = None
    """Where floors lie query by query; None: their means alone are known, from sidecars."""


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of one protocol, best first, and what is to be said of them."""

    protocol: Protocol
    judged: int
    rows: list[Row]
    alarms: list[str]
    verdict: str
    luck: Luck | None
    choice: Mapping[str, Any] | None = None
    """What one split chose and another reports of it (`twotower.evaluation.choice`)."""

    @property
    def best(self) -> Row | None:
        """The first row that is a checkpoint."""
        return next((row for row in self.rows if row.kind == "checkpoint"), None)


@dataclass(frozen=True, eq=False)
class Board:
    """What `twotower leaderboard` shows."""

    metric: str
    found: int
    """Checkpoints in the folder."""
    ranked: int
    """Those of them that were compared."""
    left_out: list[tuple[str, str]]
    """(file, why it is not in a table)."""
    groups: list[Group]
    remarks: list[str]
    """Alarms that are of no group."""

    @property
    def alarms(self) -> list[str]:
        """All alarms, those of a group after its protocol."""
        within = [f"{label(group.protocol)}: {alarm}" for group in self.groups for alarm in group.alarms]
        return self.remarks + within

    def best(self) -> Row:
        """The row of the best checkpoint.

        Of several protocols the one by which training chose its epochs counts, if it is one: another split is
        for reporting.

        Raises:
            FileNotFoundError: there is none.
            ValueError: several protocols, whose numbers do not compare.
        """
        groups = [group for group in self.groups if group.best]
        if len(groups) > 1:
            groups = [group for group in groups if any(row.own for row in group.rows)] or groups
        if not groups:
            raise FileNotFoundError(f"no checkpoint has {self.metric} ({self.found} found)")
        if len(groups) > 1:
            names = "; ".join(label(group.protocol) for group in groups)
            raise ValueError(f"best_only: {len(groups)} protocols, whose numbers do not compare: {names}")
        best = groups[0].best
        assert best is not None  # groups without a checkpoint were left aside
        return best


def board(folder: Path, metric: str, asked: Asked | None = None) -> Board:
    """The leaderboard of `folder` by `metric`; floors stand however few rows are asked for.

    Raises:
        ValueError: no such metric, sweep or baseline, or splits that do not fit.
        FileNotFoundError: no such folder.
    """
    asked, metric = asked or Asked(), canonical(metric)
    splits = Splits.of(asked.choose_split, asked.report_split)
    found = gather(folder, metric, sweep=asked.sweep, cache_dir=asked.cache_dir)
    protocols = {key: rows[0].protocol for key, rows in found.rows.items()}
    pairs = choice.partners(splits, protocols) if splits else dict.fromkeys(protocols, "")
    groups = []
    for key, other in pairs.items():
        group = _group(found.rows[key], found.floors[key], metric, asked)
        if splits:
            known = found.rows[other] + found.floors[other]
            group = _chosen(group, known, splits, metric, asked.draws)
        groups.append(_cut(group, asked.top))
    groups.sort(key=lambda group: label(group.protocol))
    if asked.baseline and not any(row.versus for group in groups for row in group.rows):
        _refuse_baseline(groups, asked.baseline)
    ranked = {row.checkpoint for key in pairs for row in found.rows[key]} - {None}
    return Board(metric, found.found, len(ranked), found.left_out, groups, found.alarms)


def _group(rows: list[Row], floors: list[Row], metric: str, asked: Asked) -> Group:
    joined = rows if asked.expand else seeds.join(rows, metric)
    order = ranked([*joined, *floors], metric)
    compared, luck, table = standing.compare(order, metric, draws=asked.draws, baseline=asked.baseline)
    compared = [
        replace(row, pareto=marks) for row, marks in zip(compared, cost.pareto(compared, metric), strict=True)
    ]
    first = next(row for row in compared if not row.floor)
    judged = len(table.values) or int(first.metrics.get("judged", 0))
    said = alarms.all_of(compared, metric, judged)
    if table.misfits:
        names = ", ".join(order[place].name for place in table.misfits[:5])
        said.append(f"no test for rows whose queries are others than most rows': {names}")
    held = standing.named(order, asked.baseline) if asked.baseline else None
    if held is not None and held not in table.places:
        said.append(f"baseline {order[held].name} has no per-query values: no wins and losses against it")
    text = verdict.sentence(compared, metric, luck)
    if asked.after:
        compared = [
            replace(row, after={"seconds": asked.after, metric: cost.best_after(row, metric, asked.after)})
            for row in compared
        ]
        text += _at_equal_time(compared, metric, asked.after)
    return Group(first.protocol, judged, compared, said, text, luck)


def _at_equal_time(rows: list[Row], metric: str, seconds: float) -> str:
    """Who was best after so many seconds, in a sentence."""
    reached = [(row.after[metric], row.name) for row in rows if row.after and row.after[metric] is not None]
    if not reached:
        return f" No run's history reaches back to {seconds:g} s of training."
    value, name = max(reached, key=lambda one: one[0] or 0.0)
    return f" After {seconds:g} s of training {name} was best ({shown(metric)} {value:.4f})."


def _chosen(group: Group, others: list[Row], splits: Splits, metric: str, draws: int) -> Group:
    """With the figures of the split that reports, which moves no row."""
    rows = choice.reported(group.rows, others, metric, draws=draws)
    found = choice.chosen(rows, splits)
    text = group.verdict
    if found and metric in found["metrics"]:
        low, high = found["intervals"].get(metric, (None, None))
        ends = "" if low is None else f" ({low:.3f} to {high:.3f})"
        value = found["metrics"][metric]
        text += f" Chosen on {splits.choose}, {found['chosen']} has {value:.4f}{ends} on {splits.report}."
    said = [*group.alarms, *choice.unreported(rows, splits)]
    return replace(group, rows=rows, choice=found, verdict=text, alarms=said)


def _cut(group: Group, top: int) -> Group:
    """The first `top` rows that are no floors, 0 for all; the floors stay, and so does what was compared."""
    contenders = [row for row in group.rows if not row.floor]
    kept = {id(row) for row in contenders[: top or None]}
    return replace(group, rows=[row for row in group.rows if row.floor or id(row) in kept])


def _refuse_baseline(groups: list[Group], baseline: str) -> None:
    """Raises ValueError unless a group has the row, alone or untested as it may be."""
    if any(standing.named(group.rows, baseline) is not None for group in groups):
        return
    names = ", ".join(dict.fromkeys(row.name for group in groups for row in group.rows[:8]))
    raise ValueError(f"baseline: no row is named {baseline!r}; rows: {names}")
