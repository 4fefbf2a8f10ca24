"""Whether a version of an index may take the live one's place, and why, in one line.

decide(comparison, min_gain=0.0)  ->  Decision(passes=False, why="docs@v0002 is worse than docs@v0001: ...")
"""

from dataclasses import dataclass

from twotower.evaluation import metrics
from twotower.evaluation.index_compare import Comparison
from twotower.evaluation.side_by_side import Gap

SHRUNK = 0.5
"""Share of the live one's documents below which a version is taken for a mistake."""


@dataclass(frozen=True)
class Decision:
    """Whether, and why."""

    passes: bool
    why: str


def decide(found: Comparison, *, min_gain: float = 0.0) -> Decision:
    """The new index against the live one.

    Refused is one that is worse by more than luck (p below 0.05, by sign flips of the per-query differences)
    and by more than `-min_gain`. A `min_gain` above 0 wants more: a gain at least as large, whose 95 %
    interval lies above 0. Without judged queries nothing is measured, and that is said. An index with less
    than half of the documents is refused.
    """
    old, new = found.old, found.new
    if new.documents < SHRUNK * old.documents:
        return Decision(
            False, f"{new.index} holds {new.documents:,} documents, {old.index} {old.documents:,}"
        )
    if found.gap is not None:
        return _measured(found, found.gap, min_gain)
    said = f"no judged queries, so nothing is measured; of the first 10 hits both have {found.overlap:.0%}"
    if min_gain > 0:
        return Decision(False, f"{new.index} shows no gain of {min_gain:g}: {said}")
    return Decision(True, f"{new.index} passes unmeasured: {said}")


def _measured(found: Comparison, gap: Gap, min_gain: float) -> Decision:
    old, new = found.old.index, found.new.index
    title = metrics.shown(gap.metric)
    figures = (
        f"{title} {gap.b:.4f} against {gap.a:.4f}, difference {gap.difference:+.4f} (95 %: {gap.low:+.4f} to "
        f"{gap.high:+.4f}, p {gap.p:.2g}) over {found.judged:,} queries"
    )
    if min_gain > 0:
        if gap.difference >= min_gain and gap.low > 0:
            return Decision(True, f"{new} gains the {min_gain:g} that is wanted: {figures}")
        return Decision(False, f"{new} does not surely gain {min_gain:g} on {old}: {figures}")
    if not gap.real:
        return Decision(True, f"{new} cannot be told from {old}: {figures}")
    if gap.difference > 0:
        return Decision(True, f"{new} is better than {old}: {figures}")
    if gap.difference < min_gain:
        return Decision(False, f"{new} is worse than {old}: {figures}")
    return Decision(True, f"{new} loses less than the {-min_gain:g} that is allowed: {figures}")
