from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import twotower
from tests.test_checkpoint import retriever
from twotower.model import causes, checkpoint, sidecar
from twotower.training.record import environment

Content = dict[str, Any]


def weights(content: Content) -> None:
    content["model_state_dict"]["doc_tower.layers.0.weight"] += 0.5


def nan(content: Content) -> None:
    content["model_state_dict"]["query_tower.layers.0.weight"][0, 0] = torch.nan


def words_swapped(content: Content) -> None:
    words = content["index_to_word"]
    two, last = words.index("a"), len(words) - 1
    words[two], words[last] = words[last], words[two]


def word_rows(content: Content) -> None:
    """As if both lists were those of another run."""
    words = content["index_to_word"]
    words[2:] = reversed(words[2:])
    content["word_to_index"] = {word: place for place, word in enumerate(words)}


def pattern(content: Content) -> None:
    content["model_config"]["pattern"] = "[b-z]+"


def version(content: Content) -> None:
    word_rows(content)
    content["environment"]["torch"] = "1.13"


def pattern_unrecorded(content: Content) -> None:
    pattern(content)
    content["training_stats"] = {}


CAUSES: dict[str, tuple[Callable[[Content], None], str]] = {
    "weights": (weights, r"probe docs .* likely the weights: even a text without words is off"),
    "nan": (nan, r"likely the weights: query_tower\.layers\.0\.weight holds nan"),
    "a list of words": (
        words_swapped,
        r"likely the vocabulary: 'the' is 2 in index_to_word, 7 in word_to_index",
    ),
    "both lists": (
        word_rows,
        "likely the vocabulary or the tokenizer pattern: only texts with words are off",
    ),
    "pattern": (pattern, r"likely the tokenizer pattern: '\[b-z\]\+' here, the run's record says "),
    "pattern, not recorded": (pattern_unrecorded, "likely the vocabulary or the tokenizer pattern"),
    "version": (version, rf"likely the version: torch 1\.13 then, {torch.__version__[:4]}"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_probe_that_comes_out_otherwise_names_the_likely_cause(tmp_path: Path, name: str) -> None:
    change, said = CAUSES[name]
    model = retriever()
    own = {"config": {"pattern": model.tokenizer.pattern}}
    path = tmp_path / "a.pt"
    checkpoint.save(path, model, {"environment": environment(), "training_stats": own})
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    sidecar.sidecar_of(path).unlink()
    with pytest.raises(ValueError, match=said) as error:
        checkpoint.load(path)
    assert "\n" not in str(error.value)


def test_only_versions_that_differ_are_named() -> None:
    now = environment()
    assert causes.changed_versions(now) == []
    assert causes.changed_versions({}) == []
    changed = {**now, "twotower": "0.0.1", "platform": "abacus"}
    assert causes.changed_versions(changed) == [f"twotower 0.0.1 then, {twotower.__version__} now"]
