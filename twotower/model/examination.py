"""What a checkpoint holds, and whether each thing that can be checked about it is as it should be.

    archive  sidecar  content  format  keys  vocabulary  storage  weights  shapes  probe

A check that needs what an earlier one did not find is left out: a file that cannot be opened has no shapes.
Nothing is written: a missing sidecar is reported and stays missing.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from twotower.model import causes, checkpoint, sidecar
from twotower.model.retriever import Retriever

Content = dict[str, Any]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Check:
    """One check and how it went."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, eq=False)
class Examination:
    """All checks of one file."""

    path: Path
    holds: Mapping[str, Any]
    """What the file says, in plain types; empty where it cannot be opened."""
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        """The checks that did not go well."""
        return [check for check in self.checks if not check.ok]


@dataclass(frozen=True)
class Leftover:
    """A file of a folder that belongs to no whole checkpoint."""

    file: str
    what: str


class _Notes:
    """The checks of one file, as they are made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checks: list[Check] = []

    def hold(self, name: str, make: Callable[[], Found], fine: str = "") -> Found | None:
        """What `make` returns, or None where it raises.

        The check's detail is `fine`, or without it the text that was returned, or the error's line.
        """
        try:
            found = make()
        except (ValueError, OSError) as error:
            text = " ".join(str(error).split()).removeprefix(f"{self.path}: ")
            self.checks.append(Check(name, False, text))
            return None
        self.checks.append(Check(name, True, fine or str(found)))
        return found


def examine(path: Path) -> Examination:
    """Check one file; FileNotFoundError or IsADirectoryError where there is none."""
    if not path.is_file():
        checkpoint.check_archive(path)
    notes = _Notes(path)
    content = _content(notes)
    if content is None:
        return Examination(path, {}, notes.checks)
    for name, problem, fine in _STATEMENTS:
        notes.hold(name, partial(_none, problem, content, fine))
    retriever = notes.hold("shapes", lambda: checkpoint.build(path, content), "the tensors fit model_config")
    if retriever is not None:
        notes.hold("probe", lambda: _probe(path, retriever, content))
    return Examination(path, _holds(path, content), notes.checks)


def _content(notes: _Notes) -> Content | None:
    """The file's content, if it is whole and of our format."""
    path = notes.path
    whole = notes.hold("archive", lambda: _archive(path))
    beside = notes.hold("sidecar", lambda: _sidecar(path), "its SHA-256 is the file's")
    content = notes.hold("content", lambda: _opened(path), "tensors and plain types alone") if whole else None
    if content is None or not notes.hold("format", lambda: _format(path, content)):
        return None
    if not notes.hold("keys", lambda: _keys(content)):
        return None
    if beside is not None:
        notes.hold("record", lambda: _record(content, beside))
    return content


def _archive(path: Path) -> str:
    checkpoint.check_archive(path)
    return "every checksum matches"


def _opened(path: Path) -> Content:
    content: Content = checkpoint.opened(path)
    return content


def _none(problem: Callable[[Content], str], content: Content, fine: str) -> str:
    if what := problem(content):
        raise ValueError(what)
    return fine


def _sidecar(path: Path) -> Content:
    """The sidecar's content, its SHA-256 compared; it is not rebuilt."""
    beside = sidecar.sidecar_of(path)
    if not beside.is_file():
        raise ValueError(
            f"{beside.name} is missing; `twotower leaderboard` rebuilds it from a whole checkpoint"
        )
    return sidecar.verified(path, sidecar.sha256(path))


def _format(path: Path, content: Any) -> str:
    checkpoint.check_format(path, content)
    return str(checkpoint.FORMAT)


def _keys(content: Content) -> str:
    kinds = {"model_state_dict": dict, "word_to_index": dict, "index_to_word": list, "model_config": dict}
    for key in checkpoint.KEYS:
        if not isinstance(content.get(key), kinds.get(key, object)) or content.get(key) is None:
            raise ValueError(
                f"{key} is {type(content.get(key)).__name__}, want {kinds.get(key, dict).__name__}"
            )
    if not all(isinstance(one, torch.Tensor) for one in content["model_state_dict"].values()):
        raise ValueError("model_state_dict holds something else than tensors")
    return ", ".join(map(str, content))


def _record(content: Content, beside: Content) -> str:
    """Raises ValueError where the sidecar says something else than the file."""
    own = json.loads(json.dumps({key: content[key] for key in content if key not in checkpoint.TENSORS}))
    said = {key: value for key, value in beside.items() if key != "file"}
    if different := sorted(key for key in own.keys() | said.keys() if own.get(key) != said.get(key)):
        raise ValueError(f"the sidecar says something else of {', '.join(different)} than the file")
    return "the sidecar says what the file says"


def _storage(content: Content) -> str:
    table, matrix = content["model_state_dict"].get("words.vectors"), content["embedding_matrix"]
    if table is None:
        return "model_state_dict has no words.vectors"
    if table.untyped_storage().data_ptr() != matrix.untyped_storage().data_ptr():
        return "embedding_matrix is stored apart from words.vectors"
    return ""


def _probe(path: Path, retriever: Retriever, content: Content) -> str:
    checkpoint.prove(path, retriever, content)
    return f"{len(content['probe']['texts'])} texts, as queries and documents, to {checkpoint.TOLERANCE:g}"


_STATEMENTS: tuple[tuple[str, Callable[[Content], str], str], ...] = (
    ("vocabulary", causes.vocabulary, "word_to_index and index_to_word agree"),
    ("storage", _storage, "embedding_matrix is the word table of model_state_dict"),
    ("weights", causes.not_finite, "every number is finite"),
)
"""Name, what is wrong (empty: nothing), what is said when nothing is."""


def _holds(path: Path, content: Content) -> dict[str, Any]:
    """What a person wants to know of a file, in the order in which it is shown."""
    kept = ("run", "created", "epoch", "model_config", "eval_results", "protocol", "data", "cost")
    tensors = {name: [*tensor.shape] for name, tensor in content["model_state_dict"].items()}
    return {
        "bytes": path.stat().st_size,
        "keys": [*content],
        **{key: content.get(key) for key in (*kept, "environment", "converted")},
        "tensors": tensors,
        "parameters": sum(tensor.numel() for tensor in content["model_state_dict"].values()),
        "words": len(content["index_to_word"]),
        "changed_versions": causes.changed_versions(content.get("environment") or {}),
    }


def leftovers(folder: Path) -> list[Leftover]:
    """Partial files, sidecars without checkpoint and the reverse, runs that were not brought to their end."""
    return sorted(_leftovers(folder), key=lambda one: one.file)


def _leftovers(folder: Path) -> Iterator[Leftover]:
    files = sidecar.checkpoints(folder)
    for path in folder.glob(f".*{sidecar.PARTIAL}"):
        hours = (time.time() - path.stat().st_mtime) / 3600
        yield Leftover(
            path.name, f"half written {hours:.1f} hours ago; deleted after a day by the next write"
        )
    for path in files:
        if not sidecar.sidecar_of(path).is_file():
            yield Leftover(path.name, f"has no sidecar {sidecar.sidecar_of(path).name}")
    known = {place(path).name for path in files for place in (sidecar.sidecar_of, sidecar.per_query_of)}
    for pattern, what in (("training_history_*.json", "a sidecar"), ("per_query_*.npz", "per-query values")):
        for path in folder.glob(pattern):
            if path.name not in known:
                yield Leftover(path.name, f"{what} without checkpoint")
    for path in (folder / "runs").glob("*/resume.pt"):
        name = path.parent.name
        yield Leftover(
            f"runs/{name}/resume.pt", f"a run that goes on, or was stopped; twotower train resume={name}"
        )
