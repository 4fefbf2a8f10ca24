import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.legacy_case import TEXTS, OlderGRU, OlderMLP, ids_of, write
from tests.training_case import write_beir
from twotower import cli
from twotower.data.collection import Collection
from twotower.model import checkpoint, sidecar

MLP_KNOBS = ("pattern=[a-z]+", "pooling=mean", "activation=relu")


@pytest.fixture
def model() -> OlderMLP:
    torch.manual_seed(1)
    return OlderMLP()


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a conversion that ends with exit code 2."""
    assert cli.main(["convert", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def test_a_converted_mlp_is_a_checkpoint_with_the_older_vectors(
    workplace: Path, model: OlderMLP, capsys: pytest.CaptureFixture[str]
) -> None:
    write(workplace / "old.pt", model)
    assert cli.main(["convert", "old.pt", "out=new.pt", *MLP_KNOBS]) == 0
    assert capsys.readouterr().out == "new.pt\n"
    loaded = checkpoint.load(Path("new.pt"))
    with torch.no_grad():
        want = model.eval().vectors("query", [ids_of(text) for text in TEXTS]).numpy()
    np.testing.assert_allclose(loaded.retriever.encode_queries(TEXTS), want, atol=1e-6)
    assert (loaded.retriever.max_query_words, loaded.retriever.max_doc_words) == (20, 30)
    content = sidecar.read(Path("new.pt"))
    assert content["eval_results"] == {"mrr": 0.41, "mrr_10": 0.375, "recall_10": 1.0, "queries": 48}
    assert (content["epoch"], content["protocol"], content["data"]) == (3, {}, {})
    assert content["converted"]["sha256"] == sidecar.sha256(Path("old.pt"))
    assert content["training_stats"]["training_stats"] == [{"epoch": 1, "train_loss": pytest.approx(0.9)}]


def test_a_converted_gru_needs_no_activation(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = OlderGRU(both=True, layers=2)
    write(workplace / "old.pt", model)
    assert cli.main(["convert", "old.pt", "pattern=[a-z]+", "pooling=last"]) == 0
    assert capsys.readouterr().out == "old-converted.pt\n"
    with torch.no_grad():
        want = model.eval().vectors("document", [ids_of(text) for text in TEXTS]).numpy()
    got = checkpoint.load(Path("old-converted.pt")).retriever.encode_docs(TEXTS)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_what_the_file_does_not_say_must_be_given(
    workplace: Path, model: OlderMLP, capsys: pytest.CaptureFixture[str]
) -> None:
    write(workplace / "old.pt", model, model_config={})
    line = fails(capsys, "old.pt")
    assert "old.pt does not say pattern, pooling, activation, max_query_words, max_doc_words" in line
    assert "pooling=mean activation=relu max_query_words=64" in line
    assert not list(workplace.glob("*converted*"))


@pytest.mark.parametrize(
    ("config", "words", "said"),
    [
        ({"pooling": "last"}, MLP_KNOBS, "pooling: got mean, old.pt says last"),
        (
            {"pooling": "attention"},
            ("pattern=a", "activation=relu"),
            "pooling: got 'attention', want last or",
        ),
        ({"max_query_length": "long"}, MLP_KNOBS, "max_query_words: old.pt says 'long', want a whole number"),
        ({}, (*MLP_KNOBS, "pattern=["), "pattern '"),
    ],
)
def test_what_the_file_says_must_be_understood_and_not_contradicted(
    workplace: Path,
    model: OlderMLP,
    capsys: pytest.CaptureFixture[str],
    config: dict[str, Any],
    words: tuple[str, ...],
    said: str,
) -> None:
    write(workplace / "old.pt", model, model_config={"max_length": 9, **config})
    assert said in fails(capsys, "old.pt", *words)


def test_nothing_is_written_over(
    workplace: Path, model: OlderMLP, capsys: pytest.CaptureFixture[str]
) -> None:
    write(workplace / "old.pt", model)
    assert "out: old.pt: exists, want a new file" in fails(capsys, "old.pt", "out=old.pt", *MLP_KNOBS)
    (workplace / "training_history_new.json").write_text("{}")
    assert "out: training_history_new.json: exists" in fails(capsys, "old.pt", "out=new.pt", *MLP_KNOBS)


def test_no_file_and_no_such_file_are_one_line(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no file, want `twotower convert old.pt" in fails(capsys)
    assert "nothing.pt: no such checkpoint file" in fails(capsys, "nothing.pt", *MLP_KNOBS)


def test_what_is_left_out_is_said(
    workplace: Path, model: OlderMLP, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("<PAD>", "<UNK>", "the", "Cat", "<eos>", "on", "mat", "dog", "ran")
    state = {**model.state_dict(), "temperature": torch.tensor(0.05)}
    path = write(
        workplace / "old.pt",
        model,
        model_state_dict=state,
        word_to_index={word: place for place, word in enumerate(words)},
        index_to_word=list(words),
        eval_results={"MRR": np.float64(0.9), "evaluation_type": "quick_eval"},
    )
    history = {"evaluation_stats": [{"epoch": 2, "MRR": 0.3, "evaluation_type": "full_eval"}]}
    path.with_name("training_history_old.json").write_text(json.dumps(history))
    assert cli.main(["convert", "old.pt", *MLP_KNOBS]) == 0
    said = capsys.readouterr().err
    for line in (
        "left out, for no vector needs it: temperature",
        "2 of 7 words never match pattern in lower case: 'Cat', ...",
        "its vocabulary has <eos>:",
        "eval_results: dropped, evaluation_type is 'quick_eval', want 'full_eval'",
    ):
        assert line in said
    content = sidecar.read(Path("old-converted.pt"))
    assert content["eval_results"] == {}
    assert content["training_stats"]["evaluation_stats"] == [
        {"epoch": 2, "mrr": 0.3, "evaluation_type": "full_eval"}
    ]


@pytest.mark.slow
def test_every_other_command_takes_a_converted_checkpoint(
    workplace: Path, tiny: Collection, model: OlderMLP, capsys: pytest.CaptureFixture[str]
) -> None:
    write_beir(tiny, workplace / "tiny")
    (workplace / "checkpoints").mkdir()
    write(workplace / "old.pt", model)
    assert cli.main(["convert", "old.pt", "out=checkpoints/new.pt", *MLP_KNOBS]) == 0
    assert cli.main(["leaderboard"]) == 0
    said = capsys.readouterr().err
    assert "left out: new.pt: its mrr_10 of 0.3750 has no protocol, so it compares with nothing" in said
    data = ["data=beir", "data.path=tiny"]
    assert cli.main(["evaluate", "checkpoint=new", *data, "format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["collection"] == "tiny"
    assert cli.main(["search", "the cat", "checkpoint=new", *data, "format=json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 5
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "ok      new.pt"
    for command in ("evaluate", "search"):
        words = ["cat"] if command == "search" else []
        assert cli.main([command, *words, "checkpoint=new"]) == 2
        assert "does not say" in capsys.readouterr().err
    assert cli.main(["evaluate", "checkpoint=@best", *data]) == 2
    assert "no checkpoint in checkpoints has mrr_10" in capsys.readouterr().err
