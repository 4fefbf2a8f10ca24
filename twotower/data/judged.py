"""What people said of hits at the prompt, a line each, and how it joins the training queries of a collection.

    {"query": "read a csv", "query_id": "judged-1f0c...", "doc_id": "csv.reader", "grade": 1, ...}

    yes   the query, and a relevant document of it        no   a document judged not relevant, a hard negative

The last word on a query and a document counts, over the collection's own too. A query that reads like one of
another split than train is left out: what a model is measured on, it must not be trained on.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from twotower.data import appended
from twotower.data.batches import first_equal
from twotower.data.collection import Collection, digest, sorted_qrels
from twotower.text.tokenize import Tokenizer

TRAIN = "train"


@dataclass(frozen=True)
class Judged:
    """A line: what somebody said of one document for one query."""

    query: str
    """Its text."""
    query_id: str
    doc_id: str
    grade: int
    """0 or less is not relevant."""
    collection: str
    """Hash of the corpus in which the document stood."""
    document: str
    """Hash of the document's title and text: in another corpus it may be the same one."""
    time: str

    @staticmethod
    def now(query: str, document: tuple[str, str, str], *, relevant: bool, collection: str) -> "Judged":
        """Of a document's id, title and text, in the corpus of that hash."""
        query = " ".join(query.split())
        return Judged(
            query=query,
            query_id=id_of(query),
            doc_id=document[0],
            grade=int(relevant),
            collection=collection,
            document=content_of(*document[1:]),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )


@dataclass(frozen=True, eq=False)
class Joined:
    """A collection with judgements in its split train."""

    collection: Collection
    base: str
    """Hash of the collection without them."""
    path: str
    sha256: str
    """Of the file."""
    remarks: tuple[str, ...]
    """What became of its lines."""


def id_of(query: str) -> str:
    """The id under which a query that no collection has is trained on."""
    return f"judged-{hashlib.sha256(query.encode()).hexdigest()[:16]}"


def content_of(title: str, text: str) -> str:
    """Hash of a document's content, 16 hex digits."""
    return digest([(title, text)])[:16]


def append(path: Path, judged: Judged) -> None:
    """Add a line; it is on disk when this returns."""
    appended.append(path, [asdict(judged)])


def read(path: Path) -> tuple[list[Judged], int]:
    """The judgements, oldest first, and how many lines are torn.

    Raises FileNotFoundError for no such file, and ValueError, with its line, for one that is no judgement.
    """
    lines, torn = appended.read(path)
    return [_judged(f"{path}:{number}", content) for number, content in lines], torn


def _judged(where: str, content: dict[str, object]) -> Judged:
    usual: dict[str, object] = {"query_id": "", "document": "", "time": ""}
    kinds = {name: int if kind is int else str for name, kind in Judged.__annotations__.items()}
    made = {name: appended.field(where, usual | content, name, kind) for name, kind in kinds.items()}
    if not made["query"].strip():
        raise ValueError(f"{where}: query: got nothing, want its text")
    for name, value in made.items():
        if isinstance(value, str) and value.encode(errors="replace") != value.encode(errors="surrogatepass"):
            raise ValueError(f"{where}: {name}: half of a surrogate pair in it, want text")
    return Judged(**made)


def join(collection: Collection, path: Path, tokenizer: Tokenizer, *, min_grade: int = 1) -> Joined:
    """`collection` with the judgements of a file in its split train; what was liked gets `min_grade` or more.

    Raises ValueError where no line is about this collection's documents, and whatever `read` raises.
    """
    lines, torn = read(path)
    known = [line for line in lines if line.doc_id in collection.doc_rows]
    ours = [line for line in known if _same(collection, line)]
    if lines and not ours:
        raise ValueError(
            f"{path}: none of its {len(lines):,} judgements is about a document of {collection.name} "
            f"(corpus {collection.corpus_hash[:12]}), the last is of corpus {lines[-1].collection[:12]}; "
            "leave out judgements=, or train on that collection"
        )
    names = _names(collection, ours, tokenizer)
    taken = [(name, line) for name, line in zip(names, ours, strict=True) if name]
    said = {(name, line.doc_id): line for name, line in taken}
    train = {query: dict(grades) for query, grades in collection.qrels.get(TRAIN, {}).items()}
    texts = {name: line.query for name, line in reversed(taken)}  # as it was first asked
    texts |= zip(collection.query_ids, collection.query_texts, strict=True)
    for (name, doc_id), line in said.items():
        grade = max(line.grade, min_grade) if line.grade > 0 else line.grade
        train.setdefault(name, {})[doc_id] = grade
    qrels = sorted_qrels({**collection.qrels, **({TRAIN: train} if train else {})})
    ids = tuple(sorted(texts))
    joined = replace(collection, query_ids=ids, query_texts=tuple(texts[name] for name in ids), qrels=qrels)
    counts = {
        "are of another collection": len(known) - len(ours),
        "name documents that are not in it": len(lines) - len(known),
        "are of queries without words, or read like one of another split": len(ours) - len(taken),
        "have been said again since": len(taken) - len(said),
        "are torn": torn,
    }
    remarks = tuple(_remarks(path, [*said.values()], counts, len(ids) - len(collection.query_ids)))
    return Joined(joined, collection.hash, str(path), hashlib.sha256(path.read_bytes()).hexdigest(), remarks)


def _same(collection: Collection, line: Judged) -> bool:
    """Whether a line is about the document that has this id here."""
    row = collection.doc_rows[line.doc_id]
    content = collection.doc_titles[row], collection.doc_texts[row]
    return line.collection == collection.corpus_hash or line.document == content_of(*content)


def _names(collection: Collection, lines: Sequence[Judged], tokenizer: Tokenizer) -> list[str]:
    """The id of each line's query: that of a query which reads the same to the tower, or a new one.

    Empty where it has no words, or reads like a query that is judged in another split than train.
    """
    splits = {split: set(queries) for split, queries in collection.qrels.items()}
    apart = set().union(*(queries for split, queries in splits.items() if split != TRAIN))
    rows = collection.query_rows
    order = [*sorted(apart), *sorted(set(rows) - apart)]
    texts = [*(collection.query_texts[rows[query]] for query in order), *(line.query for line in lines)]
    words = tokenizer.tokenize(texts).ragged
    first = first_equal(words)[len(order) :].tolist()
    empty = np.diff(words.offsets)[len(order) :] == 0
    names = []
    for line, place, blank in zip(lines, first, empty.tolist(), strict=True):
        if blank or place < len(apart) or line.query_id in apart:
            names.append("")
        else:
            names.append(order[place] if place < len(order) else id_of(lines[place - len(order)].query))
    return names


def _remarks(path: Path, said: Sequence[Judged], counts: dict[str, int], new: int) -> Iterator[str]:
    liked = sum(line.grade > 0 for line in said)
    yield (
        f"{path}: {liked:,} judged relevant and {len(said) - liked:,} not, which join train "
        f"with {new:,} new queries"
    )
    left = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    if left:
        yield f"{path}: left out of its lines: {left}"
