"""What a checkpoint says about its run, in plain types: config, history, metrics, data, cost, environment."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

import twotower
from twotower import knobs
from twotower.config import Train
from twotower.evaluation.evaluate import Result
from twotower.model.sidecar import BEST, Run, sidecar_of
from twotower.training import group
from twotower.training.history import best
from twotower.training.measuring import peaks
from twotower.training.session import Progress
from twotower.training.setup import Setup

_TRAINING = ("train_", "learning_rate", "temperature", "seconds")
_PACKAGES = ("torch", "numpy", "polars", "hydra-core", "bm25s", "faiss-cpu", "faiss-gpu", "wandb")


@dataclass(frozen=True, eq=False)
class Kept:
    """Weights to be kept: of which kind, after which row of the history, and what they are worth."""

    kind: str
    """`best`, `last` or `epoch<n>`, as in the file's name."""
    place: int
    result: Result

    @staticmethod
    def best(progress: Progress, select: str, result: Result) -> "Kept":
        """The best weights so far, whose result is `result`."""
        return Kept(BEST, best(progress.history, select) or 0, result)


def record(
    cfg: Train, setup: Setup, run: Run, progress: Progress, kept: Kept, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything of a checkpoint but the model; `more` is added."""
    chosen = progress.history[best(progress.history, cfg.select) or 0]
    names = kept.result.metrics
    untrained = {name: progress.history[0][name] for name in names}
    return {
        "run": run.name,
        "created": run.began.isoformat(timespec="milliseconds"),
        "kept": kept.kind,
        "history_file": sidecar_of(run.file(kept.kind)).name,
        "training_stats": {
            "config": knobs.plain(cfg),
            "training_stats": [_part(row, training=True) for row in progress.history[1:]],
            "evaluation_stats": [_part(row, training=False) for row in progress.history],
            "best_metrics": {name: chosen[name] for name in names},
            "best_epoch": chosen["epoch"],
        },
        "epoch": progress.history[kept.place]["epoch"],
        "stopped": progress.stopped,
        "changes": list(progress.changes),
        "eval_results": {**names, "queries": kept.result.queries, "judged": kept.result.judged},
        "floors": {"untrained": untrained},
        "protocol": setup.protocol.to_dict(),
        "data": _data(cfg, setup),
        "cost": _cost(setup, progress),
        "environment": environment(),
        **more,
    }


def _part(row: Mapping[str, Any], *, training: bool) -> dict[str, Any]:
    """A history row's training half or its evaluation half."""
    return {
        name: value
        for name, value in row.items()
        if name == "epoch" or name.startswith(_TRAINING) == training
    }


def _data(cfg: Train, setup: Setup) -> dict[str, Any]:
    """Names and content hashes, and how to read the collection again."""
    collection, judged = setup.collection, setup.judged
    return {
        "name": collection.name,
        "source": dict(collection.source),
        "hash": setup.read_hash,
        "corpus_hash": collection.corpus_hash,
        "documents": len(collection.doc_ids),
        "queries": {split: len(collection.split(split)) for split in collection.splits},
        "held_out_dev": {"share": cfg.data.dev_share, "seed": cfg.seed} if setup.held_out else None,
        "judgements": {"path": judged.path, "sha256": judged.sha256} if judged else None,
        "vectors": {"source": cfg.vectors, "coverage": setup.words.coverage},
    }


def _cost(setup: Setup, progress: Progress) -> dict[str, Any]:
    parameters = list(setup.retriever.two_tower.parameters())
    return {
        "seconds": round(progress.seconds, 3),
        "resume_seconds": round(progress.saving, 3),
        "pairs_per_second": round(progress.pairs / progress.seconds, 1) if progress.seconds else 0.0,
        "megabytes": round(sum(p.numel() * p.element_size() for p in parameters) / 1e6, 3),
        "parameters": sum(p.numel() for p in parameters),
        **peaks(),
    }


def environment() -> dict[str, Any]:
    """Versions, device, and the commit of the source tree, if it runs from one."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "twotower": twotower.__version__,
        "python": platform.python_version(),
        **{name: version for name, version in versions.items() if version},
        "platform": f"{sys.platform} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "processes": group.processes(),
        **_commit(),
    }


@cache  # 3 ms each, which short trials of a sweep feel
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache  # the run's code is what was there when it was imported, and git takes a while
def _commit() -> dict[str, Any]:
    """Commit and dirty flag; both None outside a source tree of this project."""
    tree = Path(twotower.__file__).resolve().parents[1]
    commit = status = None
    if (tree / ".git").exists():
        commit = _git(tree, "rev-parse", "HEAD")
        status = _git(tree, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(tree: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def per_query(setup: Setup, result: Result) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of the per-query file: the ids of the judged queries and each metric's values."""
    ids = [setup.collection.query_ids[row] for row in result.query_rows.tolist()]
    return {"query_ids": np.array(ids, dtype=np.str_), **result.per_query}
