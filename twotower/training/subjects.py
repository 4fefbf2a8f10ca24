"""What can be evaluated: a checkpoint, another system's run file, vectors made elsewhere.

    first-a1b2c3       Checkpoint      identity: SHA-256 of its file, as its sidecar says
    run=bm25.txt       RunFile         of the file
    vectors=openai/    VectorFolder    of the vectors and their ids

A subject says what it is before anything is encoded, so that a kept evaluation of it is found by content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from twotower.evaluation import evaluate, given, trec
from twotower.evaluation.protocol import Protocol
from twotower.model import checkpoint, sidecar
from twotower.model.checkpoint import Loaded
from twotower.training import measuring
from twotower.training.measuring import Measurement, Task, Vectors

SHAPE = ("pattern", "max_query_words", "max_doc_words")
"""Entries of a `model_config` that say how the texts are read."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model of ours; nothing but its sidecar is read until it is measured."""

    path: Path
    content: Mapping[str, Any]
    """All that the file says but tensors and vocabulary."""
    identity: str
    device: torch.device | str

    @staticmethod
    def of(path: Path, device: torch.device | str) -> "Checkpoint":
        """From its sidecar, or where there is none from the file; nothing is written.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the sidecar or the file is damaged.
        """
        beside = sidecar.sidecar_of(path)
        if beside.is_file():
            content: Mapping[str, Any] = sidecar.read(path)
        else:
            content = checkpoint.load(path).content
        file, shape = content.get("file") or {}, content.get("model_config") or {}
        if lacking := [key for key in SHAPE if key not in shape]:
            raise ValueError(f"{beside}: no {lacking[0]} in its model_config; delete it and it is rebuilt")
        return Checkpoint(path, content, str(file.get("sha256") or sidecar.sha256(path)), device)

    @property
    def name(self) -> str:
        """The run's; further weights than its best add which they are."""
        run, weights = str(self.content.get("run", self.path.stem)), sidecar.kind_of(self.path)
        return run if weights == sidecar.BEST else f"{run} {weights}"

    @property
    def kind(self) -> str:
        return "checkpoint"

    def protocol(self, task: Task) -> Protocol:
        """The task's, with how this model reads the texts."""
        return task.read_by(self.content["model_config"])

    def load(self) -> Loaded:
        """The model; ValueError for a damaged file."""
        return checkpoint.load(self.path, self.device)

    def measure(self, task: Task) -> tuple[Measurement, Sequence[str]]:
        """Load, encode, rank; ValueError for a damaged file."""
        return measuring.measure(self.load(), task, costs=True), ()


@dataclass(frozen=True, eq=False)
class RunFile:
    """Another system's lists and scores, in TREC's form."""

    path: Path
    name: str

    @property
    def kind(self) -> str:
        return "run"

    @property
    def identity(self) -> str:
        """SHA-256 of the file as it lies there."""
        return sidecar.sha256(self.path)

    def protocol(self, task: Task) -> Protocol:
        """The task's; how the other system read the texts is not known."""
        return task.protocol

    def measure(self, task: Task) -> tuple[Measurement, Sequence[str]]:
        """Score the lists as they stand, and remarks on them; ValueError for a faulty file, with its line."""
        depth = evaluate.check(task.judgements, ks=task.ks, min_grade=task.min_grade)
        ranked, remarks = trec.read_run(self.path, task.collection, task.split, depth=depth, lists=task.lists)
        result = evaluate.summarise(ranked, task.judgements, ks=task.ks, min_grade=task.min_grade)
        return Measurement(result), remarks


@dataclass(frozen=True, eq=False)
class VectorFolder:
    """Vectors of a model that is not ours, with their ids."""

    name: str
    read: given.Given

    @property
    def kind(self) -> str:
        return "vectors"

    @property
    def identity(self) -> str:
        """SHA-256 of the vectors and their ids."""
        return self.read.identity

    def protocol(self, task: Task) -> Protocol:
        """The task's; how the model read the texts is not known."""
        return task.protocol

    def measure(self, task: Task) -> tuple[Measurement, Sequence[str]]:
        """Rank and score them."""
        vectors = Vectors(self.read.queries, self.read.docs)
        return measuring.measure_vectors(vectors, task), self.read.remarks


Subject = Checkpoint | RunFile | VectorFolder
