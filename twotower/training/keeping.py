"""Evaluations that are not made twice: found by content, else measured, completed, and kept.

    subject, task -> kept before? -> read it back             "kept: ..."
                     no           -> measure -> intervals
                  -> what is asked beside and not in it: leak, slices -> <checkpoint_dir>/evaluations/

All evaluations of a folder of checkpoints lie in that folder, wherever a checkpoint itself came from: there
the leaderboard looks.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from twotower import show
from twotower.evaluation import geometry, results, seen, slices
from twotower.evaluation.evaluate import Result
from twotower.evaluation.metrics import Ranking
from twotower.evaluation.results import Measured, PerQuery
from twotower.evaluation.statistics import intervals
from twotower.training import measuring
from twotower.training.measuring import Task
from twotower.training.subjects import Checkpoint, Subject


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of each evaluation beside its metrics, and where it is kept."""

    folder: Path
    """Of checkpoints."""
    fresh: bool = False
    """Measure anew what was kept."""
    lists: bool = False
    """The ranked lists themselves, which are not kept."""
    leaks: bool = False
    slices: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A subject's evaluation, made now or read back."""

    subject: Subject
    measured: Measured
    per_query: PerQuery
    file: Path | None = None
    """Where it is kept; None where that could not be written."""
    reused: bool = False
    """Whether it was not measured now."""
    ranking: Ranking | None = None
    """None where it was read back."""
    remarks: Sequence[str] = field(default_factory=tuple)
    """What the reader of the numbers should know, a line each."""


def evaluation(subject: Subject, task: Task, wish: Wish) -> Evaluation:
    """Measure a subject on a task, unless that is kept; keep what is new.

    Raises ValueError, OSError for a subject that cannot be read; a folder that cannot be written is a remark.
    """
    folder, protocol = wish.folder / results.FOLDER, subject.protocol(task)
    found = None if wish.fresh else results.find(folder, subject.identity, protocol, list(task.ks))
    if found is None or wish.lists:
        made = _measured(subject, task, wish.folder)
        if found is not None:  # what was asked of it before holds still
            made = replace(made, measured=replace(made.measured, slices=found[1].slices))
    else:
        path, measured, values = found
        about = replace(measured, name=subject.name, checkpoint=_checkpoint(subject, wish.folder))
        made = Evaluation(subject, about, values, path, reused=True)
    whole = _commented(_completed(made, task, wish), task)
    if whole.reused and found is not None and whole.measured == found[1]:
        return whole
    return _kept(whole, folder)


def _measured(subject: Subject, task: Task, folder: Path) -> Evaluation:
    """Measured now."""
    measurement, remarks = subject.measure(task)
    result = measurement.result
    measured = Measured(
        name=subject.name,
        kind=subject.kind,
        identity=subject.identity,
        protocol=subject.protocol(task),
        metrics={**result.metrics, "queries": result.queries, "judged": result.judged},
        intervals=intervals(result.per_query, np.random.default_rng(0)),
        geometry=measurement.geometry,
        cost=measurement.cost,
        checkpoint=_checkpoint(subject, folder),
        created=datetime.now().isoformat(timespec="seconds"),
    )
    values = PerQuery(task.ids(result.query_rows), result.per_query)
    return Evaluation(subject, measured, values, ranking=result.ranking, remarks=remarks)


def _checkpoint(subject: Subject, folder: Path) -> str:
    """A checkpoint's name within `folder`, its whole path if it lies elsewhere; empty for other subjects."""
    if not isinstance(subject, Checkpoint):
        return ""
    path = Path(os.path.abspath(subject.path))
    return path.name if path.parent == Path(os.path.abspath(folder)) else str(path)


def _completed(made: Evaluation, task: Task, wish: Wish) -> Evaluation:
    """With what is asked beside the metrics and was not measured with them: it needs no ranking."""
    if wish.leaks and not made.measured.leak and isinstance(made.subject, Checkpoint):
        made = _with_leak(made, made.subject, task)
    lacking = [name for name in wish.slices if name not in made.measured.slices]
    return _with_slices(made, task, lacking) if lacking else made


def _with_leak(made: Evaluation, subject: Checkpoint, task: Task) -> Evaluation:
    """With what training has seen of the split; a remark where its collection cannot be read again."""
    content = subject.content
    training = seen.Training.of(content, lambda: measuring.own_collection(task, content))
    if training is None:
        return _remarked(made, "what training has seen is not known: the checkpoint does not say")
    asked = task.asked_by(content["model_config"])
    try:
        found = seen.between(training, asked, task.cache_dir)
    except (ValueError, OSError) as error:
        return _remarked(made, f"what training has seen is not known: {show.one_line(error)}")
    leaky, leak = seen.apart(found, asked, _result(made, task))
    return replace(
        made, measured=replace(made.measured, leak=leak), per_query=replace(made.per_query, leaky=leaky)
    )


def _commented(made: Evaluation, task: Task) -> Evaluation:
    """With what is to be said of its geometry and of what training has seen."""
    metric = f"mrr_{10 if 10 in task.ks else max(task.ks)}"
    for said in (geometry.warning(made.measured.geometry), seen.remark(made.measured.leak, metric)):
        made = _remarked(made, said) if said else made
    return made


def _remarked(made: Evaluation, remark: str) -> Evaluation:
    return replace(made, remarks=[*made.remarks, f"{made.subject.name}: {remark}"])


def _result(made: Evaluation, task: Task) -> Result:
    """The evaluation as it was when it was made, but for the ranking."""
    metrics = {name: value for name, value in made.measured.metrics.items() if name in made.per_query.values}
    rows = task.collection.query_rows
    return Result(
        metrics=metrics,
        per_query=dict(made.per_query.values),
        query_rows=np.array([rows[query] for query in made.per_query.ids.tolist()], dtype=np.int64),
        queries=int(made.measured.metrics["queries"]),
        judged=int(made.measured.metrics["judged"]),
    )


def _with_slices(made: Evaluation, task: Task, lacking: Sequence[str]) -> Evaluation:
    """With these slices too; unknown words are those of the model's vocabulary."""
    subject, vocab = made.subject, None
    shape = subject.content["model_config"] if isinstance(subject, Checkpoint) else measuring.PLAIN
    if "unknown" in lacking and isinstance(subject, Checkpoint):
        vocab = subject.load().retriever.vocab
    found = slices.of(lacking, task.asked_by(shape), _result(made, task), vocab, np.random.default_rng(0))
    return replace(made, measured=replace(made.measured, slices={**made.measured.slices, **found}))


def _kept(made: Evaluation, folder: Path) -> Evaluation:
    try:
        return replace(made, file=results.write(folder, made.measured, made.per_query))
    except OSError as error:
        return replace(made, file=None, remarks=[*made.remarks, f"not kept: {show.one_line(error)}"])
