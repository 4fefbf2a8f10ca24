"""`twotower search`: answer a query from a collection's documents; without one, a prompt."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower import show
from twotower.config import AnswerFormat, Search
from twotower.data import stamps
from twotower.evaluation import names
from twotower.search import exact, searcher
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Answer, Searcher

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded


def run(cfg: Search, query: str | None = None) -> int:
    """Answer `query`, or one query after another from standard input."""
    if query is not None:
        searcher.check(query)
    path = names.find(cfg.checkpoint, Path(cfg.checkpoint_dir), source=stamps.source_of(cfg.data))
    request = Request(path, cfg.data, Path(cfg.cache_dir), lambda: _loaded(path, cfg), show.talk)
    opened = open_searcher(request)
    k = fitted(cfg.k, opened)
    if query is None:
        _prompt(cfg, path, opened, k)
        return 0
    answer = opened.search(query, k)
    if cfg.format is AnswerFormat.json:
        _remark(answer)
        show.document(content(path, answer))
    else:
        _show(opened, answer)
    return 0


def fitted(k: int, opened: Searcher) -> int:
    """At most the documents there are: a default is clipped with a notice, a typed k is a ValueError."""
    documents = len(opened)
    if k <= documents:
        return k
    if k != Search.k:
        raise ValueError(f"k: got {k}, want at most {documents}, the documents of {opened.name}")
    show.talk(f"k: {documents} instead of {k}, for {opened.name} has no more documents")
    return documents


def content(path: Path, answer: Answer) -> dict[str, Any]:
    """What `format=json` prints."""
    return {
        "query": answer.query,
        "checkpoint": str(path),
        "seconds": round(answer.seconds, 6),
        "hits": [asdict(hit) for hit in answer.hits],
    }


def footer(opened: Searcher, answer: Answer) -> str:
    """How the hits came about, in one line."""
    steps = (
        ("encode", answer.encode_seconds),
        ("search", answer.search_seconds),
        ("text", answer.text_seconds),
    )
    times = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in steps)
    return f"{times}; {len(opened):,} documents of {opened.name}; {exact.engine(1)}; {opened.device}"


def _prompt(cfg: Search, path: Path, opened: Searcher, k: int) -> None:
    """A line, its answer, until standard input ends; a query's error does not end it."""
    for line in show.questions("a query on each line; Ctrl-D leaves", "query> "):
        if not line.strip():
            continue
        try:
            answer = opened.search(line, k)
        except ValueError as error:
            show.error(" ".join(str(error).split()))
            continue
        if cfg.format is AnswerFormat.json:
            _remark(answer)
            show.document(content(path, answer), indent=None)
        else:
            _show(opened, answer)


def _show(opened: Searcher, answer: Answer) -> None:
    _remark(answer)
    show.hits([asdict(hit) for hit in answer.hits], footer(opened, answer))


def _remark(answer: Answer) -> None:
    for remark in answer.remarks:
        show.talk(show.printable(remark))


def _loaded(path: Path, cfg: Search) -> "Loaded":
    # torch (1.5 s): only vectors that are not there yet, and query towers other than an MLP, need it
    from twotower.model import checkpoint
    from twotower.training import machine

    machine.settle(0, cfg.threads)
    return checkpoint.load(path, machine.device_of(cfg.device))
