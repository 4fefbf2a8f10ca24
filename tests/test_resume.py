import errno
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.resume_case import (
    Killed,
    again,
    assert_same,
    best_of,
    ended,
    killed_after,
    small_steps,
    started,
)
from tests.training_case import write_beir
from twotower import config
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.model import checkpoint, sidecar
from twotower.training import loop, resume, runs
from twotower.training.group import Group
from twotower.training.resume import Saver
from twotower.training.session import Progress
from twotower.training.step import Stepper
from twotower.training.stop import Stop


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


@contextmanager
def raised_in(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, turn: int, act: Callable[[], object]
) -> Iterator[None]:
    """Act when `owner.name` is called for the `turn`-th time, counted from 0."""
    real, turns = getattr(owner, name), iter(range(10**6))

    def acting(*args: Any, **kwargs: Any) -> Any:
        if next(turns) == turn:
            act()
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, acting)
        yield


def kill() -> None:
    raise Killed


def state_in(home: Path, run: str) -> Path:
    return home / "checkpoints" / "runs" / run / "resume.pt"


@pytest.fixture
def left(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[config.Train, str]:
    """Knobs and name of a run that was killed in its second epoch."""
    cfg = small_steps(folder, tmp_path)
    with raised_in(monkeypatch, Saver, "_tick", 4, kill):
        run = started(cfg)
    assert state_in(tmp_path, run).is_file()
    return cfg, run


# reproducible, and continued as if nothing had been


def test_two_runs_of_one_seed_are_equal_but_for_names_times_and_costs(folder: Path, tmp_path: Path) -> None:
    for case in ("mlp", "gru"):
        cfg = small_steps(folder, tmp_path, case)
        assert_same(best_of(tmp_path, started(cfg)), best_of(tmp_path, started(cfg)))


@pytest.mark.parametrize(
    "knobs",
    [
        {"scheduler": config.Scheduler.plateau, "warmup": 0.0, "plateau_patience": 1},
        {"optimizer": config.Optimizer.sgd, "freeze_epochs": 1, "eval_max_queries": 3},
        {"eval_every_epoch": False, "share_words": False, "accumulate": 2},
        {"loss": config.Contrastive(learn_temperature=True), "cache_chunk": 5, "patience": 1},
        {"sparse_words": True, "tied": True, "keep": "last"},
    ],
    ids=["plateau", "frozen", "accumulated", "chunked", "sparse"],
)
def test_whatever_a_run_learns_with_is_continued(
    knobs: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small_steps(folder, tmp_path, "mlp", **knobs)
    if cfg.tied:
        cfg = replace(cfg, doc_tower=cfg.query_tower)
    whole = started(cfg)
    with killed_after(monkeypatch, 45):
        run = started(cfg)
    for moment in (25, 30):
        if not ended(tmp_path, run):
            with killed_after(monkeypatch, moment):
                again(cfg, run)
    if not ended(tmp_path, run):
        train.run(replace(cfg, resume=run))
    assert_same(best_of(tmp_path, whole), best_of(tmp_path, run))


def test_without_a_state_a_run_starts_over_under_its_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = small_steps(folder, tmp_path)
    whole = started(cfg)
    with raised_in(monkeypatch, Saver, "_tick", 0, kill):
        run = started(cfg)
    assert not state_in(tmp_path, run).exists()
    train.run(replace(cfg, resume="@latest"))
    assert f"run {run} goes on from its start\n" in capsys.readouterr().err
    assert_same(best_of(tmp_path, whole), best_of(tmp_path, run))


# what stops it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("owner", "name", "turn", "said"),
    [
        (Stepper, "rate", 4, "epoch 2, batch 2"),  # within a step, which is done to its end
        (loop, "evaluated", 2, "epoch 2, batch 3"),  # at once, though the steps are done
        (checkpoint, "save", 1, "epoch 2, batch 0"),  # the checkpoint and its epoch are done to their end
    ],
    ids=["step", "evaluation", "checkpoint"],
)
def test_a_signal_saves_the_run_and_says_how_to_go_on(
    owner: Any, name: str, turn: int, said: str, number: signal.Signals,
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cfg = small_steps(folder, tmp_path, resume_steps=0, resume_minutes=0.0, keep="best")
    whole = started(cfg)
    capsys.readouterr()
    sent = raised_in(monkeypatch, owner, name, turn, lambda: os.kill(os.getpid(), number))
    with sent, pytest.raises(KeyboardInterrupt, match=number.name):
        train.run(cfg)
    path = max((tmp_path / "checkpoints").glob("*.pt"), key=lambda file: file.stat().st_mtime_ns)
    content = sidecar.read(path)
    assert content["stopped"] == "interrupted"
    run = content["run"]
    err = capsys.readouterr().err
    assert f"continue: twotower train resume={run} checkpoint_dir={tmp_path / 'checkpoints'}\n" in err
    train.run(replace(cfg, resume=run))
    assert f"run {run} goes on at {said}\n" in capsys.readouterr().err
    assert_same(best_of(tmp_path, whole), best_of(tmp_path, run))


def test_a_signal_in_the_last_evaluation_of_all_is_no_loss(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small_steps(folder, tmp_path, eval_max_queries=3, keep="last")
    whole = started(cfg)
    # five epochs are evaluated, then the last weights and the best ones on all of dev
    sent = raised_in(monkeypatch, loop, "evaluated", 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with sent, pytest.raises(KeyboardInterrupt):
        train.run(cfg)
    run = runs.find(tmp_path / "checkpoints", "@latest").run.name
    train.run(replace(cfg, resume=run))
    assert_same(best_of(tmp_path, whole), best_of(tmp_path, run))


def test_a_second_signal_writes_nothing_more(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    cfg = small_steps(folder, tmp_path, resume_steps=0)
    with raised_in(monkeypatch, Stepper, "rate", 1, twice), pytest.raises(KeyboardInterrupt):
        train.run(cfg)
    run = runs.find(tmp_path / "checkpoints", "@latest").run.name
    assert not state_in(tmp_path, run).exists()
    assert f"continue: twotower train resume={run} " in capsys.readouterr().err


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_for_the_state_is_said_once_and_stops_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def aside(path: Path, write: Any) -> None:
        real(path, (lambda file: full()) if path.name == "resume.pt" else write)

    cfg = small_steps(folder, tmp_path)
    whole = started(cfg)
    real = sidecar.write_aside
    monkeypatch.setattr(sidecar, "write_aside", aside)
    run = started(cfg)
    err = capsys.readouterr().err
    assert err.count("resume.pt: not written (No space left on device); the state before it stays\n") == 1
    assert_same(best_of(tmp_path, whole), best_of(tmp_path, run))
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(sidecar.PARTIAL)] == []


def test_a_full_disk_for_the_checkpoint_stops_the_run_which_can_be_continued(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def aside(path: Path, write: Any) -> None:
        real(path, (lambda file: full()) if path.suffix == ".pt" and "epoch3" in path.name else write)

    cfg = small_steps(folder, tmp_path)
    whole = started(cfg)
    real = sidecar.write_aside
    with monkeypatch.context() as patched:
        patched.setattr(sidecar, "write_aside", aside)
        with pytest.raises(OSError, match="No space left on device") as caught:
            train.run(cfg)
    assert "two_tower_epoch3_" in str(caught.value.filename)
    run = runs.find(tmp_path / "checkpoints", "@latest").run.name
    assert f"continue: twotower train resume={run} " in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(sidecar.PARTIAL)] == []
    train.run(replace(cfg, resume=run))
    assert_same(best_of(tmp_path, whole), best_of(tmp_path, run))


def test_a_loss_that_is_not_finite_ends_the_run_for_good(folder: Path, tmp_path: Path) -> None:
    cfg = small_steps(folder, tmp_path, learning_rate=1e30, word_rate=1.0, grad_clip=0.0, warmup=0.0)
    with pytest.raises(FloatingPointError):
        train.run(cfg)
    with pytest.raises(FileNotFoundError, match="is left to continue"):
        train.run(replace(cfg, resume="@latest"))
    assert list((tmp_path / "checkpoints" / "runs").glob("*/resume.pt")) == []


# what is not continued


def test_another_collection_is_refused(left: tuple[config.Train, str], folder: Path, tmp_path: Path) -> None:
    cfg, run = left
    with (folder / "qrels" / "train.tsv").open("a") as file:
        file.write("q02\td00\t1\n")
    with pytest.raises(ValueError, match=f"resume: {run}: the collection is no longer what it was"):
        train.run(replace(cfg, resume=run))


def test_other_knobs_are_refused_before_anything_is_read(
    left: tuple[config.Train, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, run = left
    monkeypatch.setattr(train.setup, "build", None)
    with pytest.raises(ValueError, match=r"other knobs: learning_rate: 0\.005 -> 0\.01; leave"):
        train.run(replace(cfg, resume=run, learning_rate=0.01))


def test_harmless_changes_are_listed_and_taken(
    left: tuple[config.Train, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg, run = left
    moved = tmp_path / "moved"
    (tmp_path / "checkpoints").rename(moved)
    train.run(replace(cfg, resume=run, checkpoint_dir=str(moved), epochs=5))
    err = capsys.readouterr().err
    assert "without effect on what it learns: checkpoint_dir: " in err
    change = "epoch 2: epochs: 4 -> 5 (from here on the learning rate is that of a run of 5 epochs)"
    assert f"not as if never stopped: {change}\n" in err
    (path,) = moved.glob(f"two_tower_best_{run}_*.pt")
    content = sidecar.read(path)
    assert content["changes"] == [change]
    assert len(content["training_stats"]["training_stats"]) == 5


def test_another_machine_is_said_and_recorded(
    left: tuple[config.Train, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg, run = left
    real = resume.environment()
    monkeypatch.setattr(resume, "environment", lambda: real | {"threads": 99, "python": "4"})
    train.run(replace(cfg, resume=run))
    assert sidecar.read(best_of(tmp_path, run))["changes"] == ["threads: 1 -> 99"]


def test_a_run_that_goes_on_elsewhere_is_refused(left: tuple[config.Train, str], tmp_path: Path) -> None:
    cfg, run = left
    known = runs.find(tmp_path / "checkpoints", run)
    with runs.held(known.run), pytest.raises(ValueError, match=f"{run} is still going on"):
        train.run(replace(cfg, resume=run))


# the file


def test_every_flipped_bit_and_truncation_of_a_state_is_noticed_or_harmless(
    left: tuple[config.Train, str], tmp_path: Path
) -> None:
    path = state_in(tmp_path, left[1])
    whole, wanted = path.read_bytes(), resume.read(path)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert unharmed(path, wanted)
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert unharmed(path, wanted)


def unharmed(path: Path, wanted: dict[str, Any]) -> bool:
    """Whether a state is refused with one line, or reads as it should."""
    try:
        content = resume.read(path)
    except ValueError as error:
        return str(error).startswith(str(path)) and "\n" not in str(error)
    return all(torch.equal(value, wanted["model"][name]) for name, value in content["model"].items())


class Trap:
    """What a malicious pickle does."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_state_that_would_run_code_runs_nothing(tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "resume.pt"
    torch.save({"format": Trap(mark)}, path)
    with pytest.raises(ValueError, match="refused, nothing in it was executed"):
        resume.read(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [{"format": 99}, {}, [1]])
def test_a_state_of_another_format_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "resume.pt")
    with pytest.raises(ValueError, match=r"resume\.pt: format .*, want 1; delete it to start over"):
        resume.read(tmp_path / "resume.pt")


def test_a_state_of_another_run_or_number_of_processes_is_refused(
    left: tuple[config.Train, str], tmp_path: Path
) -> None:
    path = state_in(tmp_path, left[1])
    content = torch.load(path, weights_only=True)
    for change in ({"run": "other-000000"}, {"processes": 2}):
        torch.save(content | change, path)
        with pytest.raises(ValueError, match=re.escape(f"{path}: of run ")):
            train.run(replace(left[0], resume=left[1]))


def test_best_weights_that_are_the_latest_are_stored_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {}
    for best in (True, False):
        home = tmp_path / str(best)
        cfg = small_steps(folder, home, vectors_dim=50, max_size=2000, select="recall_3")
        monkeypatch.setattr(resume, "_is_now", lambda session, best=best: best)
        with raised_in(monkeypatch, Saver, "_tick", 3, kill):
            sizes[best] = state_in(home, started(cfg)).stat().st_size
    assert sizes[True] < sizes[False]


# what it costs


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def saver(clock: Clock, monkeypatch: pytest.MonkeyPatch, *, cost: float, **knobs: Any) -> Any:
    """A saver whose every write takes `cost` seconds, and the times at which it wrote."""
    cfg = SimpleNamespace(**({"resume_steps": 0, "resume_minutes": 1.0, "epochs": 9} | knobs))
    session = SimpleNamespace(
        cfg=cfg, group=Group(), stop=Stop(), progress=Progress(), run=SimpleNamespace(scratch=Path())
    )
    times: list[float] = []

    def written(path: Path, write: Any) -> None:
        times.append(clock.now)
        clock.now += cost

    monkeypatch.setattr(resume, "state", lambda session: {})
    monkeypatch.setattr(sidecar, "write_aside", written)
    return Saver(session), session, times  # type: ignore[arg-type]


def test_states_cost_two_percent_of_the_steps_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one, session, times = saver(clock, monkeypatch, cost=3.0)
    one.begin()
    for _ in range(3600):
        clock.now += 1.0  # a step
        one.after()
    # the first after a minute; 6 s in all are 2 % of 300 s, and so on each 150 s
    assert times[:3] == [60.0, 303.0, 456.0]
    assert session.progress.seconds == 3600
    assert session.progress.saving == 3.0 * len(times) <= 0.02 * 3600


def test_cheap_states_are_written_as_often_as_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one, _, times = saver(clock, monkeypatch, cost=0.0, resume_minutes=2.0)
    one.begin()
    for _ in range(600):
        clock.now += 1.0
        one.after()
    assert times == [120.0, 240.0, 360.0, 480.0, 600.0]


def test_each_epoch_ends_with_a_state_if_it_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one, session, times = saver(clock, monkeypatch, cost=1.0, resume_minutes=0.0)
    for epoch in range(1, 11):
        one.begin()
        clock.now += 30.0
        one.after()
        session.progress.epoch = epoch
        one.between()
    # after epoch 2 the first is free; 2 s need 100 s of steps, 3 s 150 s; none after the last epoch
    assert [round(moment / 30) for moment in times] == [2, 4, 5, 7, 9]


def test_so_many_steps_are_so_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one, _, times = saver(clock, monkeypatch, cost=1.0, resume_steps=3)
    for _ in range(9):
        one.after()
    assert len(times) == 3
