"""A run that is killed, anywhere and again and again, ends as if it had not been."""

import itertools
import json
import os
import random
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from tests.resume_case import (
    assert_same,
    best_of,
    killed_again_and_again,
    sigkilled,
    small_steps,
    started,
    trained,
)
from tests.training_case import write_beir
from twotower.data.collection import Collection
from twotower.model import sidecar

CASES = list(itertools.product(("mlp", "gru"), ("contrastive", "triplet"), ("random", "given")))
WORDS = [
    *("data=beir", "query_tower=mlp", "doc_tower=mlp", "query_tower.dropout=0.2", "hidden_dim=12"),
    *("num_layers=1", "loss=contrastive", "vectors=random", "vectors_dim=8", "dim=10", "batch_size=16"),
    *("random_negatives=8", "epochs=4", "learning_rate=0.005", "k=1,3,10", "tracking=none", "patience=0"),
    *("resume_steps=1", "threads=1", "keep=2"),
]


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    """The small collection, where each training query also refuses the next two documents."""
    folder = write_beir(tiny, tmp_path / "tiny")
    path = folder / "qrels" / "train.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    refused = [f"{query}\td{(int(doc[1:]) + step) % 60:02}\t0\n" for query, doc, _ in rows for step in (1, 2)]
    path.write_text(path.read_text() + "".join(refused))
    return folder


def assert_ended_alike(home: Path, whole: str, killed: str) -> None:
    """Both runs left the same files, of the same content."""
    names = [
        sorted(path.name.replace(run, "run")[:30] for path in (home / "checkpoints").glob(f"two_*{run}*"))
        for run in (whole, killed)
    ]
    assert names[0] == names[1]
    assert len(names[0]) == 3  # the best, and the latest two
    assert_same(best_of(home, whole), best_of(home, killed))
    for path in (home / "checkpoints").glob(f"two_tower_epoch*_{whole}_*.pt"):
        kind = sidecar.kind_of(path)
        (other,) = (home / "checkpoints").glob(f"two_tower_{kind}_{killed}_*.pt")
        assert_same(path, other)
    scratch = home / "checkpoints" / "runs"
    rows = [
        [
            {**json.loads(line), "seconds": 0}
            for line in (scratch / run / "metrics.jsonl").read_text().splitlines()
        ]
        for run in (whole, killed)
    ]
    assert rows[0] == rows[1]
    assert [row["epoch"] for row in rows[0]] == [0, 1, 2, 3, 4]
    assert not (scratch / killed / "resume.pt").exists()


@pytest.mark.parametrize("case", [CASES[0], CASES[-1]], ids="-".join)
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(
    case: tuple[str, ...], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small_steps(folder, tmp_path, *case)
    whole = started(cfg)
    killed = killed_again_and_again(cfg, tmp_path, monkeypatch, kills=5, rng=random.Random(str(case)))
    assert_ended_alike(tmp_path, whole, killed)


def by_sigkill(folder: Path, home: Path, words: list[str], *, calls: int, seconds: float = 0.0) -> None:
    """A run that is killed after so many calls, then after so long, beside one that is not."""
    where = f"checkpoint_dir={home / 'checkpoints'}"
    both = ["train", *words, f"data.path={folder}", where, f"cache_dir={home / 'cache'}"]
    trained(*both[1:], "name=whole")
    sigkilled(*both, "name=killed", after_calls=calls)
    if seconds:
        sigkilled("train", "resume=killed", where, after_seconds=seconds)
    trained("resume=@latest", where)
    names = [path.name for path in (home / "checkpoints" / "runs").iterdir()]
    whole, killed = sorted(names, key=lambda name: name.startswith("killed"))
    assert_ended_alike(home, whole, killed)


def test_a_run_killed_by_sigkill_is_continued_by_its_name_alone(folder: Path, tmp_path: Path) -> None:
    by_sigkill(folder, tmp_path, WORDS, calls=40)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_twenty_kills_change_nothing(
    case: tuple[str, ...], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small_steps(folder, tmp_path, *case, epochs=4)
    whole = started(cfg)
    rng = random.Random(str(case))
    left = 20
    while left:  # several runs, for one may come to its end before its twentieth kill
        kills = min(left, 5)
        killed = killed_again_and_again(cfg, tmp_path, monkeypatch, kills=kills, rng=rng)
        assert_ended_alike(tmp_path, whole, killed)
        left -= kills


@pytest.mark.slow
@pytest.mark.parametrize("tower", ["mlp", "gru"])
@pytest.mark.parametrize("loss", ["contrastive", "triplet"])
def test_sigkill_changes_nothing(tower: str, loss: str, folder: Path, tmp_path: Path) -> None:
    knobs = [f"query_tower={tower}", f"loss={loss}", "given_negatives=2", "doc_tower.dropout=0.3"]
    if loss == "triplet":
        knobs.append("loss.hardest=false")
    dropped = ("query_tower", "num_layers", "loss=") if tower == "gru" else ("loss=",)
    words = [word for word in WORDS if not word.startswith(dropped)]
    rng = random.Random(tower + loss)
    moment = rng.uniform(0.001, 0.2)
    by_sigkill(folder, tmp_path, [*words, *knobs], calls=rng.randrange(20, 60), seconds=moment)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_by_the_line_that_it_prints(
    number: signal.Signals, code: int, folder: Path, tmp_path: Path
) -> None:
    where = [f"checkpoint_dir={tmp_path / 'checkpoints'}", f"cache_dir={tmp_path / 'cache'}"]
    words = [*WORDS, f"data.path={folder}", *where, "resume_steps=0", "epochs=60", "keep=best"]
    trained(*words, "name=whole")
    with subprocess.Popen(
        [sys.executable, "-m", "twotower", "train", *words, "name=stopped"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch   3"):
                process.send_signal(number)
                break
        said = process.stderr.read()
    assert process.returncode == code
    (line,) = [line for line in said.splitlines() if line.startswith("continue: twotower train ")]
    trained(*shlex.split(line)[3:])
    names = sorted(path.name for path in (tmp_path / "checkpoints" / "runs").iterdir())
    assert_same(best_of(tmp_path, names[1]), best_of(tmp_path, names[0]))
