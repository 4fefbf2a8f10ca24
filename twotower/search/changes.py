"""What an edit does to the documents of an index, before anything is encoded: added, removed, updated.

update(readings)(index, a copy of its documents)  ->  Change(added={"d9"}, changed={"d1"}, same=998)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twotower.search import stages
from twotower.search.documents import Document, DocumentStore
from twotower.search.index import Index
from twotower.search.origins import Reading

NAMED = 3
"""Ids that a refusal names."""


@dataclass
class Change:
    """What an edit does to the documents."""

    added: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    same: int = 0
    left: int = 0
    """Documents that no source has any more and that stay."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """What the manifest says of the sources from now on."""

    def join(self, other: "Change") -> None:
        """Take in what was done after this."""
        self.added |= other.added
        self.changed |= other.changed - self.added

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        parts = (
            (len(self.added), "added"),
            (len(self.changed), "changed"),
            (len(self.removed), "removed"),
            (self.same, "as they were"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in parts if count) or "nothing to do"


Apply = Callable[[Index, DocumentStore], Change]
"""Changes the documents of a copy of an index's."""


def add(reading: Reading, stamp: str, wanted: Sequence[str]) -> Apply:
    """Put the documents of a source in, or those `wanted` by id; what is there already stays as it is.

    Raises ValueError for an id that the source lacks, and where one is there with another text.
    """

    def apply(old: Index, store: DocumentStore) -> Change:
        left = set(wanted)
        change = _put(store, _chosen(reading, wanted, left), set())
        _check_found(left, [reading])
        if change.changed:
            raise ValueError(
                f"add: {old.name} has {_named(change.changed)} with another text; "
                f"`twotower index update {old.name}` takes the new one"
            )
        change.sources = _recorded(old, reading.record(stamp, whole=not wanted))
        return change

    return apply


def remove(ids: Sequence[str]) -> Apply:
    """Take documents out, or all passages of one; ValueError, naming them, for ids that are not there."""

    def apply(old: Index, store: DocumentStore) -> Change:
        gone = set(store.remove(ids))
        if unknown := set(ids) - gone:
            passages = {one.id: one.parent for one in store.scan() if one.parent in unknown}
            if unknown := unknown - set(passages.values()):
                raise ValueError(f"remove: {old.name} has no document {_named(unknown)}; want ids it has")
            gone |= set(store.remove(passages))
        return Change(removed=gone, sources=list(old.manifest["sources"]))

    return apply


def update(readings: Sequence[tuple[Reading, str]], wanted: Sequence[str], *, prune: bool) -> Apply:
    """Take documents as the sources (each with its stamp) have them now, or those `wanted` by id.

    `prune` removes what none of the sources has. Of a source that once gave some of its documents only those
    that are in the index are looked at. Passages that a changed document has no more are removed.
    """

    def apply(old: Index, store: DocumentStore) -> Change:
        change, seen, left = Change(sources=list(old.manifest["sources"])), set[str](), set(wanted)
        partial = [record["source"] for record in old.manifest["sources"] if not record["whole"]]
        for reading, stamp in readings:
            in_part = not wanted and dict(reading.origin.source) in partial
            documents = _chosen(reading, wanted, left)
            change.join(_put(store, (one for one in documents if not in_part or one.id in store), seen))
            if not wanted:
                change.sources = _replaced(change.sources, reading.record(stamp, whole=not in_part))
        _check_found(left, [reading for reading, _ in readings])
        if any(reading.origin.source.get("chunk_words") for reading, _ in readings):
            change.removed |= set(store.remove(_outdated(store, seen)))
        change.same = len(seen) - len(change.added) - len(change.changed)
        if not wanted:
            lacking = [doc_id for doc_id in store.ids() if doc_id not in seen]
            gone = set(store.remove(lacking)) if prune else set[str]()
            change.removed |= gone
            change.left = len(lacking) - len(gone)
        return change

    return apply


def _put(store: DocumentStore, documents: Iterable[Document], seen: set[str]) -> Change:
    """Upsert, a batch at a time; `seen` gathers every id."""
    change = Change()
    for some in stages.batches(documents):
        before = store.hashes([document.id for document in some])
        new = [document for document in some if before.get(document.id) != document.hash]
        change.added |= {document.id for document in new if document.id not in before}
        change.changed |= {document.id for document in new if document.id in before}
        change.same += len(some) - len(new)
        store.put(new)
        seen.update(document.id for document in some)
    change.changed -= change.added
    return change


def _outdated(store: DocumentStore, seen: set[str]) -> list[str]:
    """Passages of documents that were seen, and such documents whole, that were not among what was seen."""
    parents = {one.parent for one in store.scan() if one.parent and one.id in seen}
    return [
        one.id
        for one in store.scan()
        if one.id not in seen and (one.parent in parents or one.parent in seen or one.id in parents)
    ]


def _chosen(reading: Reading, wanted: Sequence[str], left: set[str]) -> Iterable[Document]:
    """The documents of a source, or, if ids are wanted, those and passages of those; `left` loses each."""
    ids = frozenset(wanted)
    for document in reading.documents():
        if not ids or not ids.isdisjoint((document.id, document.parent)):
            yield document
            left -= {document.id, document.parent}


def _check_found(left: set[str], readings: Sequence[Reading]) -> None:
    if left:
        names = " and ".join(reading.origin.name for reading in readings)
        raise ValueError(f"ids: {names} has no document {_named(left)}")


def _recorded(old: Index, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The sources with one more; one of which some went in before stays whole if it was."""
    known = [one for one in old.manifest["sources"] if one["source"] == record["source"]]
    if known and known[0]["whole"] and not record["whole"]:
        return list(old.manifest["sources"])
    return _replaced(old.manifest["sources"], record)


def _replaced(sources: Sequence[dict[str, Any]], record: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(one for one in sources if one["source"] != record["source"]), record]


def _named(ids: Iterable[str]) -> str:
    first = sorted(ids)
    more = f" and {len(first) - NAMED:,} more" if len(first) > NAMED else ""
    return ", ".join(map(repr, first[:NAMED])) + more
