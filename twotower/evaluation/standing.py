"""How the rows of a protocol stand to one another: intervals, letters, p-values, luck; one seed for all.

    rows, best first   ->   letters a, ab, b, ...   p of each gap to the first   what the best shows by luck

Tests are paired, query by query, and adjusted for all the pairs that are compared: all of the first 50 rows
and the floors, and every further row against the first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation import significance, statistics
from twotower.evaluation.floor_rows import CHANCE
from twotower.evaluation.metrics import Floats
from twotower.evaluation.row import Row

LETTERED = 50
"""Rows compared each with each; those below are compared with the first alone."""
LUCK_DRAWS = 2_000
"""Bootstrap samples of what luck would show: a mean over draws settles sooner than an interval's ends."""
LEVEL = 0.05
"""A gap is told apart where its adjusted p is below this."""


@dataclass(frozen=True)
class Luck:
    """What the best of equally good rows would show."""

    rows: int
    tried: int
    """Evaluations among which those rows were chosen, their epochs included."""
    mean: float
    """Of all rows."""
    best: float
    """Expected best of so many rows, were all as good as their mean."""
    tried_best: float
    """The same for as many as were tried: an upper bound."""

    def to_dict(self) -> dict[str, float]:
        """As plain types."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with values for the same queries, and where they stand in their group."""

    places: list[int]
    values: Floats
    """(Q, rows)."""
    misfits: list[int]
    """Places of rows whose queries are others than most rows'."""


def compare(
    rows: Sequence[Row], metric: str, *, draws: int, baseline: str = ""
) -> tuple[list[Row], Luck | None, Table]:
    """The rows, best first, with intervals, letters, `p_best` and `versus` filled in; what luck would show.

    `baseline` names the row that others are counted against, by name; a group without it has no `versus`.
    """
    table = aligned(rows, metric)
    if not table.places:
        return list(rows), None, table
    stood = dict(zip(table.places, _intervals(rows, metric, table, draws), strict=True))
    stood |= _tested(rows, stood, table, named(rows, baseline) if baseline else None, draws)
    contenders = [i for i, place in enumerate(table.places) if not rows[place].floor]
    luck = _luck([rows[table.places[i]] for i in contenders], table.values[:, contenders], draws)
    return [stood.get(place, row) for place, row in enumerate(rows)], luck, table


def aligned(rows: Sequence[Row], metric: str) -> Table:
    """Values of the rows that have them, in one order of the queries; those of other queries stand aside.

    Of chance the mean is enough: where it has no values by query, that is its value for every one.
    """
    layouts: dict[tuple[str, bytes], tuple[NDArray[np.intp], int]] = {}
    sets: list[NDArray[np.str_]] = []
    found: dict[int, tuple[NDArray[np.intp], int]] = {}
    for place, row in enumerate(rows):
        if row.ids is not None and row.values is not None:
            raw = (row.ids.dtype.str, row.ids.tobytes())
            if raw not in layouts:  # most rows have their queries in one order
                layouts[raw] = _layout(row.ids, sets)
            found[place] = layouts[raw]
    if not found:
        return Table([], np.empty((0, 0)), [])
    (usual, _), *_ = Counter(number for _, number in found.values()).most_common(1)
    columns: dict[int, Floats] = {}
    for place, row in enumerate(rows):
        order, number = found.get(place, (None, -1))
        if number == usual and row.values is not None:
            columns[place] = row.values[order]
        elif number < 0 and row.floor and row.name.lower() == CHANCE and metric in row.metrics:
            columns[place] = np.full(len(sets[usual]), row.metrics[metric])
    misfits = [place for place in found if place not in columns]
    return Table(list(columns), np.stack(list(columns.values()), axis=1), misfits)


def _layout(ids: NDArray[np.str_], sets: list[NDArray[np.str_]]) -> tuple[NDArray[np.intp], int]:
    """What sorts `ids`, and the number of their set in `sets`, to which a new one is added."""
    order = np.argsort(ids)
    number = next((i for i, known in enumerate(sets) if np.array_equal(known, ids[order])), len(sets))
    if number == len(sets):
        sets.append(ids[order])
    return order, number


def named(rows: Sequence[Row], name: str) -> int | None:
    """Place of the row of that name: the whole, or without the six characters, the seeds or the best-of.

    Raises ValueError where several rows are meant.
    """
    whole = [i for i, row in enumerate(rows) if row.name.lower() == name.lower()]
    parts = [i for i, row in enumerate(rows) if name.lower() in _short(row)]
    found = whole or parts
    if len(found) > 1:
        names = ", ".join(rows[i].name for i in found[:5])
        raise ValueError(f"baseline: {len(found)} rows are named {name!r}; say which: {names}")
    return found[0] if found else None


def _short(row: Row) -> set[str]:
    names = {row.name, row.name.partition(" (")[0], row.name.partition(",")[0]}
    names |= {row.name.rpartition("-")[0]} if row.kind == "checkpoint" else set()
    return {name.lower() for name in names}


def _tested(
    rows: Sequence[Row], stood: Mapping[int, Row], table: Table, baseline: int | None, draws: int
) -> dict[int, Row]:
    """The rows that have values with letters, `p_best` and `versus`; one family of tests for all three."""
    floors = [rows[place].floor for place in table.places]
    against = table.places.index(baseline) if baseline in table.places else None
    pairs = _pairs(floors, against)
    drawn = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    p = significance.adjusted(table.values, drawn, np.random.default_rng(0), draws=draws)
    found = dict(zip(pairs, p.tolist(), strict=True))
    said = _letters(floors, found)
    first = table.places[0] == 0  # else the first row has no values, and nothing is told from it
    tested = {}
    for i, place in enumerate(table.places):
        row = replace(stood[place], letters=said.get(i, ""), p_best=found.get((0, i)) if first else None)
        if against is not None and i != against:
            p_versus = found[min(i, against), max(i, against)]
            name = rows[table.places[against]].name
            row = replace(row, versus=_versus(table.values[:, i], table.values[:, against], name, p_versus))
        tested[place] = row
    return tested


def _pairs(floors: Sequence[bool], against: int | None) -> list[tuple[int, int]]:
    """Which columns are tested, the lower number first: each pair once."""
    lettered = _lettered(floors)
    pairs = set(combinations(lettered, 2)) | {(0, i) for i in range(1, len(floors))}
    if against is not None:
        pairs |= {(min(i, against), max(i, against)) for i in range(len(floors)) if i != against}
    return sorted(pairs)


def _lettered(floors: Sequence[bool]) -> list[int]:
    return [i for i, floor in enumerate(floors) if i < LETTERED or floor]


def _letters(floors: Sequence[bool], found: Mapping[tuple[int, int], float]) -> dict[int, str]:
    """Of the columns that are compared each with each."""
    lettered = _lettered(floors)
    apart = np.zeros((len(floors), len(floors)), dtype=np.bool_)
    for (i, j), p in found.items():
        apart[i, j] = apart[j, i] = p < LEVEL
    return dict(zip(lettered, significance.letters(lettered, apart), strict=True))


def _intervals(rows: Sequence[Row], metric: str, table: Table, draws: int) -> list[Row]:
    """With intervals of `metric` from the same drawn queries for all rows; further ones as they were."""
    low, high = statistics.spread(statistics.bootstrap(table.values, np.random.default_rng(0), draws=draws))
    stood = []
    for place, a, b in zip(table.places, low.tolist(), high.tolist(), strict=True):
        row = rows[place]
        measured = row.values is not None  # else it is chance's mean, of which nothing was drawn
        stood.append(replace(row, intervals={**row.intervals, metric: (a, b)}) if measured else row)
    return stood


def _versus(values: Floats, against: Floats, name: str, p: float) -> dict[str, Any]:
    tally = statistics.versus(values, against)
    return {"baseline": name, **vars(tally), "difference": float((values - against).mean()), "p": p}


def _luck(rows: Sequence[Row], values: Floats, draws: int) -> Luck | None:
    tried = sum(row.epochs for row in rows)
    if tried < 2:
        return None
    found = statistics.luck(values, np.random.default_rng(0), draws=min(draws, LUCK_DRAWS), tried=tried)
    return Luck(len(rows), tried, found.mean, found.best, found.tried_best)
