import pytest

from twotower.sweeps import live, spec
from twotower.sweeps.folder import Result
from twotower.sweeps.live import Live, Shown, State
from twotower.sweeps.outcome import Goal

RESULTS = [Result(0, "done", 0.25), Result(1, "pruned", 0.3), Result(2, "failed", why="dim: too wide")]
SWEPT = {"dim": spec.parameter("dim", {"values": [8, 16]})}
POINT = {"dim": 8, "epochs": 3}
STATE = State("weekend", 40, [Shown(3, 1, 3, 0.2, 0.2, POINT)], RESULTS, 750.0)


def test_the_heading_says_where_a_sweep_is() -> None:
    assert live.heading(STATE, Goal("mrr_10")) == (
        "weekend: 1 of 40 done, 1 pruned, 1 failed; best MRR@10 0.2500 (trial 0); about 12 min 30 s to go"
    )
    assert live.heading(State("weekend", 0, [], [], None), Goal("mrr_10")) == "weekend: 0 done"


def test_when_piped_each_trial_that_ends_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Live(Goal("dev_loss"), SWEPT) as shown:
        shown.draw(STATE)
        for result in RESULTS[::2]:
            shown.tell(result, POINT, STATE)
        assert shown.pause is None
    assert capsys.readouterr().err.splitlines() == [
        "[3 of 40] trial 0 done, dev_loss 0.2500 in 0.0 s (dim=8)",
        "[3 of 40] trial 2 failed: dim: too wide in 0.0 s (dim=8)",
    ]


def test_only_knobs_that_differ_are_shown() -> None:
    assert live.knobs_of(POINT, SWEPT) == "dim=8"
