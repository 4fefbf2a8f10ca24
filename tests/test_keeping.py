from pathlib import Path

import pytest
from passages_case import passages

from tests.training_case import small, write_beir
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.evaluation import results
from twotower.training import keeping
from twotower.training.keeping import Wish
from twotower.training.measuring import Task
from twotower.training.subjects import Checkpoint


@pytest.fixture
def subject(tiny: Collection, tmp_path: Path) -> Checkpoint:
    """A small run on the tiny collection."""
    assert (
        train.run(small(write_beir(tiny, tmp_path / "tiny"), tmp_path, name="first", epochs=0, floors=False))
        == 0
    )
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    return Checkpoint.of(path, "cpu")


def task_of(home: Path, collection: Collection) -> Task:
    return Task(collection, "test", [1, 10], 1, home / "cache")


def test_an_evaluation_is_made_once_and_lies_with_the_checkpoints(
    subject: Checkpoint, tiny: Collection, tmp_path: Path
) -> None:
    wish, task = Wish(folder=tmp_path / "checkpoints"), task_of(tmp_path, tiny)
    first, second = (keeping.evaluation(subject, task, wish) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert first.file == second.file
    assert first.measured == second.measured
    assert first.file is not None
    assert first.file.parent == tmp_path / "checkpoints" / "evaluations"
    assert first.measured.checkpoint == subject.path.name
    assert first.measured.identity == subject.identity


def test_what_was_kept_damaged_is_measured_anew(
    subject: Checkpoint, tiny: Collection, tmp_path: Path
) -> None:
    wish, task = Wish(folder=tmp_path / "checkpoints"), task_of(tmp_path, tiny)
    first = keeping.evaluation(subject, task, wish)
    assert first.file is not None
    first.file.with_suffix(".npz").write_bytes(b"PK")
    again = keeping.evaluation(subject, task, wish)
    assert not again.reused
    assert (
        results.per_query(first.file).values["mrr_10"].tolist() == first.per_query.values["mrr_10"].tolist()
    )


def test_lists_are_not_kept_and_so_measured_again_with_what_was_asked_before(
    subject: Checkpoint, tiny: Collection, tmp_path: Path
) -> None:
    folder, task = tmp_path / "checkpoints", task_of(tmp_path, tiny)
    sliced = keeping.evaluation(subject, task, Wish(folder=folder, slices=["length"]))
    listed = keeping.evaluation(subject, task, Wish(folder=folder, lists=True))
    assert listed.ranking is not None
    assert listed.measured.slices == sliced.measured.slices != {}


def test_what_training_has_seen_is_marked_by_query(
    subject: Checkpoint, tiny: Collection, tmp_path: Path
) -> None:
    task = Task(tiny, "train", [1, 10], 1, tmp_path / "cache")
    made = keeping.evaluation(subject, task, Wish(folder=tmp_path / "checkpoints", leaks=True))
    assert made.measured.leak["leaky"] == 40
    assert made.per_query.leaky is not None
    assert made.per_query.leaky.all()
    assert any("40 of 40 queries" in remark for remark in made.remarks)


def test_a_training_collection_that_is_gone_is_a_remark(subject: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "tiny" / "corpus.jsonl").unlink()
    task = Task(passages(), "test", [1, 10], 1, tmp_path / "cache")
    made = keeping.evaluation(subject, task, Wish(folder=tmp_path / "checkpoints", leaks=True))
    assert made.measured.leak == {}
    (remark,) = (remark for remark in made.remarks if "training has seen" in remark)
    assert remark.startswith(f"{subject.name}: what training has seen is not known: ")
