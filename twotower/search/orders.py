"""The prompt's commands: settings, and what can be done with the hits of the last answer.

:k 3    :why 2    :near file    :ab @best    :hybrid on    :filter source=wiki    :judge 1 yes    :open 1
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from twotower import knobs, show
from twotower.config import Hybrid
from twotower.data import judged
from twotower.data.judged import Judged
from twotower.model import sidecar
from twotower.prompt import Command
from twotower.search import answers, explain, neighbours
from twotower.search.answers import INDENT
from twotower.search.desk import Desk
from twotower.search.searcher import Searcher
from twotower.show import Line
from twotower.text.vocabulary import UNKNOWN

HYBRID = {"on": Hybrid.rrf} | {one.value: one for one in Hybrid}
"""What may stand behind `:hybrid`."""
GRADES = {"yes": True, "no": False}
"""What may stand behind `:judge`."""
FILTER = "source="


@dataclass
class Orders:
    """The commands of a desk."""

    desk: Desk
    open_other: Callable[[str], Searcher]
    """Opens another checkpoint over the same documents, by its name."""

    def table(self) -> dict[str, Command]:
        """By name; `:help` and `:quit` are the prompt's own."""
        return {
            "k": Command("show that many hits", self.k, "N"),
            "why": Command("what each word adds to the score of hit n", self.why, "n"),
            "near": Command("words that the tower reads much alike", self.near, "word", self.words),
            "ab": Command("another checkpoint beside this one, and what moved", self.ab, "@other|off"),
            "hybrid": Command("ask BM25 too", self.hybrid, "on|off|rrf|weighted [share]", self.hybrids),
            "filter": Command("one source's documents alone", self.filter, "source=name|off", self.sources),
            "judge": Command("hit n is relevant, or not: for training", self.judge, "n yes|no"),
            "open": Command("the whole document of hit n", self.open, "n"),
            "save": Command("write the last answer: .json, .trec, or text", self.save, "FILE"),
        }

    # settings

    def k(self, text: str) -> None:
        """Show `text` many hits from here on; without a number, say how many. ValueError for a bad one."""
        if text:
            self.desk.set(k=knobs.convert("k", text, int))
        show.talk(f"k: {self.desk.cfg.k}")

    def hybrid(self, text: str) -> None:
        """Turn BM25 on or off; behind `weighted` may stand the tower's share. ValueError for another word."""
        word, *rest = text.split() or [""]
        if word:
            if word not in HYBRID or len(rest) > 1 or (rest and word != Hybrid.weighted.value):
                raise ValueError(f"hybrid: got {text!r}, want {', '.join(HYBRID)}, or weighted and a share")
            share = {"weight": knobs.convert("weight", rest[0], float)} if rest else {}
            self.desk.set(hybrid=HYBRID[word], **share)
        cfg = self.desk.cfg
        weight = f", the tower's share {cfg.weight:g}" if cfg.hybrid is Hybrid.weighted else ""
        show.talk(f"hybrid: {cfg.hybrid.value}{weight}")

    def filter(self, text: str) -> None:
        """Answer from one source alone, or from all again. ValueError for a source that has no documents."""
        if text:
            self.desk.set(source="" if text == "off" else text.removeprefix(FILTER).strip())
        show.talk(f"source: {self.desk.cfg.source or 'all'}")

    def ab(self, text: str) -> None:
        """Answer with another checkpoint too, from here on, and the last query at once."""
        desk = self.desk
        if text and text != "off":
            desk.beside = (text, self.open_other(text))
            if desk.last:
                desk.answer(desk.last.query)
        elif text:
            desk.beside = None
        show.talk(f"beside: {desk.beside[0] if desk.beside else 'nothing'}")

    # the hits of the last answer

    def open(self, text: str) -> None:
        """The whole document."""
        (document,) = self.desk.opened.index.documents.get([self.desk.hit(text).doc_id])
        head = [(document.id, "bold"), (f"  {document.title}" if document.title else "", "")]
        said = [("source", document.source), ("passage of", document.parent)]
        rows = [Line([(f"{name}: {value}", "dim")], INDENT) for name, value in said if value]
        show.lines([Line(head), *rows, *(Line([(line, "")], INDENT) for line in document.text.splitlines())])

    def why(self, text: str) -> None:
        """What each word of query and document adds to their cosine."""
        hit = self.desk.hit(text)
        assert self.desk.last is not None  # it has a hit
        show.lines(answers.why(explain.explain(self.desk.opened, self.desk.last.query, hit.doc_id), hit))

    def near(self, text: str) -> None:
        """The nearest words; ValueError for what is not one known word."""
        show.lines(answers.near(neighbours.of(self.desk.opened, text)))

    def judge(self, text: str) -> None:
        """Keep what somebody says of a hit; ValueError for another word than yes or no."""
        number, _, word = text.partition(" ")
        hit = self.desk.hit(number)
        if word.strip() not in GRADES:
            raise ValueError(f"judge: got {word.strip()!r}, want yes or no behind the hit's number")
        last = self.desk.last
        assert last is not None  # it has a hit
        path, relevant = Path(self.desk.cfg.judgements), GRADES[word.strip()]
        corpus = str(self.desk.opened.index.manifest["corpus"])
        document = (hit.doc_id, hit.title, hit.text)
        judged.append(path, Judged.now(last.query, document, relevant=relevant, collection=corpus))
        how = "relevant" if relevant else "not relevant"
        show.talk(f"{hit.doc_id} is {how}; kept in {path}, for `twotower train judgements={path}`")

    def save(self, text: str) -> None:
        """Write the last answer to a file, as its name ends. ValueError for one that is there already."""
        last, path = self.desk.last, Path(text).expanduser()
        if last is None:
            raise ValueError("save: no answer yet; ask something first")
        if not text or path.exists():
            raise ValueError(
                f"save: {text}: exists; want another name" if text else "save: want a file's name"
            )
        match path.suffix:
            case ".json":
                found = answers.content(last, self.desk.checkpoint, self.desk.index)
                written = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
            case ".trec":
                written = "\n".join(answers.trec(last, "1", self.desk.tag))
            case _:
                written = "\n".join([last.query, *(line.plain for line in answers.lines(last))])
        sidecar.write_aside(path, lambda file: file.write(f"{written}\n".encode(errors="replace")))
        show.talk(f"saved in {path}")

    # what may stand behind a command

    @cached_property
    def _words(self) -> Sequence[str]:
        return sorted(self.desk.opened.index.vocab.words[UNKNOWN + 1 :])

    def words(self, begin: str) -> Iterator[str]:
        """Known words that begin so, by the alphabet."""
        begin = begin.lower()
        rest = self._words[bisect_left(self._words, begin) :]
        return takewhile(lambda word: word.startswith(begin), rest)

    def sources(self, begin: str) -> list[str]:
        """What `:filter` takes."""
        names = (f"{FILTER}{name}" for name in self.desk.opened.finder.sources)
        return [one for one in (*names, "off") if one.startswith(begin)]

    def hybrids(self, begin: str) -> list[str]:
        """What `:hybrid` takes."""
        return [one for one in HYBRID if one.startswith(begin)]
