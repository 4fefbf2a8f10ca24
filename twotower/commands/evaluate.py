"""`twotower evaluate`: any checkpoints, a run file and vectors on one split of one collection."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from twotower import show
from twotower.config import Candidates, Evaluate, Stored, TableFormat
from twotower.data import fields, stamps
from twotower.data.collection import Collection, Judgements
from twotower.evaluation import candidates, ceiling, evaluate, files, given, grids, names, trec
from twotower.evaluation.candidates import Lists
from twotower.evaluation.results import Measured
from twotower.training import beside, keeping, machine, measuring
from twotower.training.keeping import Evaluation, Wish
from twotower.training.measuring import Task
from twotower.training.setup import fitted
from twotower.training.subjects import Checkpoint, RunFile, Subject, VectorFolder

ALL = "@all"
"""Every checkpoint of the folder."""
KNOWN = ("length", "first_word", "unknown")
"""Slicings that every collection has."""


@dataclass(eq=False)
class Round:
    """What one call is to evaluate, and what came of it."""

    task: Task
    subjects: Sequence[Subject]
    several: bool
    """Whether it was asked for several: the shape of the JSON follows the question, not its outcome."""
    remarks: list[str]
    """On the task, a line each."""
    problems: list[str]
    """What could not be evaluated and why, a line each."""
    made: list[Evaluation] = field(default_factory=list)
    floors: dict[str, Measured] = field(default_factory=dict)


def run(cfg: Evaluate) -> int:
    """Print the metrics with 95 % intervals over queries, beside the floors; 1 if a checkpoint is broken."""
    _check(cfg)
    asked = _asked(cfg)
    _evaluate(cfg, asked)
    if asked.made:
        _completed(cfg, asked)
    _print(cfg, asked)
    return 1 if asked.problems else 0


def _check(cfg: Evaluate) -> None:
    """Raises ValueError for knobs that do not go together."""
    if cfg.candidates_file and cfg.candidates is not Candidates.own:
        raise ValueError(
            f"candidates_file: got it with candidates={cfg.candidates.name}, want candidates=own"
        )
    if cfg.name and bool(cfg.run) == bool(cfg.vectors):
        raise ValueError(f"name: got {cfg.name!r}, want it with either run= or vectors=, whose row it names")
    if cfg.ceiling:
        ceiling.find(cfg.ceiling)
    if not _checkpoints(cfg) and isinstance(cfg.data, Stored):
        raise ValueError(
            f"data=stored: neither run= nor vectors= says what it was made from, want data={stamps.KINDS}, "
            "or a checkpoint beside it"
        )


def _checkpoints(cfg: Evaluate) -> list[str]:
    """Names of checkpoints; `@best` where nothing is named."""
    return cfg.checkpoint or ([] if cfg.run or cfg.vectors else ["@best"])


def _asked(cfg: Evaluate) -> Round:
    """Find what is to be evaluated, read the collection, and settle the task that all share."""
    named = _checkpoints(cfg)
    several = ALL in named or len(named) + bool(cfg.run) + bool(cfg.vectors) > 1
    found, problems = _found(cfg, named, several)
    content = found[0].content if found else {}
    collection = measuring.collection_of(cfg.data, content, Path(cfg.cache_dir))
    remarks = list(collection.remarks)
    if len(found) > 1 and isinstance(cfg.data, Stored):
        remarks.append(f"data=stored: all are evaluated on {collection.name}, that of {found[0].name}")
    judgements = collection.judgements(cfg.split)
    _check_slices(cfg, collection)
    lists, more = lists_of(cfg, collection, judgements)
    task = Task(
        collection=collection,
        split=cfg.split,
        ks=fitted(cfg.k, "mrr_10", len(collection.doc_ids)),
        min_grade=cfg.min_grade,
        cache_dir=Path(cfg.cache_dir),
        lists=lists,
        chunk=cfg.chunk,
    )
    evaluate.check(judgements, ks=task.ks, min_grade=task.min_grade)
    subjects = [*found, *_others(cfg, task)]
    return Round(task, subjects, several, [*remarks, *more], problems)


def _check_slices(cfg: Evaluate, collection: Collection) -> None:
    """Raises ValueError for a slicing that there is not, before anything is encoded."""
    for name in cfg.slices:
        if name in KNOWN:
            continue
        try:
            fields.of_queries(collection, name)
        except ValueError as error:
            raise ValueError(f"slices: {error}; want {', '.join(KNOWN)} or one of those") from None


def _found(cfg: Evaluate, named: Sequence[str], several: bool) -> tuple[list[Checkpoint], list[str]]:
    """The checkpoints that are named, each once, and what of `@all` cannot be read.

    Raises FileNotFoundError, ValueError for a name of none, and where the only one is damaged.
    """
    folder, device = Path(cfg.checkpoint_dir), machine.device_of(cfg.device)
    paths: dict[Path, None] = {}
    problems: list[str] = []
    for name in named:
        if name == ALL:
            listing = names.listing(folder)
            paths |= dict.fromkeys(entry.path for entry in listing.entries)
            problems += [f"{file}: {why}" for file, why in listing.problems]
        else:
            source = stamps.source_of(cfg.data)
            kind = cfg.candidates.name
            paths[names.find(name, folder, source=source, split=cfg.split, candidates=kind)] = None
    found: list[Checkpoint] = []
    for path in paths:
        try:
            found.append(Checkpoint.of(path, device))
        except (ValueError, OSError) as error:
            if not several:
                raise
            problems.append(show.one_line(error))
    if named and not found:
        why = "".join(f"; {problem}" for problem in problems[:3])
        raise FileNotFoundError(f"checkpoint={','.join(named)}: no checkpoint in {folder}{why}")
    return found, problems


def _others(cfg: Evaluate, task: Task) -> Iterator[Subject]:
    """The rows that are no checkpoints of ours."""
    if cfg.run:
        path = Path(cfg.run).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"run: {path}: no such file")
        yield RunFile(path, cfg.name or path.name.removesuffix(".gz").removesuffix(".txt"))
    if cfg.vectors:
        folder = Path(cfg.vectors).expanduser()
        read = given.read(folder, task.collection, task.split)
        yield VectorFolder(cfg.name or folder.resolve().name, read)


def lists_of(cfg: Evaluate, collection: Collection, judgements: Judgements) -> tuple[Lists | None, list[str]]:
    """What each query ranks under `candidates=own` (None: the corpus), and remarks on it.

    Raises ValueError for a faulty run file, and where all models would score the same.
    """
    if cfg.candidates is Candidates.full:
        return None, []
    if cfg.candidates_file:
        lists, remarks = trec.read(Path(cfg.candidates_file), collection, cfg.split)
    else:
        lists, remarks = candidates.judged(judgements), []
    where = f"{collection.name}, split {cfg.split}"
    missed = candidates.check(lists, judgements, min_grade=cfg.min_grade, where=where)
    if missed:
        relevant = int((judgements.grades >= cfg.min_grade).sum())
        remarks.append(f"{missed:,} of {relevant:,} relevant documents are in no list and count as missed")
    return lists, remarks


def _evaluate(cfg: Evaluate, asked: Round) -> None:
    """One after the other, each kept as soon as it is made; what cannot be is said, and the others go on.

    Raises ValueError, OSError where it is the only one.
    """
    wish = Wish(
        folder=Path(cfg.checkpoint_dir),
        fresh=cfg.fresh,
        lists=bool(cfg.out),
        leaks=cfg.leaks,
        slices=cfg.slices,
    )
    bar = tqdm(asked.subjects, desc="evaluating", leave=False, disable=None if asked.several else True)
    try:
        for subject in bar:
            try:
                asked.made.append(keeping.evaluation(subject, asked.task, wish))
            except (ValueError, OSError) as error:
                if not asked.several:
                    raise
                asked.problems.append(show.one_line(error))
    except KeyboardInterrupt:
        if asked.several:
            done = f"{len(asked.made)} of {len(asked.subjects)} evaluated and kept"
            show.talk(f"{done}; the same command goes on from there")
        raise


def _completed(cfg: Evaluate, asked: Round) -> None:
    """Floors, files, and what is to be said."""
    subjects = [one.subject for one in asked.made]
    if cfg.floors:
        asked.floors, remarks = beside.floors(asked.task, subjects)
        asked.remarks += remarks
    if cfg.ceiling:
        device = machine.device_of(cfg.device).type
        asked.floors |= beside.above(asked.task, subjects, cfg.ceiling, device)
    if said := candidates.remark(asked.made[0].measured.metrics, asked.task.protocol.most_candidates):
        asked.remarks.append(said)
    if cfg.out:
        asked.remarks.append(_files(cfg, asked))


def _files(cfg: Evaluate, asked: Round) -> str:
    """Write what `out=` asks for; a line that says so."""
    rows = [files.Row(one.measured.name, one.ranking, one.per_query) for one in asked.made if one.ranking]
    about = asked.task.asked_by(measuring.PLAIN)
    return files.write(Path(cfg.out).expanduser(), about, rows, bm25=cfg.floors)


def _print(cfg: Evaluate, asked: Round) -> None:
    """Results on stdout, remarks on stderr."""
    _talk(asked)
    if cfg.format is TableFormat.json:
        documents = [_json(cfg, asked, one) for one in asked.made]
        show.document({"evaluations": documents} if asked.several else documents[0])
        return
    rows = [one.measured for one in asked.made]
    tables = [grids.metrics(rows, asked.floors), *grids.slices(rows, cfg.slices)] if rows else []
    if cfg.format is not TableFormat.csv:  # there every table would be one more header to trip over
        tables += grids.aside(rows)
    for table in tables:
        show.grid(table, cfg.format.value)


def _talk(asked: Round) -> None:
    """What is to be said on the task, on each evaluation, and on those that were not made."""
    for remark in asked.remarks:
        show.talk(remark)
    for one in asked.made:
        for remark in one.remarks:
            show.talk(remark)
        if one.reused:
            show.talk(f"kept: {one.subject.name} was evaluated before, {one.file}; fresh=true does it again")
    for problem in asked.problems:
        show.talk(f"not evaluated: {problem}")


def _json(cfg: Evaluate, asked: Round, one: Evaluation) -> dict[str, Any]:
    """What `format=json` prints of a row."""
    measured, subject = one.measured, one.subject
    counts = {name: int(measured.metrics[name]) for name in ("queries", "judged")}
    return {
        "checkpoint": str(subject.path) if isinstance(subject, Checkpoint) else None,
        "name": measured.name,
        "kind": measured.kind,
        "protocol": {**measured.protocol.to_dict(), "key": measured.protocol.key},
        **counts,
        "metrics": {name: value for name, value in measured.metrics.items() if name not in counts},
        "intervals": {name: list(ends) for name, ends in measured.intervals.items()},
        "floors": {name: floor.metrics for name, floor in asked.floors.items()},
        "remarks": [*asked.remarks, *one.remarks],
        "geometry": measured.geometry,
        "cost": measured.cost,
        "leak": measured.leak,
        "slices": {name: measured.slices[name] for name in cfg.slices if name in measured.slices},
        "kept": str(one.file) if one.file else None,
        "reused": one.reused,
    }
