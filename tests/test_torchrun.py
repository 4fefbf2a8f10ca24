"""Several processes: they are one process with a larger batch."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from torchrun_case import torchrun

from tests.step_case import batches, stepper
from tests.training_case import small, write_beir
from twotower import config
from twotower.data.collection import Collection
from twotower.model import checkpoint, sidecar
from twotower.training import setup
from twotower.training.group import Group
from twotower.training.step import Sums

PROGRAM = """
import sys, torch
from tests.test_torchrun import dumped
from twotower.training.group import joined

with joined(torch.device("cpu")) as group:
    found = dumped(group)
torch.save(found, f"{sys.argv[1]}/{group.rank}.pt")
"""
CASES: dict[str, dict[str, Any]] = {
    "mlp": {},
    "gru": {"tower": "gru"},
    "cached": {"cache_chunk": 7},
    "accumulated": {"accumulate": 2, "cache_chunk": 9},
    "triplet": {"loss": "triplet"},
    "margin": {"loss": "margin"},
    "frozen": {"freeze": True},
}


def dumped(group: Group) -> dict[str, dict[str, torch.Tensor]]:
    """Weights, last gradients and figures after two epochs of batches of 7 pairs, the last of which has one.

    Adam would blow rounding up, where a gradient is next to nothing.
    """
    found = {}
    for name, knobs in CASES.items():
        knobs = dict(knobs)
        freeze = knobs.pop("freeze", False)
        one = stepper(**knobs, epochs=2, optimizer=config.Optimizer.sgd, group=group)
        one.model.train_words(not freeze)
        sums = Sums()
        for _ in range(2):
            one.epoch(batches(size=7, random_negatives=0, given_negatives=1), sums, lambda: None)
        figures = torch.tensor([*sums.row("train").values(), sums.batches], dtype=torch.float64)
        gradients = {f"{name}.grad": p.grad for name, p in one.model.named_parameters() if p.grad is not None}
        found[name] = {**one.model.state_dict(), **gradients, "figures": figures}
    return found


def test_two_processes_learn_what_one_does_with_the_same_batch(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = torchrun(2, "program.py", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for case, wanted in dumped(Group()).items():
        for name, value in wanted.items():
            assert torch.equal(first[case][name], second[case][name]), f"{case}, {name}"
            apart = (first[case][name] - value).norm() / value.norm().clamp(min=1e-6)
            assert apart < 1e-5, f"{case}, {name}: {apart:.1g}"


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


def words(folder: Path, home: Path, batch_size: int, *more: str) -> list[str]:
    """A small run's command line."""
    return [
        *("-m", "twotower", "train", "data=beir", f"data.path={folder}", "vectors=random", "vectors_dim=8"),
        *("dim=10", "epochs=2", "query_tower.hidden_dim=12", "doc_tower.hidden_dim=12", "tracking=none"),
        *("random_negatives=8", "learning_rate=0.02", "patience=0", f"batch_size={batch_size}", "device=cpu"),
        *(f"checkpoint_dir={home / 'checkpoints'}", f"cache_dir={home / 'cache'}", *more),
    ]


def history(home: Path) -> list[dict[str, Any]]:
    """All rows of the one run there, without times."""
    (path,) = (home / "checkpoints").glob("two_tower_best_*.pt")
    assert len(checkpoint.load(path).retriever.encode_docs(["a heron"])) == 1
    stats = sidecar.read(path)["training_stats"]
    rows = [*stats["training_stats"], *stats["evaluation_stats"]]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_run_of_two_processes_is_a_run_of_one(folder: Path, tmp_path: Path) -> None:
    many, one = tmp_path / "many", tmp_path / "one"
    several = torchrun(2, *words(folder, many, 8), cwd=tmp_path)
    assert several.returncode == 0, several.stderr
    alone = torchrun(1, *words(folder, one, 16), cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    rows, wanted = history(many), history(one)
    assert len(rows) == len(wanted) == 2 + 3
    for row, want in zip(rows, wanted, strict=True):
        assert row == pytest.approx(want, rel=1e-4, abs=1e-6)
    # the leader alone talks
    assert several.stderr.count("epoch   1 ") == alone.stderr.count("epoch   1 ") == 1
    assert several.stdout.count(".pt") == 1


@pytest.mark.slow
def test_dropout_and_gradcache_run_on_several_processes(folder: Path, tmp_path: Path) -> None:
    more = ("cache_chunk=3", "query_tower.dropout=0.2", "accumulate=2", "precision=bf16")
    done = torchrun(2, *words(folder, tmp_path, 8, *more), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accumulate=2 adds no in-batch negatives" in done.stderr
    assert history(tmp_path)[1]["train_loss"] < history(tmp_path)[1]["train_loss_chance"]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_takes_the_others_with_it(folder: Path, tmp_path: Path, rank: int) -> None:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    run = subprocess.Popen(
        [*start, *words(folder, tmp_path, 4, "epochs=5000", "eval_every_epoch=false")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr
    while "epoch   1 " not in (line := run.stderr.readline()):
        assert line
    listed = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    workers = [int(pid) for pid in listed if b"train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[rank], signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.slow
def test_a_mistake_ends_all_processes_with_a_line(folder: Path, tmp_path: Path) -> None:
    for knob, said in (
        ("sparse_words=true", "sparse_words: got true with 2 processes, want false"),
        ("data.path=/nowhere", "/nowhere"),
    ):
        done = torchrun(2, *words(folder, tmp_path, 8), knob, cwd=tmp_path)
        assert done.returncode != 0
        assert said in done.stderr
        assert str(ROOT / "twotower") not in done.stderr  # the one traceback is torchrun's own


def test_rows_alone_are_not_summed_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    cfg = small(Path("nowhere"), Path("nowhere"), sparse_words=True)
    with pytest.raises(ValueError, match="sparse_words: got true with 2 processes, want false or one"):
        setup.settled(cfg)
    assert isinstance(cfg, config.Train)
