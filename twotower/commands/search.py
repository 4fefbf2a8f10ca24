"""`twotower search`: answer a query, or a file of them, from an index; without any, a prompt."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower import config, prompt, recall, show
from twotower.config import Search
from twotower.data import stamps
from twotower.evaluation import names
from twotower.search import desk, queries, searcher
from twotower.search.desk import Desk
from twotower.search.live import LiveSearcher
from twotower.search.opening import Request, open_searcher
from twotower.search.orders import Orders
from twotower.search.origins import DOCS
from twotower.search.queries import Query
from twotower.search.searcher import Searcher

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded

LATEST = "@latest"
"""The checkpoint where neither it nor an index is named."""
STDIN = "-"
"""Stands for standard input in `queries`."""


def run(cfg: Search, query: str | None = None) -> int:
    """Answer `query`, or those of `queries`, or one after another from standard input."""
    if query is not None:
        searcher.check(query)
        if cfg.queries:
            raise ValueError(f"queries: got {cfg.queries} and a query too, want one of the two")
    made = _desk(cfg)
    if query is not None:
        made.answer(query)
    elif cfg.queries:
        made.indent = None
        for some in queries.batches(_queries(cfg.queries)):
            made.answer_many(some)
    else:
        made.indent = None
        orders = Orders(made, lambda name: _other(cfg, made.opened, name))
        aid = prompt.Aid(orders.words, made.toolbar)
        prompt.converse(made.answer, orders.table(), recall.file(), aid)
    return 0


def _desk(cfg: Search) -> Desk:
    request = _request(cfg)
    live = LiveSearcher(request) if cfg.index else None
    opened = live.now() if live else open_searcher(request)
    path = request.checkpoint or Path(opened.index.manifest["checkpoint"]["path"])
    index = str(live.place) if live else ""
    made = Desk(replace(cfg, k=desk.fitted(cfg.k, opened)), opened, str(path), index, live=live)
    made.set()  # what the index cannot do is said before the first query
    return made


def _request(cfg: Search) -> Request:
    name = cfg.checkpoint or ("" if cfg.index else LATEST)
    path = _found(cfg, name) if name else None
    return Request(
        checkpoint=path,
        data=cfg.data,
        cache_dir=Path(cfg.cache_dir),
        load=lambda path: _loaded(path, cfg),
        say=show.talk,
        index=cfg.index,
        index_dir=Path(cfg.index_dir),
    )


def _found(cfg: Search, name: str) -> Path:
    return names.find(name, Path(cfg.checkpoint_dir), source=stamps.source_of(cfg.data))


def _other(cfg: Search, opened: Searcher, name: str) -> Searcher:
    """Another checkpoint over the documents that `opened` searches, or, as `index=NAME`, another index."""
    if name.startswith("index="):
        return open_searcher(_request(replace(cfg, index=name.removeprefix("index="), checkpoint="")))
    sources = [record["source"] for record in opened.index.manifest["sources"]]
    if len(sources) != 1 or sources[0].get("kind") == DOCS:
        raise ValueError(
            f"ab: {opened.name} is made of {len(sources)} sources or of a file of documents, which no "
            "checkpoint alone can be asked about; build an index with the other one, and say :ab index=NAME"
        )
    data: Any = stamps.knobs_of(sources[0])
    return open_searcher(_request(replace(cfg, index="", checkpoint=name, data=data)))


def _queries(source: str) -> Iterator[Query]:
    if source == STDIN:
        return queries.of_lines(prompt.piped(), "standard input")
    return queries.of_file(Path(source))


def _loaded(path: Path, cfg: config.Search) -> "Loaded":
    # torch (1.5 s): only vectors that are not there yet, and query towers other than an MLP, need it
    from twotower.model import checkpoint
    from twotower.training import machine

    machine.settle(0, cfg.threads)
    return checkpoint.load(path, machine.device_of(cfg.device))
