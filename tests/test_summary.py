import shlex
from datetime import datetime
from pathlib import Path

import pytest

from tests.sweep_case import knobs
from twotower import compose
from twotower.model.sidecar import Run
from twotower.sweeps import folder, spec, summary
from twotower.sweeps.folder import Result, Trial
from twotower.sweeps.outcome import Goal
from twotower.sweeps.summary import Summary
from twotower.training import runs


@pytest.fixture
def made(tmp_path: Path) -> Summary:
    home = folder.create(knobs(tmp_path), "mlp", "")
    values = {0: 0.2, 1: 0.4, 2: 0.3}
    for number, value in values.items():
        home.plan(Trial(number, {"k": [1, 10], "tied": True, "dim": 8 + number, "seed": 4}, str(number)))
        run = Run(tmp_path / "checkpoints", f"weekend-{number}-abcdef", datetime(2026, 11, 21))
        run.scratch.mkdir(parents=True)
        runs.write(runs.Known(run, {}, {}, "done"))
        home.end(Result(number, "done", value, run.name))
    home.plan(Trial(3, {"dim": 11}, "3"))
    home.end(Result(3, "failed", why="dim: too wide"))
    swept = {"dim": spec.parameter("dim", {"min": 8, "max": 11})}
    return Summary(home, Goal("mrr_10"), home.results(), {"dim": 0.75, "tied": 0.25}, swept, 4)


def test_the_end_names_the_best_the_failed_and_the_knobs_that_mattered(
    made: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.say(made)
    said = capsys.readouterr()
    assert said.out == f"{tmp_path}/checkpoints/two_tower_best_weekend-1-abcdef_20261121_000000.pt\n"
    lines = said.err.splitlines()
    assert lines[0] == f"trial 3 failed: dim: too wide ({made.folder.log(3)})"
    assert lines[1] == "sweep weekend: 3 of 4 done, 1 failed"
    assert lines[2] == "best on dev by MRR@10; the best of 3 owes something to luck:"
    assert lines[3:6] == ["  0.4000  trial 1  dim=9", "  0.3000  trial 2  dim=10", "  0.2000  trial 0  dim=8"]
    assert lines[6] == "what told the best tenth from the rest: dim 75%, tied 25%"


def test_the_command_for_more_seeds_is_one_that_train_takes(made: Summary) -> None:
    best = made.best
    assert best is not None
    line = summary.next_commands(made, best)[0]
    assert line.startswith("for seed in 1 2 3; do twotower train k=1,10 tied=true dim=9 ")
    words = shlex.split(line.replace("$seed", "2").split("; ")[1])[3:]
    _, cfg = compose.load("train", words)
    assert (cfg.k, cfg.tied, cfg.dim, cfg.seed, cfg.name) == ([1, 10], True, 9, 2, "weekend-best")


def test_without_a_trial_that_ended_there_is_nothing_to_say_of(
    made: Summary, capsys: pytest.CaptureFixture[str]
) -> None:
    none = Summary(made.folder, made.goal, {}, {}, {}, 4)
    summary.say(none)
    assert capsys.readouterr().err == "sweep weekend: 0 of 4 done\nno trial came to its end\n"
    assert summary.document(none)["best"] is None
