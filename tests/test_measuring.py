from pathlib import Path

import numpy as np
import pytest
from passages_case import passages

from tests.training_case import small, write_beir
from twotower import config
from twotower.commands import train
from twotower.config import Stored
from twotower.data.collection import Collection
from twotower.evaluation import candidates
from twotower.evaluation.evaluate import evaluate
from twotower.model import checkpoint
from twotower.model.checkpoint import Loaded
from twotower.training import measuring
from twotower.training.measuring import Task


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the passages and one small run on them."""
    folder = tmp_path_factory.mktemp("measuring")
    assert train.run(small(write_beir(passages(), folder / "passages"), folder, epochs=1, floors=False)) == 0
    return folder


@pytest.fixture(scope="module")
def loaded(home: Path) -> Loaded:
    (path,) = (home / "checkpoints").glob("*.pt")
    return checkpoint.load(path)


def task_of(home: Path, *, own: bool = False) -> Task:
    made = passages()
    lists = candidates.judged(made.judgements("dev")) if own else None
    return Task(made, "dev", [1, 5], 1, home / "cache", lists)


def test_a_checkpoint_scores_what_its_vectors_score(home: Path, loaded: Loaded) -> None:
    task, made = task_of(home), passages()
    queries = loaded.retriever.encode_queries([made.query_texts[row] for row in task.query_rows.tolist()])
    docs = loaded.retriever.encode_docs(made.doc_inputs())
    by_hand = evaluate(queries, docs, task.judgements, ks=[1, 5], min_grade=1, chunk=50)
    found = measuring.measure(loaded, task)
    assert found.result.metrics == pytest.approx(by_hand.metrics, abs=1e-9)
    assert found.vectors is not None
    assert found.vectors.docs.shape == docs.shape
    assert found.geometry["effective_rank"] > 1


def test_vectors_made_elsewhere_are_measured_as_the_model_that_made_them(home: Path, loaded: Loaded) -> None:
    for own in (False, True):
        task = task_of(home, own=own)
        whole, _ = measuring.encoded(loaded.retriever, task_of(home))
        found, model = measuring.measure_vectors(whole, task), measuring.measure(loaded, task)
        assert found.result.metrics == pytest.approx(model.result.metrics, abs=1e-9)
        assert found.geometry == pytest.approx(model.geometry, abs=1e-5)


def test_of_own_candidates_only_members_are_encoded_and_no_hub_is_sought(home: Path, loaded: Loaded) -> None:
    task = task_of(home, own=True)
    found = measuring.measure(loaded, task, costs=True)
    assert found.vectors is not None
    assert task.lists is not None
    assert len(found.vectors.docs) == len(task.lists.members)
    assert "hub_skew" not in found.geometry
    assert "query_p50_ms" not in found.cost  # nothing searches a corpus there


def test_costs_are_those_of_the_whole_corpus(home: Path, loaded: Loaded) -> None:
    task = task_of(home)
    cost = measuring.measure(loaded, task, costs=True).cost
    assert cost["index_mb"] == pytest.approx(len(task.collection.doc_ids) * 10 * 4 / 1e6, abs=1e-3)
    assert 0 < cost["query_p50_ms"] <= cost["query_p95_ms"]
    assert cost["docs_per_second"] > 0


def test_latency_asks_a_hundred_queries_at_most_and_ends_where_that_takes_long(
    home: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(home)
    asked: list[int] = []
    docs = np.zeros((3, 10), dtype=np.float32)
    monkeypatch.setattr(measuring.exact, "top", lambda *given, chunk: asked.append(len(given[0])))
    measuring.latency(loaded.retriever, task, docs)
    assert asked == [1] * (1 + len(task.query_rows))  # one at a time, the first twice
    asked.clear()
    monkeypatch.setattr(measuring, "ASKED", 5)
    measuring.latency(loaded.retriever, task, docs)
    assert len(asked) == 1 + 4  # every third of the twelve
    asked.clear()
    monkeypatch.setattr(measuring, "PATIENCE", 0.0)
    measuring.latency(loaded.retriever, task, docs)
    assert len(asked) == 2


@pytest.mark.skipif(not measuring.RESET_PEAK.exists(), reason="only Linux forgets a peak")
def test_the_peak_of_one_row_is_not_that_of_the_one_before() -> None:
    large = np.ones(80_000_000, dtype=np.uint8)
    before = measuring.peaks()["peak_mb"]
    del large
    measuring._forget_peaks()
    assert measuring.peaks()["peak_mb"] < before - 40


def test_a_tokenizer_reads_a_collection_once(
    home: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(home)
    first = task.tokens(loaded.retriever.tokenizer)
    monkeypatch.setattr(measuring, "tokenise", None)  # whoever calls it fails
    assert task.tokens(loaded.retriever.tokenizer) is first
    assert task.asked_by(loaded.content["model_config"]).tokens is first


def test_the_protocol_says_how_a_model_reads_and_does_not_compare_it(home: Path, loaded: Loaded) -> None:
    task = task_of(home)
    read = task.read_by(loaded.content["model_config"])
    assert (read.key, task.protocol.tokenizer) == (task.protocol.key, "")
    assert read.tokenizer == loaded.retriever.tokenizer.pattern


def test_the_own_collection_is_the_one_at_hand_or_read_again(
    home: Path, loaded: Loaded, tiny: Collection
) -> None:
    task = task_of(home)
    assert measuring.own_collection(task, loaded.content) is task.collection
    other = Task(tiny, "dev", [1], 1, home / "cache")
    assert measuring.own_collection(other, loaded.content).hash == task.collection.hash


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "data=stored: the checkpoint does not say what it was trained on"),
        ({"name": "x", "source": {}}, "x: built in Python, it cannot be read again"),
    ],
)
def test_a_collection_that_is_not_named_cannot_be_read(
    data: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        measuring.collection_of(Stored(), {"data": data}, tmp_path)


def test_a_named_collection_stands_before_the_stored_one(home: Path) -> None:
    found = measuring.collection_of(config.Beir(path=str(home / "passages")), {}, home / "cache")
    assert found.hash == passages().hash
