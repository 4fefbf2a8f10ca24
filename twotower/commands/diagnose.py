"""`twotower diagnose`: why the queries of a split fail, with examples, the knob and the command to try."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twotower import show
from twotower.config import Diagnose, TableFormat
from twotower.data import stamps
from twotower.evaluation import asking, geometry, names, reasons, remedies, results
from twotower.evaluation.diagnosis import Diagnosis
from twotower.evaluation.placed import Placed
from twotower.evaluation.reasons import Evidence
from twotower.evaluation.remedies import Facts
from twotower.model.checkpoint import Loaded
from twotower.model.sidecar import write_aside
from twotower.search import asked
from twotower.show import Grid
from twotower.training import machine, measuring
from twotower.training.measuring import Measurement, Task
from twotower.training.subjects import Checkpoint

WIDE = 60
"""Characters of a query or of what was measured that a table shows."""


@dataclass(frozen=True, eq=False)
class _Ranked:
    """A checkpoint on the task."""

    subject: Checkpoint
    loaded: Loaded
    measured: Measurement
    placed: Placed


def run(cfg: Diagnose) -> int:
    """Diagnose, keep the document beside the evaluations, print it."""
    if cfg.depth < cfg.k:
        raise ValueError(f"depth: got {cfg.depth}, want at least k={cfg.k}")
    subject = _subject(cfg, cfg.checkpoint)
    task = _task(cfg, subject)
    ranked = _ranked(subject, task)
    other = _subject(cfg, cfg.against) if cfg.against else None
    if other and other.identity == subject.identity:
        raise ValueError(
            f"against: {cfg.against} is the checkpoint itself, {subject.path.name}; want another"
        )
    content = document(cfg, task, ranked, _ranked(other, task) if other else None)
    _keep(cfg, content, f"{subject.path.stem}-{task.protocol.key}.diagnosis.json")
    match cfg.format:
        case TableFormat.json:
            show.document(content)
        case TableFormat.csv:
            show.grid(_causes(content), "csv")
        case _:
            _page(content, cfg.format.value)
    return 0


def document(cfg: Diagnose, task: Task, ranked: _Ranked, other: _Ranked | None) -> dict[str, Any]:
    """The whole diagnosis in plain types."""
    found = _diagnosis(cfg, task, ranked)
    facts = Facts(len(ranked.loaded.retriever.vocab), found.longest())
    protocol = ranked.subject.protocol(task)
    against = {"checkpoint": str(other.subject.path), **found.against(other.placed)} if other else None
    said = geometry.warning(ranked.measured.geometry)
    return {
        "checkpoint": str(ranked.subject.path),
        "protocol": {**protocol.to_dict(), "key": protocol.key, "title": str(protocol)},
        **found.document(lambda cause: remedies.remedy(cause, ranked.subject.content, facts)),
        "geometry": dict(ranked.measured.geometry),
        "warnings": [said] if said else [],
        "against": against,
        "asked": _asked(cfg, task, ranked.loaded) if cfg.log else None,
    }


def _asked(cfg: Diagnose, task: Task, loaded: Loaded) -> dict[str, Any]:
    """What the log says beside the split; raises ValueError for a log that is none, or empty."""
    lines, torn = asked.read(Path(cfg.log))
    reader = loaded.retriever.tokenizer, loaded.retriever.vocab
    rows = np.unique(task.judgements.queries)
    content = asking.compare(lines, task.collection.query_texts, rows, reader, examples=cfg.examples)
    return {"log": cfg.log, "torn": torn, **content}


def _subject(cfg: Diagnose, name: str) -> Checkpoint:
    source, device = stamps.source_of(cfg.data), machine.device_of(cfg.device)
    return Checkpoint.of(names.find(name, Path(cfg.checkpoint_dir), source=source, split=cfg.split), device)


def _task(cfg: Diagnose, subject: Checkpoint) -> Task:
    """ValueError for a typed k or depth beyond the corpus; the defaults mean the whole of it there."""
    collection = measuring.collection_of(cfg.data, subject.content, Path(cfg.cache_dir))
    documents = len(collection.doc_ids)
    for knob, value, usual in (("k", cfg.k, Diagnose.k), ("depth", cfg.depth, Diagnose.depth)):
        if value > documents and value != usual:
            raise ValueError(f"{knob}: got {value}, want at most {documents}, the documents of the corpus")
    ks = sorted({min(cfg.k, documents), min(cfg.depth, documents)})
    return Task(collection, cfg.split, ks, cfg.min_grade, Path(cfg.cache_dir), chunk=cfg.chunk)


def _ranked(subject: Checkpoint, task: Task) -> _Ranked:
    loaded = subject.load()
    measured = measuring.measure(loaded, task)
    assert measured.vectors is not None  # a checkpoint has them
    vectors = measured.vectors
    placed = Placed.of(measured.result, task.judgements, vectors.queries, vectors.docs, task.min_grade)
    return _Ranked(subject, loaded, measured, placed)


def _diagnosis(cfg: Diagnose, task: Task, ranked: _Ranked) -> Diagnosis:
    retriever, rows = ranked.loaded.retriever, ranked.measured.result.query_rows
    tokens, collection = task.tokens(retriever.tokenizer), task.collection
    queries, words = reasons.numbered(tokens, rows)
    known = np.fromiter((word in retriever.vocab.index for word in words), dtype=np.bool_, count=len(words))
    evidence = Evidence(
        placed=ranked.placed,
        k=task.ks[0],
        queries=queries,
        docs=tokens.docs.ragged,
        words=words,
        known=known,
        max_doc_words=retriever.max_doc_words,
        doc_ids=collection.doc_ids,
    )
    ids, texts = (
        [values[row] for row in rows.tolist()] for values in (collection.query_ids, collection.query_texts)
    )
    return Diagnosis(evidence, task.ks[-1], ids, texts, cfg.examples)


def _keep(cfg: Diagnose, content: Mapping[str, Any], name: str) -> None:
    """Beside the evaluations; a folder that cannot be written is said."""
    folder = Path(cfg.checkpoint_dir) / results.FOLDER
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_aside(folder / name, lambda out: out.write(text.encode()))
    except OSError as error:
        show.talk(f"not kept: {error}")


def _page(content: Mapping[str, Any], form: str) -> None:
    """Tables for a reader, and the commands to try below them."""
    show.grid(_causes(content), form)
    for cause in content["causes"]:
        if cause["examples"]:
            show.grid(_examples(cause["title"], cause["examples"]), form)
    if content["against"]:
        _against(content["against"], form)
    if content["asked"]:
        _lines(f"asked, in {content['asked']['log']}", asking.said(content["asked"]), form)
    _lines("how the vectors lie", _geometry(content), form)
    _lines("to try", _tries(content["causes"]), form)


def _causes(content: Mapping[str, Any]) -> Grid:
    failed, judged = content["failed"], content["judged"]
    heading = (
        f"{content['protocol']['title']}: {failed:,} of {judged:,} queries fail at {content['k']}, "
        f"{content['lost']:,} lost (below {content['depth']}), {content['buried']:,} buried"
    )
    rows = [
        [
            cause["title"],
            f"{cause['queries']:,}",
            _share(cause["share"]),
            _share(cause["among_found"]),
            cause["knob"],
        ]
        for cause in content["causes"]
        if cause["queries"]
    ]
    rest = content["unexplained"]
    rows.append(["none of these", f"{rest:,}", _share(rest / failed if failed else 0.0), "", ""])
    return Grid(heading, ["likely cause", "queries", "of failed", "of found", "try"], rows)


def _share(value: float) -> str:
    return f"{value:.0%}"


def _examples(title: str, examples: Sequence[Mapping[str, Any]]) -> Grid:
    rows = [
        [
            show.cut(one["query"], WIDE),
            one["query_id"],
            one["doc_id"],
            "lost" if one["rank"] is None else f"{one['rank']:,}",
            show.cut(one["said"], 2 * WIDE),
        ]
        for one in examples
    ]
    return Grid(title, ["query", "id", "relevant", "rank", "measured"], rows, spare=["id", "relevant"])


def _against(against: Mapping[str, Any], form: str) -> None:
    counts = [f"{against[key]:,}" for key in ("fixed", "broken", "unchanged_good", "unchanged_bad")]
    columns = ["checkpoint", "fixed", "broken", "found by both", "failed by both"]
    show.grid(Grid("against", columns, [[Path(against["checkpoint"]).name, *counts]]), form)
    for way, examples in against["examples"].items():
        rows = []
        for one in examples:
            ranks = ["lost" if one[key] is None else f"{one[key]:,}" for key in ("rank_against", "rank")]
            rows.append([show.cut(one["query"], WIDE), one["query_id"], one["doc_id"], *ranks])
        if rows:
            show.grid(
                Grid(way, ["query", "id", "relevant", "rank there", "rank here"], rows, spare=["id"]), form
            )


def _geometry(content: Mapping[str, Any]) -> Iterator[str]:
    measured = content["geometry"]
    yield ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in measured.items())
    yield from content["warnings"]


def _tries(causes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A command each, but once where two causes have the same."""
    commands: dict[str, list[str]] = {}
    for cause in causes:
        if cause["queries"] and cause["command"]:
            commands.setdefault(cause["command"], []).append(cause["title"])
    for command, titles in commands.items():
        yield f"{', '.join(titles)}: {command}"


def _lines(heading: str, lines: Iterator[str], form: str) -> None:
    shown = [show.printable(line) for line in lines]
    if shown:
        head, mark = (f"**{heading}**", "- ") if form == "markdown" else (heading, "  ")
        show.result("\n".join([head, "", *(f"{mark}{line}" for line in shown), ""]))
