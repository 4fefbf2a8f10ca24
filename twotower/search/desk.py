"""Where questions are answered: a searcher, the settings, what was answered last, and where it is written.

"read a csv file"  ->  hits on stdout, remarks on stderr, a line in the log if there is one
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twotower import knobs, show
from twotower.config import HitFormat, Hybrid, Search
from twotower.search import answers, asked, exact
from twotower.search.asked import Asked
from twotower.search.finding import Options
from twotower.search.live import LiveSearcher
from twotower.search.queries import Query
from twotower.search.searcher import Answer, Hit, Searcher


@dataclass
class Desk:
    """One searcher, and the settings, which the prompt's commands change."""

    cfg: Search
    opened: Searcher
    checkpoint: str
    """Path of what encodes the queries."""
    index: str = ""
    """The index that was named, `docs@v0002`; empty for one that the cache keeps."""
    last: Answer | None = None
    """What was answered last, for the commands that are about its hits."""
    beside: tuple[str, Searcher] | None = None
    """Another searcher over the same documents, and its name: both answer."""
    indent: int | None = 2
    """Of JSON; None for a line an answer."""
    count: int = field(default=0)
    """Queries so far: the number of one that has no id."""
    live: LiveSearcher | None = None
    """Where an index was named and not its version: what is live is asked."""

    @property
    def options(self) -> Options:
        """The settings as the searcher takes them."""
        return options_of(self.cfg)

    @property
    def tag(self) -> str:
        """What a TREC run says made it: the checkpoint's run."""
        return str(self.opened.index.manifest["checkpoint"]["run"])

    def set(self, **changes: Any) -> None:
        """Change knobs; ValueError for a value out of bounds, or that the searcher refuses."""
        changed = replace(self.cfg, **changes)
        knobs.check_bounds(changed)
        check_k(changed.k, self.opened)
        self.opened.check(options_of(changed))
        self.cfg = changed

    def answer(self, text: str) -> None:
        """Print the hits; ValueError for no query."""
        self._follow()
        self.last = self.opened.search(text, self.cfg.k, self.options)
        self._give([Query(str(self.count + 1), text)], [self.last])
        if self.beside:
            name, searcher = self.beside
            theirs = searcher.search(text, min(self.cfg.k, len(searcher)), self.options)
            names = self.index or Path(self.checkpoint).name, name
            show.grid(answers.beside(self.last, theirs, names), "table")

    def answer_many(self, some: Sequence[Query]) -> None:
        """Print the hits of several queries, one after the other, found together."""
        self._follow()
        found = self.opened.search_many([query.text for query in some], self.cfg.k, self.options)
        self._give(some, found, named=True)

    def _follow(self) -> None:
        """On to another version of the index, if it was switched."""
        now = self.live.now() if self.live else self.opened
        if self.live and now is not self.opened:
            self.opened, self.index = now, str(self.live.place)
            self.checkpoint = str(self.live.request.checkpoint or now.index.manifest["checkpoint"]["path"])
            self.set(k=min(self.cfg.k, len(now)))
            show.talk(f"{self.index} is live by now, and answers")

    def _give(self, some: Sequence[Query], found: Sequence[Answer], *, named: bool = False) -> None:
        for query, answer in zip(some, found, strict=True):
            self.count += 1
            self._print(query, answer, named)
        if self.cfg.log:
            lines = [Asked.of(answer, self.index or self.opened.name, self.checkpoint) for answer in found]
            asked.write(Path(self.cfg.log), lines)

    def _print(self, query: Query, answer: Answer, named: bool) -> None:
        before = f"{query.id}: " if named else ""
        for remark in answer.remarks:
            show.talk(show.printable(f"{before}{remark}"))
        match self.cfg.format:
            case HitFormat.json:
                query_id = query.id if named else ""
                show.document(answers.content(answer, self.checkpoint, self.index, query_id), self.indent)
            case HitFormat.trec:
                show.result("\n".join(answers.trec(answer, query.id, self.tag)))
            case _:
                head = [answers.heading(query)] if named else []
                show.lines([*head, *answers.lines(answer)])
                if not named:
                    show.talk(self.footer(answer))

    def footer(self, answer: Answer) -> str:
        """How the hits came about, in one line."""
        steps = (
            ("encode", answer.encode_seconds),
            ("search", answer.search_seconds),
            ("text", answer.text_seconds),
        )
        times = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in steps)
        place = f"{len(self.opened):,} documents of {self.opened.name}"
        return f"{times}; {place}; {exact.engine(1)}; {self.opened.device}"

    def hit(self, text: str) -> Hit:
        """The hit of that rank in the last answer; ValueError for none."""
        if self.last is None:
            raise ValueError("no answer yet, so no hit to name; ask something first")
        count = len(self.last.hits)
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= count:
            raise ValueError(f"hit: got {text!r}, want a number from 1 to {count}")
        return self.last.hits[int(text) - 1]

    def toolbar(self) -> str:
        """The settings in one line."""
        parts = [f"{len(self.opened):,} documents of {self.index or self.opened.name}", f"k {self.cfg.k}"]
        if self.cfg.hybrid is not Hybrid.off:
            share = f" {self.cfg.weight:g}" if self.cfg.hybrid is Hybrid.weighted else ""
            parts.append(f"hybrid {self.cfg.hybrid.value}{share}")
        parts += [f"source {self.cfg.source}"] if self.cfg.source else []
        parts += [f"beside {self.beside[0]}"] if self.beside else []
        parts += [f"log {self.cfg.log}"] if self.cfg.log else []
        return "  ".join(parts)


def options_of(cfg: Search) -> Options:
    """How to search, as the knobs say."""
    hybrid = "" if cfg.hybrid is Hybrid.off else cfg.hybrid.value
    return Options(hybrid=hybrid, weight=cfg.weight, source=cfg.source, merge=cfg.merge)


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
