from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.legacy_case import TEXTS, WORDS, OlderGRU, OlderMLP, ids_of, write
from twotower import config
from twotower.model import legacy, legacy_towers
from twotower.model.legacy_towers import Said
from twotower.model.retriever import Retriever
from twotower.text.tokenize import Tokenizer

RELU = config.Activation.relu


def carried(path: Path, pooling: str, *, activation: str = "relu", unknown: str = "") -> Retriever:
    older = legacy.read(path)
    words = legacy.carried_words(older, unknown)
    said = Said(config.Pooling[pooling], config.Activation[activation])
    model = legacy_towers.build(older, legacy_towers.sort(older), words, said)
    return Retriever(model, words.vocab, Tokenizer("[a-z]+"), 20, 30)


def off(model: nn.Module, ours: Retriever, *, skip: bool = False) -> float:
    """The largest difference from the older model's own vectors, over both sides."""
    ids = [ids_of(text, skip=skip) for text in TEXTS]
    with torch.no_grad():
        theirs = [model.eval().vectors(side, ids).numpy() for side in ("query", "document")]
    got = [ours.encode_queries(TEXTS), ours.encode_docs(TEXTS)]
    return max(float(abs(one - other).max()) for one, other in zip(theirs, got, strict=True))


GRUS: Mapping[str, dict[str, Any]] = {
    "last": {},
    "mean": {"pooling": "mean"},
    "two layers, last": {"layers": 2},
    "both ways, last": {"both": True},
    "both ways, two layers, mean": {"both": True, "layers": 2, "pooling": "mean"},
    "without biases": {"bias": False},
}


@pytest.mark.parametrize("name", GRUS)
def test_an_older_gru_and_ours_give_the_same_vectors(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    model = OlderGRU(**GRUS[name])
    ours = carried(write(tmp_path / "a.pt", model), model.pooling)
    assert off(model, ours) <= 1e-6
    assert ours.two_tower.form.share_words


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (7,), (8, 8), (9, 4, 7)])
def test_an_older_mlp_and_ours_give_the_same_vectors(
    tmp_path: Path, hidden: tuple[int, ...], activation: str
) -> None:
    torch.manual_seed(1)
    model = OlderMLP(hidden, ACTIVATIONS[activation])
    ours = carried(write(tmp_path / "a.pt", model), "mean", activation=activation)
    assert off(model, ours) <= 1e-6


def test_unknown_words_that_were_skipped_are_skipped(tmp_path: Path) -> None:
    model = OlderMLP()
    ours = carried(write(tmp_path / "a.pt", model), "mean", unknown="skip")
    assert off(model, ours, skip=True) <= 1e-6
    assert off(model, ours) > 0.01


def test_the_vector_of_another_word_stands_for_unknown_ones(tmp_path: Path) -> None:
    model = OlderMLP()
    path = write(tmp_path / "a.pt", model)
    by_pad = carried(path, "mean", unknown="<PAD>")
    with torch.no_grad():
        model.embedding.weight[1] = model.embedding.weight[0]
    assert off(model, by_pad) <= 1e-6


def test_a_gru_cannot_skip_a_word(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.pt: cannot be carried over: unknown=skip: our GRU"):
        carried(write(tmp_path / "a.pt", OlderGRU()), "last", unknown="skip")


def test_tables_of_their_own_stay_apart(tmp_path: Path) -> None:
    model = OlderMLP()
    state = model.state_dict()
    table = state.pop("embedding.weight")
    state |= {"query_embedding.weight": table, "document_embedding.weight": 2 * table}
    ours = carried(write(tmp_path / "a.pt", model, model_state_dict=state), "mean")
    assert not ours.two_tower.form.share_words
    assert torch.equal(ours.two_tower.doc_words.vectors[2:], 2 * table[2:])


def test_embedding_matrix_stands_in_for_a_table_that_the_state_lacks(tmp_path: Path) -> None:
    model = OlderMLP()
    state = model.state_dict()
    state.pop("embedding.weight")
    assert off(model, carried(write(tmp_path / "a.pt", model, model_state_dict=state), "mean")) <= 1e-6


def changed(model: nn.Module, **tensors: Any) -> dict[str, Any]:
    """A state with some tensors replaced, added, or (None) taken away; `__` stands for a dot."""
    state = {**model.state_dict(), **{name.replace("__", "."): one for name, one in tensors.items()}}
    return {name: one for name, one in state.items() if one is not None}


REFUSED: Mapping[str, tuple[nn.Module, dict[str, Any], str, str]] = {
    "a layer normalisation": (OlderMLP(), {"query_tower__9__weight": torch.ones(6)}, "mean", "query_tower.9"),
    "a batch's running mean": (
        OlderMLP(), {"query_tower__1__running_mean": torch.ones(7)}, "mean", "tower.1.running_mean"
    ),
    "an LSTM": (
        OlderGRU(), {"query_rnn__weight_hh_l0": torch.ones(16, 4)}, "last", "it has an LSTM, want a GRU"
    ),
    "a plain recurrent layer": (
        OlderGRU(), {"query_rnn__weight_hh_l0": torch.ones(4, 4)}, "last", "a plain recurrent layer"
    ),
    "a missing weight": (OlderGRU(), {"query_rnn__weight_ih_l0": None}, "last", "size mismatch|weight_ih_l0"),
    "a second layer after the GRU": (
        OlderGRU(), {"query_projection__3__weight": torch.ones(6, 6)}, "last", "a second layer after the GRU"
    ),
    "one direction of two": (
        OlderGRU(both=True), {"query_projection__weight": torch.ones(6, 4)}, "last", "4 numbers, want all 8"
    ),
    "layers that do not fit": (
        OlderMLP(), {"query_tower__3__weight": torch.ones(6, 9)}, "mean", "reads 9 numbers, 7 come"
    ),
    "neighbours": (OlderMLP(), {"query_tower__4__weight": torch.ones(6, 6)}, "mean", "nothing stands"),
    "an MLP over the last word": (OlderMLP(), {}, "last", "pooling=last: linear layers"),
    "a tensor of no tower": (OlderMLP(), {"attention__weight": torch.ones(5, 5)}, "mean", "attention.weight"),
    "two widths": (
        OlderMLP(), {"query_tower__3__weight": torch.ones(3, 7), "query_tower__3__bias": torch.ones(3)},
        "mean", "vectors of 3 and 6 numbers",
    ),
    "no document tower": (
        OlderMLP(), dict.fromkeys(
            (f"document_tower__{n}__{kind}" for n in (0, 3) for kind in ("weight", "bias")), None
        ), "mean", "no document tower",
    ),
    "too few rows": (OlderMLP(), {"embedding__weight": torch.ones(4, 5)}, "mean", "dimensions and 9 rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_ours_cannot_compute_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    model, tensors, pooling, said = REFUSED[name]
    path = write(tmp_path / "a.pt", model, model_state_dict=changed(model, **tensors))
    with pytest.raises(ValueError, match=said) as error:
        carried(path, pooling)
    assert str(error.value).startswith(f"{path}: cannot be carried over: ")
    assert "\n" not in str(error.value)


def test_a_temperature_changes_no_vector(tmp_path: Path) -> None:
    model = OlderMLP()
    path = write(tmp_path / "a.pt", model, model_state_dict=changed(model, temperature=torch.tensor(0.1)))
    assert legacy_towers.sort(legacy.read(path)).scalars == ["temperature"]
    assert off(model, carried(path, "mean")) <= 1e-6
    assert len(WORDS) == len(carried(path, "mean").vocab)
