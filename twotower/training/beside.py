"""What stands beside the systems of a table: floors below them, a transformer above, all on the same task.

    chance   glove-50d mean   BM25   untrained        and, if asked for, a ceiling

Word vectors, tokenizer and untrained towers are those of the first checkpoint; without one, the defaults.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from twotower.config import Train
from twotower.evaluation import ceiling, floor_cache
from twotower.evaluation.results import Measured
from twotower.training import untrained
from twotower.training.measuring import PLAIN, Task
from twotower.training.subjects import Checkpoint, Subject

Beside = tuple[dict[str, Measured], list[str]]
"""The rows by name, and remarks on those left out."""


def floors(task: Task, subjects: Sequence[Subject]) -> Beside:
    """Weakest first, as a rule; all are kept under the cache folder, and OSError says where that fails."""
    content = _content(subjects)
    knobs = (content.get("training_stats") or {}).get("config") or {}
    asked = task.asked_by(content.get("model_config", PLAIN))
    found = floor_cache.floors_of(asked, task.cache_dir, vectors=knobs.get("vectors", Train.vectors))
    rows, remarks = dict(found.rows), list(found.remarks)
    if content:
        row, why = untrained.floor_of(content, asked, task.cache_dir)
        rows |= {row.name: row} if row else {}
        remarks += [why] if why else []
    return rows, remarks


def above(task: Task, subjects: Sequence[Subject], which: str, device: str) -> dict[str, Measured]:
    """The ceiling's row; raises what `ceiling.find` and loading the model raise."""
    asked = task.asked_by(_content(subjects).get("model_config", PLAIN))
    row = ceiling.score(which, asked, task.cache_dir, device)
    return {row.name: row}


def _content(subjects: Sequence[Subject]) -> Mapping[str, Any]:
    """What the first checkpoint says of itself; empty without one."""
    first = next((one for one in subjects if isinstance(one, Checkpoint)), None)
    return first.content if first else {}
