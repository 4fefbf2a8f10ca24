"""Checkpoints: one file that holds the whole model and proves itself when it is loaded.

    model_state_dict, embedding_matrix (same storage), word_to_index, index_to_word, model_config,
    training_stats, epoch, eval_results, wandb_run_id, format, protocol, data, cost, environment, probe, ...

`torch.load(path, weights_only=True)` opens it: plain types and tensors only. Beside it lies a sidecar with
all but tensors and vocabulary (`twotower.model.sidecar`).
"""

import lzma
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from twotower import knobs
from twotower.model import causes, identity, sidecar
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
KEYS = (*TENSORS, "model_config")
"""Keys without which there is no model; a run adds more."""
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    ArithmeticError,
    LookupError,
)
"""What reading an archive raises where a bit of it was changed."""
_FOREIGN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    MemoryError,
)
"""What a pickle that is not one of tensors and plain types raises."""


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
        "doc_tower": identity.of_docs(retriever),
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
    return Loaded(restore(path, content, device), _plain(content))


def restore(path: Path, content: Mapping[str, Any], device: torch.device | str = "cpu") -> Retriever:
    """The model of a checkpoint's `content`, with its probe encoded again; `path` is named in the errors."""
    retriever = build(path, content, device)
    prove(path, retriever, content)
    return retriever


def build(path: Path, content: Mapping[str, Any], device: torch.device | str = "cpu") -> Retriever:
    """The model of a checkpoint's `content`, its probe not yet looked at.

    Raises ValueError where parts are missing or do not fit each other.
    """
    try:
        shape = content["model_config"]
        towers = {key: knobs.restore(key, shape[key]) for key in ("query_tower", "doc_tower")}
        form = Shape(**towers, dim=shape["dim"], tied=shape["tied"], share_words=shape["share_words"])
        two_tower = TwoTower(form, content["embedding_matrix"].numpy())
        two_tower.load_state_dict(content["model_state_dict"])
        return Retriever(
            two_tower.to(device).eval(),
            Vocab(tuple(content["index_to_word"])),
            Tokenizer(shape["pattern"]),
            shape["max_query_words"],
            shape["max_doc_words"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"{path}: its parts do not make a model: {what}") from None


def read(path: Path) -> dict[str, Any]:
    """The file's content, verified by its own checksums and its sidecar's; nothing in it is executed."""
    content: dict[str, Any] = opened(path)
    check_format(path, content)
    if lacking := [key for key in KEYS if key not in content]:
        raise ValueError(f"{path}: not a whole checkpoint, it has no {lacking[0]}")
    if sidecar.sidecar_of(path).is_file():
        # it also covers what the archive's checksums leave out: names, padding, the directory
        sidecar.verified(path, sidecar.sha256(path))
    return content


def check_format(path: Path, content: Any) -> None:
    """Raises ValueError unless `content` is that of a checkpoint in the format written here."""
    if not isinstance(content, dict) or "model_state_dict" not in content:
        raise ValueError(f"{path}: not a checkpoint, it has no model_state_dict")
    if "format" not in content:
        raise ValueError(
            f"{path}: format none, as older systems wrote it, want {FORMAT}; `twotower convert` converts it"
        )
    if content["format"] != FORMAT:
        raise ValueError(
            f"{path}: format {content['format']}, want {FORMAT}; load it with the version that wrote it"
        )


def opened(path: Path, names: Sequence[tuple[Callable[..., Any], str]] = ()) -> Any:
    """What the file holds, its checksums compared: tensors, plain types, and what `names` stand for.

    `names` pairs a callable with the dotted name by which a pickle asks for it; nothing else is called.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        ValueError: it is damaged, no checkpoint, or asks for anything else.
    """
    check_archive(path)
    try:
        with torch.serialization.safe_globals(list(names)):
            return torch.load(path, weights_only=True, mmap=True, map_location="cpu")
    except _FOREIGN as error:
        raise ValueError(f"{path}: refused, nothing in it was executed: {_reason(error)}") from None


def check_archive(path: Path) -> None:
    """Raises as `opened` unless the file is a zip archive whose every checksum matches."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, want a checkpoint file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError as error:
        raise OSError(f"{path}: cannot be read ({error})") from None
    except _DAMAGED as error:
        raise ValueError(
            f"{path}: not a whole checkpoint ({error}); it is truncated or another kind of file"
        ) from None
    if damaged:
        raise ValueError(f"{path}: damaged, the checksum of {damaged} does not match")


def _reason(error: BaseException) -> str:
    """What a refused file asks for, without torch's advice to let it."""
    text = " ".join(str(error).split())
    if asked := re.search(r"GLOBAL ([\w.]+)", text):
        older = "; `twotower convert` reads an older system's" if asked[1].startswith("numpy.") else ""
        return f"it asks for {asked[1]}{older}"
    inner = re.search(r"WeightsUnpickler error: (.*?)(?: Check the documentation|$)", text)
    return (inner[1] if inner else text)[:200] or type(error).__name__


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


def prove(path: Path, retriever: Retriever, content: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the likely cause, where the probe no longer gives its stored vectors."""
    for side, off in probe_distances(path, retriever, content["probe"]).items():
        if not (off <= TOLERANCE).all():
            raise ValueError(
                f"{path}: its probe {side} come out {off.max():.2g} from the stored vectors, want "
                f"{TOLERANCE:g}; {causes.likely(content, off <= TOLERANCE)}"
            )


def probe_distances(
    path: Path, retriever: Retriever, probe: Mapping[str, Any]
) -> dict[str, NDArray[np.float32]]:
    """How far each probe text's vector is from the stored one, its largest coordinate, (texts,) by side.

    Raises ValueError where the probe is not texts and vectors of that width.
    """
    off: dict[str, NDArray[np.float32]] = {}
    try:
        for side, encode in (("queries", retriever.encode_queries), ("docs", retriever.encode_docs)):
            off[side] = np.abs(encode(probe["texts"]) - probe[side].numpy()).max(axis=1)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: its probe cannot be read: {error}") from None
    return off
