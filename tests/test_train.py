import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from passages_case import passages

from tests.training_case import LOSSES, TOWERS, small, write_beir
from twotower import config
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.model import checkpoint, sidecar
from twotower.training import loop
from twotower.training.step import Stepper

KEYS = {
    "model_state_dict", "embedding_matrix", "word_to_index", "index_to_word", "model_config",
    "training_stats", "epoch", "eval_results", "wandb_run_id", "format", "protocol", "data", "cost",
    "environment", "probe",
}  # fmt: skip


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


def trained(folder: Path, home: Path, **knobs: Any) -> Path:
    """The checkpoint of a small run."""
    assert train.run(small(folder, home, **knobs)) == 0
    (path,) = (home / "checkpoints").glob("*.pt")
    return path


def script(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let the evaluations of a run find these values of MRR@10, one after another."""
    real, turn = loop.evaluated, iter(values)

    def scripted(*args: Any, **kwargs: Any) -> loop.Result:
        result = real(*args, **kwargs)
        result.metrics["mrr_10"] = next(turn)
        return result

    monkeypatch.setattr(loop, "evaluated", scripted)


@pytest.mark.parametrize("loss", ["contrastive", "triplet"])
@pytest.mark.parametrize("doc_tower", ["mlp", "gru"])
@pytest.mark.parametrize("query_tower", ["mlp", "gru"])
def test_every_pair_of_towers_learns_with_every_loss(
    folder: Path, tmp_path: Path, query_tower: str, doc_tower: str, loss: str
) -> None:
    path = trained(
        folder,
        tmp_path,
        query_tower=TOWERS[query_tower],
        doc_tower=TOWERS[doc_tower],
        loss=LOSSES[loss],
        epochs=12,
    )
    stats = torch.load(path, weights_only=True)["training_stats"]
    last = stats["training_stats"][-1]
    assert last["train_loss"] < last["train_loss_chance"]
    assert last["train_accuracy"] > 3 * last["train_accuracy_chance"]


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_every_cell_learns(folder: Path, tmp_path: Path, cell: str) -> None:
    path = trained(folder, tmp_path, query_tower=TOWERS[cell], doc_tower=TOWERS[cell], epochs=12)
    last = sidecar.read(path)["training_stats"]["training_stats"][-1]
    assert last["train_loss"] < last["train_loss_chance"]
    assert last["train_accuracy"] > 3 * last["train_accuracy_chance"]


@pytest.fixture
def judged(folder: Path) -> Path:
    """The small collection, where each training query also refuses the next document."""
    path = folder / "qrels" / "train.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    refused = [f"{query}\td{(int(doc[1:]) + 1) % 60:02}\t0\n" for query, doc, _ in rows]
    path.write_text(path.read_text() + "".join(refused))
    return folder


@pytest.mark.parametrize("loss", ["margin", "given triplet", "l2 triplet"])
def test_given_negatives_are_learned_from(judged: Path, tmp_path: Path, loss: str) -> None:
    path = trained(judged, tmp_path, loss=LOSSES[loss], epochs=12, given_negatives=2)
    last = sidecar.read(path)["training_stats"]["training_stats"][-1]
    assert last["train_loss"] < last["train_loss_chance"]
    assert last["train_accuracy"] > 3 * last["train_accuracy_chance"]


def test_given_negatives_are_candidates(judged: Path, tmp_path: Path) -> None:
    def chance(given: int) -> float:
        path = trained(judged, tmp_path / str(given), epochs=1, given_negatives=given)
        return float(sidecar.read(path)["training_stats"]["training_stats"][0]["train_accuracy_chance"])

    # 16, 16 and 8 pairs, 8 documents of the corpus, and now about as many given ones as pairs
    assert chance(1) < 0.75 * chance(0)


def test_a_plateau_shows_in_the_history(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, [0.5, 0.6, 0.4, 0.7, 0.1, 0.1])
    knobs = {"scheduler": config.Scheduler.plateau, "warmup": 0.0, "gamma": 0.1, "learning_rate": 1e-3}
    path = trained(folder, tmp_path, epochs=5, plateau_patience=1, **knobs)
    rows = sidecar.read(path)["training_stats"]["training_stats"]
    # the evaluation after epoch 2 is no better, nor is that after epoch 4
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_a_checkpoint_opens_as_plain_data_and_has_every_key(folder: Path, tmp_path: Path) -> None:
    path = trained(folder, tmp_path)
    content = torch.load(path, weights_only=True, mmap=True)
    assert content.keys() >= KEYS
    words = content["index_to_word"]
    assert content["word_to_index"] == {word: place for place, word in enumerate(words)}
    table = content["model_state_dict"]["words.vectors"]
    assert content["embedding_matrix"].data_ptr() == table.data_ptr()


def test_the_sidecar_holds_all_but_tensors_and_vocabulary(folder: Path, tmp_path: Path) -> None:
    path = trained(folder, tmp_path)
    content, beside = torch.load(path, weights_only=True), sidecar.read(path)
    left_out = {"model_state_dict", "embedding_matrix", "word_to_index", "index_to_word", "probe"}
    assert {key: beside[key] for key in content.keys() - left_out} == {
        key: content[key] for key in content.keys() - left_out
    }
    assert beside["file"] == {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": sidecar.sha256(path),
    }


def test_history_has_each_figure_with_its_chance(folder: Path, tmp_path: Path) -> None:
    path = trained(folder, tmp_path, loss=config.Contrastive(symmetric=False), epochs=1)
    stats = sidecar.read(path)["training_stats"]
    (row,) = stats["training_stats"]
    # batches of 16, 16 and 8 pairs with 8 random negatives each, few of which are masked: ln 24 and ln 16
    assert math.log(14) < row["train_loss_chance"] <= (32 * math.log(24) + 8 * math.log(16)) / 40
    assert 1 / 24 <= row["train_accuracy_chance"] < 1 / 14
    assert {"learning_rate", "seconds", "train_accuracy", "temperature"} <= row.keys()
    assert [row["epoch"] for row in stats["evaluation_stats"]] == [0, 1]
    assert {"dev_loss", "dev_loss_chance", "mrr_10", "recall_3"} <= stats["evaluation_stats"][0].keys()


def test_one_seed_decides_a_run(folder: Path, tmp_path: Path) -> None:
    one, same, other = (
        torch.load(trained(folder, tmp_path / str(place), seed=seed), weights_only=True)["model_state_dict"]
        for place, seed in enumerate((3, 3, 4))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_best_epoch_is_kept_not_the_last(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        script(patched, [0.1, 0.9, 0.5, 0.2])
        content = sidecar.read(trained(folder, tmp_path, epochs=3))
    assert content["epoch"] == content["training_stats"]["best_epoch"] == 1
    assert content["eval_results"]["mrr_10"] == 0.9
    stopped = trained(folder, tmp_path / "one", epochs=3, scheduler=config.Scheduler.constant, warmup=0.0)
    assert sidecar.read(stopped)["eval_results"] != content["eval_results"]


def test_patience_ends_a_run_that_brings_nothing_better(folder: Path, tmp_path: Path) -> None:
    path = trained(folder, tmp_path, epochs=40, patience=2, learning_rate=1e-9)
    content = sidecar.read(path)
    assert len(content["training_stats"]["training_stats"]) == 2
    assert content["stopped"] == "no better mrr_10 in 2 evaluations"


def test_no_epochs_keep_the_untrained_towers(folder: Path, tmp_path: Path) -> None:
    content = sidecar.read(trained(folder, tmp_path, epochs=0))
    assert content["epoch"] == 0
    assert content["floors"]["untrained"]["mrr_10"] == content["eval_results"]["mrr_10"]


def test_floors_are_stored_with_the_run(folder: Path, tmp_path: Path) -> None:
    floors = sidecar.read(trained(folder, tmp_path))["floors"]
    assert set(floors) == {"untrained", "chance", "BM25"}
    # one relevant document of 60: recall at 3 is 3 / 60
    assert floors["chance"]["recall_3"] == pytest.approx(3 / 60)


def test_without_dev_some_of_train_is_held_out_and_none_of_test(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "qrels" / "dev.tsv").unlink()
    data = sidecar.read(trained(folder, tmp_path))["data"]
    assert data["queries"] == {"dev": 4, "test": 10, "train": 36}
    assert "no dev split: 4 training queries held out as dev, by seed 0" in capsys.readouterr().err


def test_without_train_nothing_starts(folder: Path, tmp_path: Path) -> None:
    (folder / "qrels" / "train.tsv").unlink()
    with pytest.raises(ValueError, match="no train split, there is dev, test"):
        train.run(small(folder, tmp_path))
    assert not (tmp_path / "checkpoints").exists()


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train.run(small(folder, tmp_path, learning_rate=1e30, grad_clip=0.0, warmup=0.0, epochs=3))
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    assert sidecar.read(path)["stopped"].startswith("the loss became")
    assert np.isfinite(checkpoint.load(path).retriever.encode_docs(["a heron"])).all()


def test_an_interrupted_run_keeps_its_best(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(4))

    def interrupted(self: Stepper, *work: Any) -> None:
        if next(steps) == 2:
            raise KeyboardInterrupt
        real(self, *work)

    real = Stepper.epoch
    monkeypatch.setattr(Stepper, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.run(small(folder, tmp_path, epochs=4))
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    content = sidecar.read(path)
    assert content["stopped"] == "interrupted"
    assert len(content["training_stats"]["training_stats"]) == 2


def test_fewer_dev_queries_while_training_all_of_them_at_the_end(folder: Path, tmp_path: Path) -> None:
    content = sidecar.read(trained(folder, tmp_path, eval_max_queries=3))
    assert content["eval_results"]["judged"] == 10
    share = content["training_stats"]["evaluation_stats"][0]["success_1"] * 3
    assert share == pytest.approx(round(share))


def test_per_query_values_average_to_the_metrics(folder: Path, tmp_path: Path) -> None:
    path = trained(folder, tmp_path)
    metrics = sidecar.read(path)["eval_results"]
    with np.load(sidecar.per_query_of(path), allow_pickle=False) as values:
        assert values["query_ids"].tolist() == [f"q{number:02}" for number in range(0, 60, 6)]
        assert values["mrr_10"].mean() == pytest.approx(metrics["mrr_10"], abs=1e-12)


def test_frozen_word_vectors_stay_as_they_are(folder: Path, tmp_path: Path) -> None:
    never = torch.load(trained(folder, tmp_path / "a", freeze_epochs=-1), weights_only=True)
    start = torch.load(trained(folder, tmp_path / "b", epochs=0), weights_only=True)
    tuned = torch.load(trained(folder, tmp_path / "c", freeze_epochs=1, select="mrr_10"), weights_only=True)
    assert torch.equal(never["embedding_matrix"], start["embedding_matrix"])
    if tuned["epoch"] == 2:
        assert not torch.equal(tuned["embedding_matrix"], start["embedding_matrix"])


def test_a_typed_k_beyond_the_corpus_is_refused_and_a_default_is_clipped(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="k: got 61, want at most 60"):
        train.run(small(folder, tmp_path, k=[1, 10, 61]))
    metrics = sidecar.read(trained(folder, tmp_path, k=[1, 3, 5, 10, 20, 50, 100]))["eval_results"]
    assert "recall_50" in metrics
    assert "recall_100" not in metrics


def test_equal_names_never_collide(folder: Path, tmp_path: Path) -> None:
    for _ in range(3):
        train.run(small(folder, tmp_path, epochs=0, name="same"))
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 3


def test_the_log_has_a_line_an_epoch(folder: Path, tmp_path: Path) -> None:
    trained(folder, tmp_path)
    (log,) = (tmp_path / "checkpoints" / "runs").glob("*/metrics.jsonl")
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [0, 1, 2]


def test_own_candidates_are_what_epochs_selection_and_floors_go_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_beir(passages(), tmp_path / "passages")
    path = trained(folder, tmp_path, candidates=config.Candidates.own, eval_max_queries=5, epochs=4)
    content = sidecar.read(path)
    assert content["protocol"]["candidates"].startswith("own-")
    assert content["protocol"]["most_candidates"] == 10
    assert content["training_stats"]["config"]["candidates"] == "own"
    rows = content["training_stats"]["evaluation_stats"]
    # over lists of ten at most nothing is missed at ten; over 96 documents it would be
    assert {row["recall_10"] for row in rows} == {1.0}
    assert (content["eval_results"]["judged"], content["eval_results"]["recall_10"]) == (12, 1.0)
    assert 0.3 < content["floors"]["chance"]["mrr_10"] < 0.4
    assert content["training_stats"]["best_metrics"]["mrr_10"] == max(row["mrr_10"] for row in rows)
    said = "recall_10, success_10: at most 10 candidates a query, 1.0 for every model"
    assert capsys.readouterr().err.count(said) == 1
