import json
from datetime import datetime
from pathlib import Path

import pytest

from twotower.model.sidecar import Run
from twotower.sweeps import outcome
from twotower.sweeps.folder import Result
from twotower.sweeps.outcome import Goal
from twotower.training import runs

ROWS = [
    {"epoch": 0, "mrr_10": 0.1},
    {"epoch": 1, "mrr_10": 0.3, "seconds": 1.5},
    {"epoch": 2, "seconds": 1.0},
]


def run(folder: Path, ended: str) -> None:
    made = Run(folder, "first-3fa2b1", datetime(2026, 11, 21))
    made.scratch.mkdir(parents=True)
    runs.write(runs.Known(made, {}, {}, ended))
    lines = [json.dumps(row) for row in ROWS]
    (made.scratch / "metrics.jsonl").write_text("\n".join([*lines, '{"epoch": 3, "mr']))


@pytest.mark.parametrize(
    ("ended", "status", "why"),
    [
        ("done", "done", ""),
        ("pruned by sweep weekend", "pruned", ""),
        ("the loss became nan", "failed", "the loss became nan"),
        ("", "killed", ""),
    ],
)
def test_the_record_of_its_run_says_how_a_trial_ended(
    ended: str, status: str, why: str, tmp_path: Path
) -> None:
    run(tmp_path, ended)
    found = outcome.recorded(7, tmp_path, "first-3fa2b1", Goal("mrr_10"))
    assert found == Result(7, status, 0.3, "first-3fa2b1", 2, 2, 0.0, 2.5, why)


def test_a_trial_without_a_run_may_go_on(tmp_path: Path) -> None:
    assert outcome.recorded(7, tmp_path, "", Goal("mrr_10")) == Result(7, "killed")


def test_a_metric_that_was_never_logged_is_a_failure(tmp_path: Path) -> None:
    run(tmp_path, "done")
    found = outcome.recorded(7, tmp_path, "first-3fa2b1", Goal("ndcg_10"))
    assert (found.status, found.why) == ("failed", "ndcg_10 was never logged")


def test_a_loss_is_best_when_it_is_lowest() -> None:
    goal = Goal("dev_loss", maximised=False)
    assert goal.best([0.3, 0.1, 0.2]) == 0.1
    assert goal.best([]) is None
    assert goal.of({"dev_loss": float("nan")}) is None
    results = [Result(0, "done", 0.3), Result(1, "done", 0.1), Result(2, "failed"), Result(3, "done", 0.1)]
    best = outcome.best(results, maximised=False)
    assert best is not None
    assert best.number == 1
    assert outcome.best([], maximised=False) is None


@pytest.mark.parametrize(
    ("code", "why", "status", "said"),
    [
        (-9, "", "killed", "killed by SIGKILL; out of memory?"),
        (-11, "", "killed", "killed by SIGSEGV"),
        (130, "", "killed", "interrupted"),
        (1, "dim: too wide", "failed", "dim: too wide"),
        (1, "", "failed", "MemoryError"),
    ],
)
def test_what_a_process_leaves_behind_says_why(
    code: int, why: str, status: str, said: str, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    log.write_text("Traceback (most recent call last):\nMemoryError\n\n")
    found = outcome.judged(Result(7, "killed"), code, why, log)
    assert (found.status, found.why) == (status, said)


def test_an_empty_log_has_no_last_line(tmp_path: Path) -> None:
    (tmp_path / "log.txt").touch()
    assert outcome.last_line(tmp_path / "log.txt") == ""
