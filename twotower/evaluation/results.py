"""Evaluations kept on disk: what a model, a floor or a run file scored under one protocol, query by query.

    checkpoints/evaluations/first-a1b2c3-5f0c1a2b9d3e-8d0f2c11.json     name, protocol key, content key
    checkpoints/evaluations/first-a1b2c3-5f0c1a2b9d3e-8d0f2c11.npz      query_ids, one array a metric, leaky

Content decides, not names: the last eight digits are over what was evaluated (a checkpoint's SHA-256), the
protocol, and the cut-offs. Floors are kept in the same form under the cache folder.
"""

import hashlib
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation.metrics import Floats
from twotower.evaluation.protocol import Protocol
from twotower.model.sidecar import write_aside

FOLDER = "evaluations"
"""Within a folder of checkpoints."""
FORMAT = 1
KINDS = ("checkpoint", "floor", "run", "vectors")
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError),
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError),
)
"""What reading an archive of arrays raises where a bit of it was changed."""
SAME = 1e-6
"""A mean that lies farther from its metric is of another evaluation."""
LEAKY = "leaky"
"""The array of a per-query file that marks the queries that training has seen."""


@dataclass(frozen=True, eq=False)
class PerQuery:
    """The values that the means are means of."""

    ids: NDArray[np.str_]
    """Ids of the judged queries, (Q,)."""
    values: Mapping[str, Floats]
    """By metric, (Q,) each."""
    leaky: NDArray[np.bool_] | None = None
    """Which queries training has seen, or their answers, (Q,); None where nobody looked."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One system under one protocol."""

    name: str
    """The run's name, or the floor's or the file's."""
    kind: str
    """`checkpoint`, `floor`, `run` (a TREC run file) or `vectors` (vectors made elsewhere)."""
    identity: str
    """SHA-256 of what was evaluated: a checkpoint's file, a run file, the vectors."""
    protocol: Protocol
    metrics: Mapping[str, float]
    """Means, and the counts `queries` and `judged`."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % intervals of the means."""
    geometry: Mapping[str, float] = field(default_factory=dict)
    """Of the embedding space, where there is one (`twotower.evaluation.geometry`)."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Of evaluating: docs_per_second, query_p50_ms, query_p95_ms, index_mb, peak_mb, gpu_peak_mb."""
    leak: Mapping[str, Any] = field(default_factory=dict)
    """What training has seen of the split; empty where nobody looked (`twotower.evaluation.seen`)."""
    slices: Mapping[str, Any] = field(default_factory=dict)
    """Metrics by slice (`twotower.evaluation.slices`)."""
    checkpoint: str = ""
    """File name of the checkpoint, within the folder of checkpoints."""
    created: str = ""
    """ISO 8601 time of the evaluation."""

    @property
    def ks(self) -> list[int]:
        """The cut-offs, ascending."""
        cuts = (name.rpartition("_")[2] for name in self.metrics if name.startswith("mrr_"))
        return sorted(int(cut) for cut in cuts)


def key_of(identity: str, protocol: Protocol, ks: list[int]) -> str:
    """Eight hexadecimal digits over what is evaluated, how it reads the texts, and the cut-offs."""
    reads = [protocol.tokenizer, protocol.max_query_words, protocol.max_doc_words]
    content = json.dumps([identity, protocol.key, reads, sorted(set(ks))])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def stem_of(name: str) -> str:
    """A system's name as part of a file's.

    >>> stem_of("first-a1b2c3 epoch3"), stem_of("../x"), stem_of("")
    ('first-a1b2c3_epoch3', '_x', 'unnamed')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".")[:80] or "unnamed"


def file_of(folder: Path, measured: Measured) -> Path:
    """Where the evaluation's JSON goes; its per-query values lie beside it."""
    key = key_of(measured.identity, measured.protocol, measured.ks)
    return folder / f"{stem_of(measured.name)}-{measured.protocol.key}-{key}.json"


def write(folder: Path, measured: Measured, per_query: PerQuery) -> Path:
    """Keep an evaluation in `folder`, which is made; the values first, so that no JSON stands alone.

    One of the same content under another name is replaced: a system is one row, whatever it is called.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = file_of(folder, measured)
    arrays: dict[str, NDArray[Any]] = {"query_ids": per_query.ids, **per_query.values}
    if per_query.leaky is not None:
        arrays[LEAKY] = per_query.leaky
    write_aside(path.with_suffix(".npz"), lambda out: np.savez(out, **arrays))  # type: ignore[arg-type]
    content = {**asdict(measured), "format": FORMAT, "protocol": measured.protocol.to_dict()}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_aside(path, lambda out: out.write(text.encode()))
    for other in _of_content(folder, measured.identity, measured.protocol, measured.ks):
        if other != path:
            other.unlink(missing_ok=True)
            other.with_suffix(".npz").unlink(missing_ok=True)
    return path


def _of_content(folder: Path, identity: str, protocol: Protocol, ks: list[int]) -> list[Path]:
    return sorted(folder.glob(f"*-{protocol.key}-{key_of(identity, protocol, ks)}.json"))


def read(path: Path) -> Measured:
    """An evaluation from its JSON.

    Raises ValueError, naming the file, where it is not whole.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _measured(content)
    except (ValueError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path}: not a kept evaluation ({said}); delete it and evaluate again") from None


def _measured(content: Any) -> Measured:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"format {found}, want {FORMAT}")
    values = {name: value for name, value in content.items() if name != "format"}
    measured = replace(Measured(**values), protocol=Protocol.from_dict(values["protocol"]))
    if measured.kind not in KINDS:
        raise ValueError(f"kind {measured.kind!r}, want one of {', '.join(KINDS)}")
    for name, value in measured.metrics.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}, want a number")
    ends = {name: (float(low), float(high)) for name, (low, high) in measured.intervals.items()}
    return replace(measured, intervals=ends)


def per_query(path: Path, metrics: list[str] | None = None) -> PerQuery:
    """The per-query values beside a JSON, or in a checkpoint's own file; of `metrics` alone, if given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or lacks a metric.
    """
    path = path.with_suffix(".npz")
    try:
        # opened here: NumPy leaves a file open that turns out to be no archive
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [name for name in file.files if name not in ("query_ids", LEAKY)]
            values = {name: file[name] for name in (names if metrics is None else metrics)}
            return PerQuery(file["query_ids"], values, file[LEAKY] if LEAKY in file.files else None)
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path}: no per-query values ({said}); evaluate again") from None


def listing(folder: Path) -> tuple[list[tuple[Path, Measured]], list[tuple[str, str]]]:
    """The kept evaluations of a folder by name, and (file name, why) for those that cannot be read."""
    kept: list[tuple[Path, Measured]] = []
    problems: list[tuple[str, str]] = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith(".") or path.name.endswith(".diagnosis.json"):
            continue
        try:
            kept.append((path, read(path)))
        except (ValueError, OSError) as error:
            problems.append((path.name, " ".join(str(error).split())))
    return kept, problems


def find(
    folder: Path, identity: str, protocol: Protocol, ks: list[int]
) -> tuple[Path, Measured, PerQuery] | None:
    """The kept evaluation of exactly this, if there is a whole one; names play no part."""
    for path in _of_content(folder, identity, protocol, ks):
        try:
            found, values = read(path), per_query(path)
            _check(found, values, identity)
        except (ValueError, OSError):
            continue  # a damaged one is made anew
        return path, found, values
    return None


def _check(measured: Measured, values: PerQuery, identity: str) -> None:
    """Raises ValueError where the two are not of one evaluation, or it is of something else."""
    if measured.identity != identity:
        raise ValueError(f"identity {measured.identity[:12]}, want {identity[:12]}")
    means = {name: float(np.mean(value)) for name, value in values.values.items()}
    wrong = [
        name for name, mean in means.items() if not abs(measured.metrics.get(name, np.nan) - mean) < SAME
    ]
    arrays = [*values.values.values(), *([] if values.leaky is None else [values.leaky])]
    if wrong or not means or any(value.shape != (len(values.ids),) for value in arrays):
        raise ValueError(f"per-query values of another evaluation: {', '.join(wrong) or 'their number'}")
