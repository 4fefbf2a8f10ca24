"""What to do about a cause: the knob, and the whole command to try, built from the checkpoint's own config.

truncated, a run with max_doc_words=256   ->   max_doc_words=512
twotower train data=beir data.path=/data/squad dim=128 max_doc_words=512 name=first-max_doc_words
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twotower import knobs, manual
from twotower.config import GROUPS, Train

USUAL = {"query_tower": "mlp", "doc_tower": "mlp", "loss": "contrastive"}
"""Choices that need not be typed."""
UNTYPED = ("name", "resume")
"""Knobs that are not carried over."""
STEP = 64
"""Words by which a document's limit grows."""


@dataclass(frozen=True)
class Remedy:
    """What to turn, and how."""

    knob: str
    """`max_doc_words=512`; `qrels` where no knob helps, for the judgements are wrong."""
    command: str
    """To be typed as it is; empty where the checkpoint does not say how it was trained."""


@dataclass(frozen=True)
class Facts:
    """What the remedies depend on beside the config."""

    vocabulary: int
    """Words that the model knows."""
    longest: int
    """Words of the documents that were cut, nearly all of them."""


def remedy(cause: str, content: Mapping[str, Any], facts: Facts) -> Remedy:
    """For a cause of `reasons.CAUSES` and a checkpoint's content."""
    config = (content.get("training_stats") or {}).get("config") or {}
    try:
        words = words_of(config, (content.get("data") or {}).get("source") or {})
    except ValueError:  # of an older system, or another version
        words = {}
    if cause == "duplicate":
        data = {name: value for name, value in words.items() if name.split(".")[0] == "data"}
        data.pop("data.dev_share", None)  # the report knows no training
        return Remedy("qrels", _line("data", data | {"near": "0.9"}) if words else "")
    changed = CHANGES[cause](words, facts)
    knob = " ".join(f"{name}={value}" for name, value in changed.items())
    if not words:
        return Remedy(knob, "")
    gone = [f"{name}." for name in changed if name in GROUPS]
    kept = {name: value for name, value in words.items() if not name.startswith(tuple(gone))}
    name = "-".join([str(config.get("name", "run")), *(name.rpartition(".")[2] for name in changed)])
    return Remedy(knob, _line("train", kept | changed | {"name": name}))


def words_of(config: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, str]:
    """The settings to type for a stored config, by name: the data, then whatever is not a default.

    `source` is how the collection is read again, its path absolute. Raises ValueError for a config that this
    version does not know.
    """
    if not isinstance(config.get("data"), Mapping):
        raise ValueError("config: no data in it, want that of a run")
    stored = knobs.stored(Train, {**config, "data": dict(source) or config["data"]})
    words: dict[str, str] = {}
    for group, choice in stored.groups.items():
        if group == "doc_tower" and stored.values.get("tied"):
            continue
        if USUAL.get(group) != choice:
            words[group] = choice
        words |= _changed(stored.values, manual.defaults(GROUPS[group][choice]), f"{group}.")
    return words | _changed(stored.values, manual.defaults(Train), "")


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """The knobs of one class that are not at their default."""
    names = [name for name in defaults if f"{prefix}{name}" in values and name not in UNTYPED]
    return {
        f"{prefix}{name}": knobs.shown(values[f"{prefix}{name}"])
        for name in names
        if values[f"{prefix}{name}"] != defaults[name]
    }


def _line(command: str, words: Mapping[str, str]) -> str:
    return shlex.join(["twotower", command, *(f"{name}={value}" for name, value in words.items())])


def _number(words: Mapping[str, str], name: str) -> int:
    """A whole number as it is set, or by default."""
    return int(words.get(name, manual.defaults(Train)[name]))


def _unknown_words(words: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """Rare words first, then a larger vocabulary; where that is not full, other vectors bring other words."""
    if _number(words, "min_count") > 1:
        return {"min_count": "1"}
    size = _number(words, "max_size")
    if facts.vocabulary >= size:
        return {"max_size": str(2 * size)}
    return _no_common_word(words, facts)


def _no_common_word(words: Mapping[str, str], _: Facts) -> dict[str, str]:
    """Vectors that know which words mean the same: read elsewhere, and learned here; then more room."""
    vectors = words.get("vectors", Train.vectors)
    if vectors in ("random", "train"):
        return {"vectors": "glove-50d" if vectors == "random" else f"{Train.vectors}+train"}
    if "train" not in vectors.split("+"):
        return {"vectors": f"{vectors}+train"}
    return {"dim": str(2 * _number(words, "dim"))}


def _truncated(words: Mapping[str, str], facts: Facts) -> dict[str, str]:
    limit = max(facts.longest, _number(words, "max_doc_words") + 1)
    return {"max_doc_words": str(-(-limit // STEP) * STEP)}


def _hub(words: Mapping[str, str], _: Facts) -> dict[str, str]:
    """More documents drawn from the corpus push down what is near to everything."""
    if words.get("loss") == "margin" or words.get("loss.negatives") == "given":
        return {"loss": "contrastive"}  # these losses draw none
    return {"random_negatives": str(max(256, 2 * _number(words, "random_negatives")))}


def _length_bias(words: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """A tower whose vector does not depend on length; where it is one, negatives of all lengths."""
    side = "query_tower" if words.get("tied") == "true" else "doc_tower"
    if words.get(f"{side}.bag") == "mean":
        return {f"{side}.bag": "unit"}
    if words.get(f"{side}.pooling") in ("last", "max"):
        return {f"{side}.pooling": "mean"}
    return _hub(words, facts)


CHANGES: Mapping[str, Callable[[Mapping[str, str], Facts], dict[str, str]]] = {
    "unknown_words": _unknown_words,
    "no_common_word": _no_common_word,
    "truncated": _truncated,
    "hub": _hub,
    "length_bias": _length_bias,
}
"""What to turn about each cause but the duplicates, which are in the data."""
