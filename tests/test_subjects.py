import hashlib
import json
from pathlib import Path

import pytest

from tests.training_case import small, write_beir
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.model import sidecar
from twotower.training.measuring import Task
from twotower.training.subjects import Checkpoint, RunFile


@pytest.fixture(scope="module")
def home(tiny: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small run and the weights of its first epoch."""
    folder = tmp_path_factory.mktemp("subjects")
    run = small(write_beir(tiny, folder / "tiny"), folder, name="first", epochs=1, keep="all", floors=False)
    assert train.run(run) == 0
    return folder


def weights(home: Path, kind: str) -> Path:
    (path,) = (home / "checkpoints").glob(f"two_tower_{kind}_*.pt")
    return path


def test_a_checkpoint_is_its_files_content(home: Path) -> None:
    path = weights(home, "best")
    found = Checkpoint.of(path, "cpu")
    assert found.identity == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.kind == "checkpoint"
    assert found.load().content["run"] == found.name


def test_further_weights_of_a_run_say_which_they_are(home: Path) -> None:
    best, first = (Checkpoint.of(weights(home, kind), "cpu") for kind in ("best", "epoch1"))
    assert first.name == f"{best.name} epoch1"


def test_without_a_sidecar_the_file_is_read_and_nothing_is_written(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.write_bytes(weights(home, "best").read_bytes())
    found = Checkpoint.of(path, "cpu")
    assert found.name == Checkpoint.of(weights(home, "best"), "cpu").name
    assert found.identity == sidecar.sha256(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_sidecar_that_does_not_say_how_texts_are_read_is_refused(home: Path, tmp_path: Path) -> None:
    best = weights(home, "best")
    path = tmp_path / best.name
    path.write_bytes(best.read_bytes())
    content = json.loads(sidecar.sidecar_of(best).read_text())
    del content["model_config"]["pattern"]
    sidecar.sidecar_of(path).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"no pattern in its model_config; delete it and it is rebuilt"):
        Checkpoint.of(path, "cpu")


def test_a_run_file_scores_by_its_own_order(tiny: Collection, tmp_path: Path) -> None:
    task = Task(tiny, "dev", [1, 2], 1, tmp_path / "cache")
    lines = []
    for query, grades in tiny.split("dev").items():
        (right,) = grades
        wrong = "d59" if right != "d59" else "d58"
        lines += [f"{query} Q0 {wrong} 1 2.0 x\n", f"{query} Q0 {right} 2 1.0 x\n"]  # the right one second
    (tmp_path / "x.run").write_text("".join(lines))
    subject = RunFile(tmp_path / "x.run", "theirs")
    measurement, remarks = subject.measure(task)
    assert measurement.result.metrics["mrr_2"] == 0.5
    assert measurement.result.metrics["recall_1"] == 0.0
    assert measurement.vectors is None
    assert list(remarks) == []
    assert subject.identity == sidecar.sha256(tmp_path / "x.run")
    assert subject.protocol(task) == task.protocol
