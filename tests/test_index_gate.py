import pytest

from twotower.evaluation.index_compare import Comparison, Side
from twotower.evaluation.index_gate import decide
from twotower.evaluation.side_by_side import Gap


def side(version: str, documents: int = 100) -> Side:
    return Side(f"docs@{version}", "run", documents, "flat", "float32", 1.0, 1.0, 1.0, 2.0)


def found(difference: float | None, p: float = 0.001, half: float = 0.01, documents: int = 100) -> Comparison:
    gap = None
    if difference is not None:
        ends = difference - half, difference + half
        gap = Gap("mrr_10", 0.5, 0.5 + difference, difference, *ends, p, 30, 40, 30)
    return Comparison(side("v0001"), side("v0002", documents), 100, "q", 0.8, 0.5, gap, 100 if gap else 0)


@pytest.mark.parametrize(
    ("comparison", "min_gain", "passes", "why"),
    [
        (found(-0.05), 0.0, False, "docs@v0002 is worse than docs@v0001: MRR@10 0.4500 against 0.5000"),
        (found(0.05), 0.0, True, "docs@v0002 is better than docs@v0001: MRR@10 0.5500 against 0.5000"),
        (found(-0.005, p=0.4), 0.0, True, "docs@v0002 cannot be told from docs@v0001"),
        (found(0.005, p=0.4), 0.0, True, "docs@v0002 cannot be told from docs@v0001"),
        (found(0.05), 0.04, True, "docs@v0002 gains the 0.04 that is wanted"),
        (found(0.05), 0.06, False, "docs@v0002 does not surely gain 0.06"),
        (found(0.05, half=0.06, p=0.2), 0.04, False, "docs@v0002 does not surely gain 0.04"),
        (found(-0.05), -0.1, True, "docs@v0002 loses less than the 0.1 that is allowed"),
        (found(-0.05), -0.02, False, "docs@v0002 is worse than docs@v0001"),
        (found(None), 0.0, True, "docs@v0002 passes unmeasured: no judged queries"),
        (found(None), 0.01, False, "docs@v0002 shows no gain of 0.01"),
        (found(0.05, documents=49), 0.0, False, "docs@v0002 holds 49 documents, docs@v0001 100"),
    ],
)
def test_what_passes_and_why(comparison: Comparison, min_gain: float, passes: bool, why: str) -> None:
    decision = decide(comparison, min_gain=min_gain)
    assert decision.passes is passes
    assert decision.why.startswith(why)
    assert "\n" not in decision.why
