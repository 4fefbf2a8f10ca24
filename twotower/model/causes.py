"""Why a checkpoint's probe may come out otherwise: weights, vocabulary, tokenizer pattern, or version.

A text without words is one unknown word whatever the tokenizer and the vocabulary: where its vector is off
too, the weights or the code are others.
"""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import twotower

COMPUTE = ("torch", "numpy", "polars")
"""Packages whose version can change a vector."""


def likely(content: Mapping[str, Any], good: NDArray[np.bool_]) -> str:
    """The likely cause, in a line; `good` says of each probe text whether its vector is as stored."""
    texts = content["probe"]["texts"]
    wordless = [fine for text, fine in zip(texts, good.tolist(), strict=True) if not text]
    versions = ", ".join(changed_versions(content.get("environment") or {}))
    if bad := not_finite(content):
        return f"likely the weights: {bad}"
    if wordless and not all(wordless):
        if versions:
            return f"likely the version: {versions}; or the weights, for a text without words is off too"
        return "likely the weights: even a text without words is off, which no tokenizer changes"
    if bad := vocabulary(content) or pattern(content):
        return f"likely {bad}"
    if versions:
        return f"likely the version: {versions}"
    return "likely the vocabulary or the tokenizer pattern: only texts with words are off"


def not_finite(content: Mapping[str, Any]) -> str:
    """The first tensor that holds nan or an infinity, in words; empty where there is none."""
    for name, tensor in content["model_state_dict"].items():
        if not bool(torch.isfinite(tensor).all()):
            return f"{name} holds nan or an infinity"
    return ""


def vocabulary(content: Mapping[str, Any]) -> str:
    """How the two word lists disagree with each other or with the model's form; empty where they agree."""
    words, index = content["index_to_word"], content["word_to_index"]
    said = content["model_config"].get("vocabulary", len(words))
    rows = len(content["embedding_matrix"])
    if not len(words) == len(index) == said == rows:
        return (
            f"the vocabulary: index_to_word has {len(words)} words, word_to_index {len(index)}, "
            f"model_config says {said}, embedding_matrix has {rows} rows"
        )
    for place, word in enumerate(words):
        if index.get(word) != place:
            return f"the vocabulary: {word!r} is {place} in index_to_word, {index.get(word)} in word_to_index"
    return ""


def pattern(content: Mapping[str, Any]) -> str:
    """Where the run's own record says another tokenizer pattern than the model's form; else empty."""
    own = content["model_config"].get("pattern")
    config = (content.get("training_stats") or {}).get("config") or {}
    recorded = (config.get("pattern"), (content.get("protocol") or {}).get("tokenizer"))
    for other in recorded:
        if other and other != own:
            return f"the tokenizer pattern: {own!r} here, the run's record says {other!r}"
    return ""


def changed_versions(environment: Mapping[str, Any]) -> list[str]:
    """What computed then and now, where it differs: `torch 2.6.0 then, 2.13.0 now`."""
    now = {"twotower": twotower.__version__, "python": platform.python_version()}
    now |= {name: metadata.version(name) for name in COMPUTE}
    return [
        f"{name} {environment[name]} then, {version} now"
        for name, version in now.items()
        if name in environment and environment[name] != version
    ]
