"""Which column of a table plays which role, by its name and never by its place.

    query  doc_text  Label  negative_1  negative_2  note
    query  positive  score  negatives .........     no role

Names are compared in lower case, with - and space as _. The knobs `data.query=`, `data.positive=`,
`data.negative=`, `data.score=` name a column outright.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from twotower import config
from twotower.data.ledger import BadLine, listed

QUERY = ("query", "question", "anchor", "query_text")
POSITIVE = (
    *("positive", "document", "passage", "pos", "doc", "answer", "context", "text"),
    *("positive_text", "document_text", "passage_text", "pos_text", "doc_text"),
)
SCORE = ("score", "label", "relevance", "similarity", "similarity_score", "grade")
QUERY_ID = ("query_id", "qid", "question_id", "anchor_id")
POSITIVE_ID = (
    *("positive_id", "positive_ids", "pos_id", "pos_ids", "document_id", "doc_id", "docid"),
    *("corpus_id", "passage_id", "pid"),
)
TITLE = (
    *("title", "positive_title", "positive_titles", "pos_title", "pos_titles"),
    *("document_title", "doc_title", "passage_title"),
)
SPLIT = ("split",)
NEGATIVE = re.compile(r"(hard_)?neg(?:ative)?s?_?(\d{0,4})_?(?:(text|id|title)s?)?_?(\d{0,4})")
"""negative, neg_1, hard_negatives, negative_text; negative_id_2, neg_2_title."""


@dataclass(frozen=True)
class Document:
    """A column of documents, with those of their ids and titles."""

    text: str
    id: str = ""
    """Empty: there is none."""
    title: str = ""


@dataclass(frozen=True)
class Columns:
    """The column of each role; an empty name where there is none."""

    query: str
    query_id: str
    positive: Document
    negatives: tuple[Document, ...]
    score: str
    split: str
    ignored: tuple[str, ...]
    """Columns without a role."""

    @cached_property
    def with_ids(self) -> bool:
        """Whether any column gives ids."""
        return self.told["query id"] or self.told["positive id"] or self.told["negative id"]

    @cached_property
    def told(self) -> dict[str, bool]:
        """Which of the roles that may be missing are there: one record must not differ from the next."""
        return {
            "query id": bool(self.query_id),
            "positive id": bool(self.positive.id),
            "negative id": any(one.id for one in self.negatives),
            "score": bool(self.score),
            "split": bool(self.split),
        }


def find(names: Collection[str], cfg: config.Triplets | config.Pairs) -> Columns:
    """The roles of the columns `names`.

    Raises BadLine, whose text holds no place, where no column or more than one has a role that is needed, a
    column that `cfg` names is not there, triplets have no negatives, or pairs have some.
    """
    table = _Table(names, cfg)
    query, text = table.needed("query", QUERY), table.needed("positive", POSITIVE)
    query_id = table.one("query id", QUERY_ID, beside=query)
    positive = Document(
        text, table.one("positive id", POSITIVE_ID, beside=text), table.one("title", TITLE, beside=text)
    )
    negatives = table.negatives()
    score = table.one("score", SCORE) if isinstance(cfg, config.Pairs) else ""
    split = table.one("split", SPLIT)
    documents = chain.from_iterable((one.text, one.id, one.title) for one in (positive, *negatives))
    used = {query, query_id, score, split, *documents}
    ignored = tuple(name for name in names if name not in used)
    return Columns(query, query_id, positive, negatives, score, split, ignored)


class _Table:
    """The names of a table's columns, and which of them the knobs name."""

    def __init__(self, names: Collection[str], cfg: config.Triplets | config.Pairs) -> None:
        self.names, self.cfg = names, cfg
        self.has = f"it has {listed(names)}"
        self.chosen = _chosen(cfg)
        wanted = list(chain.from_iterable(self.chosen.values()))
        for role, columns in self.chosen.items():
            for column in columns:
                if column not in names:
                    raise BadLine(f"no {role}", f"data.{role}={column}: no such column, {self.has}")
                if wanted.count(column) > 1:
                    raise BadLine(f"no {role}", f"data.{role}={column}: named twice, want one role for it")
        self.free = {name: _plain(name) for name in names if name not in wanted}
        """Columns that no knob names, and what their names are compared as."""

    def needed(self, role: str, known: Sequence[str]) -> str:
        """The column of a role that every record must have."""
        if column := self.one(role, known):
            return column
        ways = f"want {', '.join(known[:3])} or another known name, or data.{role}=NAME"
        raise BadLine(f"no {role}", f"no column says which is the {role}: {self.has}; {ways}")

    def one(self, role: str, known: Sequence[str], beside: str = "") -> str:
        """The column that a knob names or whose name is known; before those `<beside>_id` or `_title`."""
        if chosen := self.chosen.get(role):
            return chosen[0]
        own = f"{_plain(beside)}_{role.split()[-1]}" if beside else ""
        found = self._like(lambda name: bool(own) and name == own) or self._like(lambda name: name in known)
        if len(found) > 1:
            way = f"say data.{role}=NAME" if role in self.chosen else "want one of them"
            raise BadLine(f"two for {role}", f"columns {listed(found)} are both the {role}; {way}")
        return found[0] if found else ""

    def negatives(self) -> tuple[Document, ...]:
        """The columns of negatives, as numbered; refused for pairs, needed for triplets."""
        if chosen := self.chosen.get("negative"):
            return tuple(self._named(column) for column in chosen)
        found: dict[tuple[bool, int], dict[str, str]] = {}
        for name, plain in self.free.items():
            if (match := NEGATIVE.fullmatch(plain)) and not (match[2] and match[4]):
                part = str(match[3] or "text")
                parts = found.setdefault((bool(match[1]), int(match[2] or match[4] or -1)), {})
                if part in parts:
                    both = f"columns {listed([parts[part], name])} are both the {part} of one negative"
                    raise BadLine("two for negative", f"{both}; say data.negative=NAME")
                parts[part] = name
        texts = tuple(Document(**parts) for _, parts in sorted(found.items()) if "text" in parts)
        if isinstance(self.cfg, config.Pairs) and texts:
            names = listed([one.text for one in texts])
            raise BadLine("negatives", f"pairs with a negative column ({names}), want data=triplets")
        if isinstance(self.cfg, config.Triplets) and not texts:
            ways = "want negative, negative_1 ... or data.negative=NAME; without negatives data=pairs"
            raise BadLine("no negative", f"no negative column: {self.has}; {ways}")
        return texts

    def _named(self, column: str) -> Document:
        """A column that the knob names, with <column>_id and <column>_title."""
        plain = _plain(column)
        ids = self._like(lambda name: name in (f"{plain}_id", f"{plain}_ids"))
        titles = self._like(lambda name: name in (f"{plain}_title", f"{plain}_titles"))
        return Document(column, "".join(ids[:1]), "".join(titles[:1]))

    def _like(self, fits: Callable[[str], bool]) -> list[str]:
        return [name for name, plain in self.free.items() if fits(plain)]


def _chosen(cfg: config.Triplets | config.Pairs) -> dict[str, list[str]]:
    """Role -> the columns that its knob names."""
    last = {"negative": cfg.negative} if isinstance(cfg, config.Triplets) else {"score": [cfg.score]}
    columns = {"query": [cfg.query], "positive": [cfg.positive], **last}
    return {role: [name for name in named if name] for role, named in columns.items()}


def _plain(name: str) -> str:
    return re.sub(r"[-\s]", "_", name.strip().lower())
