"""Checkpoints: one file that holds the whole model and proves itself when it is loaded.

    model_state_dict, embedding_matrix (same storage), word_to_index, index_to_word, model_config,
    training_stats, epoch, eval_results, wandb_run_id, format, protocol, data, cost, environment, probe, ...

`torch.load(path, weights_only=True)` opens it: plain types and tensors only. Beside it lies a sidecar with
all but tensors and vocabulary (`twotower.model.sidecar`).
"""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twotower import knobs
from twotower.model import sidecar
from twotower.model.retriever import Retriever
from twotower.model.two_tower import Shape, TwoTower
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import Vocab

FORMAT = 1
"""Of the files written here; others are refused."""
TENSORS = ("model_state_dict", "embedding_matrix", "word_to_index", "index_to_word", "probe")
"""Keys that the sidecar leaves out."""
PROBE = ("what is a two tower model", "Zürich, 2026: naïve café №5", "")
"""Texts whose vectors are stored, and encoded again on load; they go through every part of the path."""
TOLERANCE = 1e-5
"""How far a probe's vector may be from the stored one, in any coordinate."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory: the model, ready to encode, and everything else that the file says."""

    retriever: Retriever
    content: Mapping[str, Any]


def save(path: Path, retriever: Retriever, record: Mapping[str, Any]) -> None:
    """Write the checkpoint and its sidecar, each aside and renamed; `record` holds plain types only."""
    state = {name: value.detach().cpu() for name, value in retriever.two_tower.state_dict().items()}
    words = list(retriever.vocab.words)
    content = {
        "format": FORMAT,
        **record,
        "model_state_dict": state,
        "embedding_matrix": state["words.vectors"],
        "word_to_index": {word: place for place, word in enumerate(words)},
        "index_to_word": words,
        "model_config": _shape(retriever),
        "probe": _probe(retriever),
    }
    sidecar.write_aside(path, lambda file: torch.save(content, file))
    sidecar.write(path, _plain(content))


def load(path: Path, device: torch.device | str = "cpu") -> Loaded:
    """Open a checkpoint, check it, and encode its probe again.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        ValueError: the file is damaged, foreign, of another format, or gives other vectors than it should.
    """
    content = read(path)
    words = Vocab(tuple(content["index_to_word"]))
    shape = content["model_config"]
    towers = {key: knobs.restore(key, shape[key]) for key in ("query_tower", "doc_tower")}
    form = Shape(**towers, dim=shape["dim"], tied=shape["tied"], share_words=shape["share_words"])
    two_tower = TwoTower(form, content["embedding_matrix"].numpy())
    two_tower.load_state_dict(content["model_state_dict"])
    retriever = Retriever(
        two_tower.to(device).eval(),
        words,
        Tokenizer(shape["pattern"]),
        shape["max_query_words"],
        shape["max_doc_words"],
    )
    _prove(path, retriever, content["probe"])
    return Loaded(retriever, _plain(content))


def read(path: Path) -> dict[str, Any]:
    """The file's content, verified by its own checksums and its sidecar's; nothing in it is executed."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, want a checkpoint file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    content = _opened(path)
    if not isinstance(content, dict) or "model_state_dict" not in content:
        raise ValueError(f"{path}: not a checkpoint, it has no model_state_dict")
    if content.get("format") != FORMAT:
        got = content.get("format", "none, as older systems wrote it")
        raise ValueError(f"{path}: format {got}, want {FORMAT}; load it with the version that wrote it")
    if sidecar.sidecar_of(path).is_file():
        # it also covers what the archive's checksums leave out: names, padding, the directory
        sidecar.verified(path, sidecar.sha256(path))
    return content


def _opened(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"{path}: damaged, the checksum of {damaged} does not match")
        return torch.load(path, weights_only=True, mmap=True, map_location="cpu")
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(
            f"{path}: not a whole checkpoint ({error}); it is truncated or another kind of file"
        ) from None
    except (pickle.UnpicklingError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: refused, nothing in it was executed: {reason}") from None


def rebuild_sidecar(path: Path) -> dict[str, Any]:
    """Write a checkpoint's missing sidecar from the file, and return it."""
    sidecar.write(path, _plain(read(path)))
    return sidecar.read(path)


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in TENSORS}


def _shape(retriever: Retriever) -> dict[str, Any]:
    return {
        **knobs.plain(retriever.two_tower.form),
        "pattern": retriever.tokenizer.pattern,
        "max_query_words": retriever.max_query_words,
        "max_doc_words": retriever.max_doc_words,
        "vocabulary": len(retriever.vocab),
    }


def _probe(retriever: Retriever) -> dict[str, Any]:
    return {
        "texts": list(PROBE),
        "queries": torch.from_numpy(retriever.encode_queries(PROBE)),
        "docs": torch.from_numpy(retriever.encode_docs(PROBE)),
    }


def _prove(path: Path, retriever: Retriever, probe: Mapping[str, Any]) -> None:
    """Raises ValueError where the probe's texts no longer give their stored vectors."""
    for side, encode in (("queries", retriever.encode_queries), ("docs", retriever.encode_docs)):
        off = float(np.abs(encode(probe["texts"]) - probe[side].numpy()).max())
        if not off <= TOLERANCE:
            raise ValueError(
                f"{path}: its probe {side} come out {off:.2g} from the stored vectors, want {TOLERANCE:g}; "
                "the tokenizer or the towers of this version differ from those that trained it"
            )
