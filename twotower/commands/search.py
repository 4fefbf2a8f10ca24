"""`twotower search`: answer a query from a collection's documents; without one, a prompt."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower import knobs, prompt, show
from twotower.config import AnswerFormat, Search
from twotower.data import stamps
from twotower.evaluation import names
from twotower.search import exact, searcher
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Answer, Searcher

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded

HISTORY = "history"
"""File in the cache folder that keeps what was asked at the prompt."""


def run(cfg: Search, query: str | None = None) -> int:
    """Answer `query`, or one query after another from standard input."""
    if query is not None:
        searcher.check(query)
    path = names.find(cfg.checkpoint, Path(cfg.checkpoint_dir), source=stamps.source_of(cfg.data))
    request = Request(path, cfg.data, Path(cfg.cache_dir), lambda: _loaded(path, cfg), show.talk)
    opened = open_searcher(request)
    desk = Desk(replace(cfg, k=fitted(cfg.k, opened)), path, opened)
    if query is None:
        prompt.converse(partial(desk.answer, indent=None), desk.commands(), Path(cfg.cache_dir) / HISTORY)
    else:
        desk.answer(query)
    return 0


@dataclass
class Desk:
    """Where questions are answered: one searcher, and the settings that the prompt's commands change."""

    cfg: Search
    path: Path
    """The checkpoint."""
    opened: Searcher

    def answer(self, query: str, indent: int | None = 2) -> None:
        """Print the hits, with `format=json` as one document of that indent; ValueError for no query."""
        answer = self.opened.search(query, self.cfg.k)
        for remark in answer.remarks:
            show.talk(show.printable(remark))
        if self.cfg.format is AnswerFormat.json:
            show.document(content(self.path, answer), indent)
        else:
            show.hits([asdict(hit) for hit in answer.hits], footer(self.opened, answer))

    def commands(self) -> dict[str, prompt.Command]:
        """The prompt's commands, by name."""
        return {"k": prompt.Command("show that many hits", self.set_k, "N")}

    def set_k(self, text: str) -> None:
        """Show `text` many hits from here on; without a number, say how many. ValueError for a bad one."""
        if text:
            changed = replace(self.cfg, k=knobs.convert("k", text, int))
            knobs.check_bounds(changed)
            check_k(changed.k, self.opened)
            self.cfg = changed
        show.talk(f"k: {self.cfg.k}")


def fitted(k: int, opened: Searcher) -> int:
    """At most the documents there are: a default is clipped with a notice, a typed k is a ValueError."""
    documents = len(opened)
    if k == Search.k and k > documents:
        show.talk(f"k: {documents} instead of {k}, for {opened.name} has no more documents")
        return documents
    check_k(k, opened)
    return k


def check_k(k: int, opened: Searcher) -> None:
    """Raises ValueError for more hits than there are documents."""
    if k > len(opened):
        raise ValueError(f"k: got {k}, want at most {len(opened)}, the documents of {opened.name}")


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


def _loaded(path: Path, cfg: Search) -> "Loaded":
    # torch (1.5 s): only vectors that are not there yet, and query towers other than an MLP, need it
    from twotower.model import checkpoint
    from twotower.training import machine

    machine.settle(0, cfg.threads)
    return checkpoint.load(path, machine.device_of(cfg.device))
