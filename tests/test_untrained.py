from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from floors_case import ask
from training_case import TOWERS, small, write_beir

from twotower.commands import train
from twotower.config import Candidates
from twotower.data.collection import Collection
from twotower.evaluation.floors import Asked
from twotower.model import checkpoint, sidecar
from twotower.training import setup, untrained


@pytest.fixture(autouse=True)
def generator() -> Iterator[None]:
    """Torch's generator as it was."""
    with torch.random.fork_rng():
        yield


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


def trained(folder: Path, home: Path, **knobs: Any) -> Path:
    """The checkpoint of a run."""
    before = set(home.glob("checkpoints/*.pt"))
    assert train.run(small(folder, home, **{"floors": False, **knobs})) == 0
    (path,) = set(home.glob("checkpoints/*.pt")) - before
    return path


def floor(path: Path, asked: Asked, home: Path) -> Mapping[str, float]:
    made, remark = untrained.floor_of(sidecar.read(path), asked, home / "cache")
    assert made is not None
    assert remark == ""
    assert (made.name, made.kind) == ("untrained", "floor")
    return made.metrics


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the models that were built."""
    seeds: list[int] = []
    original = setup.build

    def watched(cfg: Any) -> setup.Setup:
        seeds.append(cfg.seed)
        return original(cfg)

    monkeypatch.setattr(setup, "build", watched)
    return seeds


@pytest.mark.parametrize("tower", ["mlp", "gru"])
def test_it_is_the_model_before_its_first_step(
    tower: str, folder: Path, tiny: Collection, tmp_path: Path
) -> None:
    path = trained(folder, tmp_path, query_tower=TOWERS[tower], doc_tower=TOWERS[tower], seed=3)
    asked = ask(tiny, tmp_path / "cache", ks=(1, 3, 10))
    first = sidecar.read(path)["training_stats"]["evaluation_stats"][0]
    found = floor(path, asked, tmp_path)
    assert {name: found[name] for name in asked_metrics(first)} == pytest.approx(asked_metrics(first))
    assert found["mrr_10"] != sidecar.read(path)["eval_results"]["mrr_10"]


def asked_metrics(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith(("mrr", "map", "ndcg", "recall"))}


def test_its_weights_are_those_of_a_run_of_no_epochs(folder: Path, tmp_path: Path) -> None:
    path = trained(folder, tmp_path, epochs=0, seed=5)
    whole = checkpoint.load(path)
    state = torch.get_rng_state()
    again = untrained.built(whole.content, tmp_path / "cache").two_tower.state_dict()
    assert torch.equal(torch.get_rng_state(), state)  # and nobody notices
    for name, value in whole.retriever.two_tower.state_dict().items():
        assert torch.equal(again[name], value)


def test_what_only_training_does_makes_no_other_floor(
    folder: Path, tiny: Collection, tmp_path: Path, built: list[int]
) -> None:
    asked = ask(tiny, tmp_path / "cache")
    one = trained(folder, tmp_path)
    other = trained(folder, tmp_path, learning_rate=0.1, epochs=1, name="other", batch_size=8)
    built.clear()
    assert floor(one, asked, tmp_path) == floor(other, asked, tmp_path)
    assert built == [0]


@pytest.mark.parametrize(("knobs", "seeds"), [({}, []), ({"eval_max_queries": 3}, [0])])
def test_a_run_keeps_the_floor_that_it_has_measured(
    knobs: dict[str, Any], seeds: list[int], folder: Path, tiny: Collection, tmp_path: Path, built: list[int]
) -> None:
    path = trained(folder, tmp_path, floors=True, **knobs)
    built.clear()
    found = floor(path, ask(tiny, tmp_path / "cache", ks=(1, 3, 10)), tmp_path)
    assert built == seeds  # of the first few queries alone it is no floor
    scored = untrained.floor_of(sidecar.read(path), ask(tiny, tmp_path, ks=(1, 3, 10)), tmp_path)[0]
    assert scored is not None
    assert found == pytest.approx(scored.metrics)


def test_another_seed_and_another_width_are_other_floors(
    folder: Path, tiny: Collection, tmp_path: Path, built: list[int]
) -> None:
    asked = ask(tiny, tmp_path / "cache")
    paths = [trained(folder, tmp_path, epochs=0, **knobs) for knobs in ({}, {"seed": 1}, {"dim": 12})]
    built.clear()
    floors = [floor(path, asked, tmp_path) for path in paths]
    assert built == [0, 1, 0]
    assert len({found["mrr_10"] for found in floors}) == 3


def test_it_ranks_another_collection_and_own_lists(folder: Path, tiny: Collection, tmp_path: Path) -> None:
    path = trained(folder, tmp_path, epochs=0)
    docs = dict(zip(tiny.doc_ids, tiny.doc_texts, strict=True))
    judged = {"q": {"d00": 1, "d01": 0, "d02": 0}}
    other = Collection.from_dicts(docs, {"q": "heron"}, {"test": judged}, name="other")
    asked = ask(other, tmp_path / "cache", split="test", own=True)
    assert floor(path, asked, tmp_path)["recall_10"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {}}, "does not say how it was trained"),
        ({"data": None}, "does not say how it was trained"),
        ({"data": {"hash": "x", "source": {}, "name": "built"}}, "built cannot be read again"),
        ({"data": {"hash": "x", "source": {"kind": "beir", "path": "/nowhere"}}}, "/nowhere: no such folder"),
        ({"training_stats": {"config": {}}}, "does not say how it was trained"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(
    change: dict[str, Any], said: str, folder: Path, tiny: Collection, tmp_path: Path
) -> None:
    content = sidecar.read(trained(folder, tmp_path, epochs=0)) | change
    made, remark = untrained.floor_of(content, ask(tiny, tmp_path / "cache"), tmp_path / "cache")
    assert made is None
    assert remark.startswith("untrained towers left out: ")
    assert said in remark
    assert "\n" not in remark


def test_knobs_of_another_version_are_said(folder: Path, tiny: Collection, tmp_path: Path) -> None:
    content = sidecar.read(trained(folder, tmp_path, epochs=0))
    content["training_stats"]["config"]["novel"] = 1
    made, remark = untrained.floor_of(content, ask(tiny, tmp_path / "cache"), tmp_path / "cache")
    assert (made, remark) == (None, "untrained towers left out: novel: not a knob of this version")


def test_a_collection_that_changed_is_said(folder: Path, tiny: Collection, tmp_path: Path) -> None:
    content = sidecar.read(trained(folder, tmp_path, epochs=0))
    corpus = folder / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("dusk", "dawn"))
    made, remark = untrained.floor_of(content, ask(tiny, tmp_path / "cache"), tmp_path / "cache")
    assert (made, remark) == (None, "untrained towers left out: tiny changed since training")


def test_knobs_come_back_from_a_checkpoint_as_they_were(folder: Path, tmp_path: Path) -> None:
    cfg = small(folder, tmp_path, epochs=0, floors=False, candidates=Candidates.full, doc_tower=TOWERS["gru"])
    train.run(cfg)
    (path,) = tmp_path.glob("checkpoints/*.pt")
    assert untrained.config_of(sidecar.read(path)["training_stats"]["config"]) == replace(cfg, k=[1, 3, 10])
