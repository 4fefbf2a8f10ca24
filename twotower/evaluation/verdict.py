"""What the order of a protocol's rows is worth, in one or two sentences.

b-77ab02 is best: told apart from all 39 others and from BM25 and chance.
no winner: a-3fa2b1 leads, but 6 of the 19 others cannot be told apart from it. The best of 20 equal ones
would show MRR@10 0.366 by luck; it shows 0.358.
"""

from collections.abc import Sequence

from twotower.evaluation.floor_rows import CHANCE
from twotower.evaluation.metrics import shown
from twotower.evaluation.row import Row
from twotower.evaluation.standing import LEVEL, Luck


def sentence(rows: Sequence[Row], metric: str, luck: Luck | None) -> str:
    """The verdict on rows that are compared, best first."""
    return " ".join(part for part in (_order(rows, metric), _chances(rows, metric, luck)) if part)


def _order(rows: Sequence[Row], metric: str) -> str:
    real = [row for row in rows if not row.floor]
    best, others = real[0], real[1:]
    if rows[0].floor:
        return f"no winner: nothing stands above {rows[0].name} ({rows[0].metrics[metric]:.4f})."
    if best.values is None:
        return f"no verdict: {best.name} leads, but it has no per-query values to test that with."
    level = [row for row in rows if row.floor and row.p_best is not None and not _apart(row)]
    if chance := next((row for row in level if row.name.lower() == CHANCE), None):
        return (
            f"no winner: nothing here stands above chance ({chance.metrics[metric]:.4f}) by more than luck."
        )
    alike = [row for row in others if row.p_best is not None and not _apart(row)]
    if alike:
        return _no_winner(best, others, alike)
    told = [row.name for row in rows if row.floor and _apart(row)]
    floors = f"told apart from {_listed(told)}" if told else ""
    not_from = f"not told apart from {_listed([row.name for row in level])}" if level else ""
    if not others:
        return f"{best.name} stands alone{_joined([floors, not_from])}."
    tested = sum(_apart(row) for row in others)
    if not tested:
        return f"no verdict: no row but {best.name} has per-query values to compare with its own."
    each = f"all {tested} others" if tested > 1 else f"{_first(others)}, the only other"
    each = each if tested == len(others) else f"the {tested} others that could be tested"
    also = f" and from {_listed(told)}" if told else ""
    return f"{best.name} is best: told apart from {each}{also}{f'; {not_from}' if not_from else ''}."


def _no_winner(best: Row, others: Sequence[Row], alike: Sequence[Row]) -> str:
    if len(alike) == 1:
        return f"no winner: {best.name} leads, but {alike[0].name} cannot be told apart from it."
    if len(alike) == len(others):
        return (
            f"no winner: {best.name} leads, but none of the {len(others)} others can be told apart from it."
        )
    nearest = list(others[: len(alike)]) == list(alike)
    which = f"the next {len(alike)}" if nearest else str(len(alike))
    return f"no winner: {best.name} leads, but {which} of {len(others)} others cannot be told apart from it."


def _apart(row: Row) -> bool:
    return row.p_best is not None and row.p_best < LEVEL


def _first(rows: Sequence[Row]) -> str:
    return next(row.name for row in rows if _apart(row))


def _listed(names: Sequence[str]) -> str:
    """For a sentence: `BM25, untrained and chance`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _joined(parts: Sequence[str]) -> str:
    said = ", ".join(part for part in parts if part)
    return f", {said}" if said else ""


def _chances(rows: Sequence[Row], metric: str, luck: Luck | None) -> str:
    """What the best would show were all equal."""
    if luck is None:
        return ""
    if luck.rows == 1:
        return (
            f"Were all of its {luck.tried:,} epochs equally good, the best would show {shown(metric)} "
            f"up to {luck.tried_best - luck.mean:.3f} above the truth by luck."
        )
    value = next(row for row in rows if not row.floor).metrics[metric]
    tried = (
        f" ({luck.tried_best:.3f} with the {luck.tried:,} evaluations tried)"
        if luck.tried > luck.rows
        else ""
    )
    return (
        f"The best of {luck.rows} equal ones would show {shown(metric)} {luck.best:.3f} by luck{tried}; "
        f"it shows {value:.3f}."
    )
