from pathlib import Path

import pytest

from tests.training_case import small, write_beir
from twotower.commands import train
from twotower.config import Train
from twotower.data.collection import Collection
from twotower.evaluation import wordmean
from twotower.training import beside
from twotower.training.measuring import Task
from twotower.training.subjects import Checkpoint, RunFile


def test_beside_a_checkpoint_stand_its_own_untrained_towers(tiny: Collection, tmp_path: Path) -> None:
    run = small(write_beir(tiny, tmp_path / "tiny"), tmp_path, epochs=1)
    assert train.run(run) == 0
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    task = Task(tiny, "dev", [1, 3, 10], 1, tmp_path / "cache")
    subject = Checkpoint.of(path, "cpu")
    rows, remarks = beside.floors(task, [RunFile(tmp_path / "x.run", "x"), subject])
    assert list(rows) == ["chance", "BM25", "untrained"]  # random word vectors have no mean worth a row
    assert remarks == []
    stored = subject.content["floors"]
    for name in rows:
        metrics = {
            metric: rows[name].metrics[metric] for metric in stored[name] if metric in rows[name].metrics
        }
        assert metrics == pytest.approx({metric: stored[name][metric] for metric in metrics}, abs=1e-9)
        assert rows[name].protocol.key == task.protocol.key


def test_without_a_checkpoint_the_defaults_are_read(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = wordmean.tables_of
    monkeypatch.setattr(wordmean, "tables_of", lambda source: asked.append(source) or real("random"))
    task = Task(tiny, "dev", [1], 1, tmp_path / "cache")
    rows, _ = beside.floors(task, [RunFile(tmp_path / "x.run", "x")])
    assert list(rows) == ["chance", "BM25"]
    assert asked == [Train.vectors]


def test_a_ceiling_that_is_no_model_is_one_line(tiny: Collection, tmp_path: Path) -> None:
    task = Task(tiny, "dev", [1], 1, tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match=r"no modules\.json in it"):
        beside.above(task, [], str(tmp_path), "cpu")
