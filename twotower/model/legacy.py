"""Checkpoints of older systems, as they are: tensors, words, and what they say of themselves.

    model_state_dict   embedding_matrix   word_to_index {"cat": 7}   index_to_word {7: "cat"} or a list
    model_config   training_stats   epoch   eval_results   with NumPy's scalars, arrays and matrices in them

Their towers become ours in `twotower.model.legacy_towers`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twotower.model import checkpoint
from twotower.text import numpy_pickle
from twotower.text.vocabulary import SPECIAL, Vocab

WRAPPERS = ("module.", "_orig_mod.")
"""What wrappers of a model put before its tensors' names."""
PADS = ("<pad>", "<PAD>", "[PAD]", "PAD", "__PAD__")
"""What older vocabularies call padding."""
UNKNOWNS = ("<unk>", "<UNK>", "[UNK]", "UNK", "__UNK__", "<OOV>", "<oov>")
"""What they call an unknown word; none can come from lower-cased text."""
MARKS = ("<s>", "</s>", "<sos>", "<eos>", "<bos>", "[CLS]", "[SEP]")
"""Words that older tokenizers put around a text, compared without their case."""
SKIP = "skip"
"""What `unknown` says where unknown words were left out."""
ZEROS = -1
"""Instead of a row of the older table: a row of zeros."""


@dataclass(frozen=True, eq=False)
class Legacy:
    """An older checkpoint."""

    path: Path
    state: Mapping[str, Tensor]
    """Tensors by name, float32, wrappers' prefixes removed."""
    vectors: Tensor | None
    """`embedding_matrix`, which counts only where the state has no table."""
    rows: Mapping[str, int]
    """The row of each word."""
    content: Mapping[str, Any]
    """All else that the file says, in plain types and arrays."""

    def said(self, names: Sequence[str]) -> Any:
        """What the file says under the first of these names that its config has; None if none."""
        stats = self.content.get("training_stats")
        kept = stats.get("config") if isinstance(stats, Mapping) else None
        for config in (self.content.get("model_config"), kept):
            if isinstance(config, Mapping):
                for name in names:
                    if config.get(name) is not None:
                        return config[name]
        return None


@dataclass(frozen=True, eq=False)
class Words:
    """Our vocabulary of an older one's words."""

    vocab: Vocab
    rows: list[int]
    """The older table's row for each id of ours, or `ZEROS`."""
    skip_unknown: bool
    """Whether unknown words are as if they were not there."""


def read(path: Path) -> Legacy:
    """Read an older checkpoint; nothing in it is executed.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        ValueError: it is damaged, foreign or malicious, already ours, or its parts do not agree.
    """
    content = checkpoint.opened(path, numpy_pickle.NAMES)
    try:
        content = numpy_pickle.plain(content)
        if not isinstance(content, dict) or not isinstance(content.get("model_state_dict"), dict):
            raise ValueError("not a checkpoint, it has no model_state_dict")
        if "format" in content:
            raise ValueError(f"format {content['format']}, a checkpoint of this system already")
        state = {_bare(str(name)): _tensor(value) for name, value in content["model_state_dict"].items()}
        matrix = content.get("embedding_matrix")
        return Legacy(
            path=path,
            state=state,
            vectors=None if matrix is None else _tensor(matrix),
            rows=_rows(content.get("word_to_index"), content.get("index_to_word")),
            content={key: value for key, value in content.items() if key not in checkpoint.TENSORS},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_history(path: Path) -> Any:
    """What `training_history_<stem>.json` beside the file at `path` holds; None where there is none.

    Raises ValueError for a file that is not JSON.
    """
    beside = path.with_name(f"training_history_{path.stem}.json")
    if not beside.is_file():
        return None
    try:
        return json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{beside}: not JSON ({error}); move it away to convert without it") from None


def _bare(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.split(".", 1)[1]
    return name


def _tensor(value: Any) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(value.astype(np.float32))
    if not isinstance(value, Tensor) or value.is_sparse or value.is_quantized or value.is_meta:
        raise ValueError(f"model_state_dict: {type(value).__name__}, want a dense tensor or an array")
    return value.detach().to(torch.float32)


def _rows(index: Any, words: Any) -> dict[str, int]:
    """The row of each word, from both lists, which must agree."""
    listed = _listed(words)
    if index is None:
        index = {word: row for row, word in listed.items()}
    if not isinstance(index, dict) or not index:
        raise ValueError("no words: word_to_index and index_to_word are missing, empty, or no dict and list")
    rows: dict[str, int] = {}
    for word, row in index.items():
        if not isinstance(word, str) or type(row) is not int or row < 0:
            raise ValueError(f"word_to_index: {word!r} is {row!r}, want a word and its row")
        if listed and listed.get(row) != word:
            raise ValueError(
                f"word_to_index says that {word!r} is {row}, index_to_word that {listed.get(row)!r} is; "
                "want two lists that agree"
            )
        rows[word] = row
    return rows


def _listed(words: Any) -> dict[int, str]:
    """`index_to_word`, a list or a dict whose keys may be text, as JSON makes them."""
    if isinstance(words, np.ndarray):
        words = words.tolist()
    try:
        pairs = words.items() if isinstance(words, dict) else enumerate(words or [])
        return {int(row): str(word) for row, word in pairs}
    except (TypeError, ValueError):
        raise ValueError(f"index_to_word: {type(words).__name__}, want a list, or words by number") from None


def carried_words(legacy: Legacy, unknown: str) -> Words:
    """Our vocabulary: padding, the unknown word, then theirs in the order of their rows.

    `unknown` is the knob, "" where it was not given.

    Raises ValueError where the file has no word for unknown ones and the knob does not say, or is no word.
    """
    rows = legacy.rows
    pad = next((word for word in PADS if word in rows), None)
    own = unknown or next((word for word in UNKNOWNS if word in rows), "")
    if not own:
        raise ValueError(
            f"{legacy.path}: its vocabulary has no word for unknown ones; write unknown=skip if they "
            "were left out, or unknown=<word> with the word whose vector they took"
        )
    if own != SKIP and own not in rows:
        raise ValueError(f"unknown: {own!r} is not a word of {legacy.path}, want one, or skip")
    special = {pad, *SPECIAL, own if own in UNKNOWNS else None}
    words = [word for word in sorted(rows, key=lambda word: (rows[word], word)) if word not in special]
    first = ZEROS if own == SKIP else rows[own]
    return Words(Vocab((*SPECIAL, *words)), [ZEROS, first, *(rows[word] for word in words)], own == SKIP)
