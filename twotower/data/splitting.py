"""Splits for a collection that lacks them: no document is relevant in two of them.

queries   q1 q2 q3 q4        q1 and q2 share a relevant document: they form a group and move together
groups    {q1 q2} {q3} {q4}  -> train {q1 q2}, dev {q3}, test {q4}
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twotower.data.collection import Collection, sorted_qrels

WHOLE = "all"
"""The one split of a collection that is still to be divided."""
DEV = ("dev", "validation", "valid", "val")
"""Names under which a dev split comes."""


def canonical(name: str) -> str:
    """A split by the name that it has here.

    >>> canonical("validation"), canonical("Train"), canonical("holdout")
    ('dev', 'train', 'holdout')
    """
    return "dev" if name.lower() in DEV else name.lower()


def hold_out_dev(collection: Collection, share: float, rng: np.random.Generator) -> Collection:
    """The same collection with about `share` of its train queries moved into a new split "dev".

    Queries that share a relevant document (grade above 0) move together, so no document is relevant in both;
    a group that is larger than the room left stays in train, as do queries without a relevant document.
    Raises ValueError without a train split, with a dev split already there, or where no group can move.
    """
    if not 0 < share < 1:
        raise ValueError(f"{collection.name}: dev share {share}, want a number between 0 and 1")
    if "dev" in collection.splits:
        raise ValueError(
            f"{collection.name}: it has a dev split already, beside {', '.join(collection.splits)}"
        )
    train = collection.split("train")
    groups = _groups(train)
    total = sum(map(len, groups))
    if len(groups) < 2:
        found = f"{total} train queries with a relevant document in {len(groups)} groups that share documents"
        raise ValueError(f"{collection.name}: {found}, want two groups to hold one out as dev")
    room = min(max(1, round(share * total)), total - 1)
    held: set[str] = set()
    for number in rng.permutation(len(groups)).tolist():
        if len(held) + len(groups[number]) <= room:
            held.update(groups[number])
    if not held:  # every group is larger than the room: the smallest comes nearest
        smallest = min(groups, key=len)
        held.update(smallest)
    kept = {query: grades for query, grades in train.items() if query not in held}
    dev = {query: train[query] for query in train if query in held}
    return replace(collection, qrels=sorted_qrels({**collection.qrels, "train": kept, "dev": dev}))


def by_documents(collection: Collection, share: float, rng: np.random.Generator) -> Collection:
    """The same collection with its one split "all" divided into train, dev and test.

    Train gets `share` of the queries that have a relevant document (grade above 0), dev and test half of the
    rest each, as near as whole groups allow: queries that share a relevant document, also through others,
    stay together. A group larger than the room left stays in train, and so do queries without a relevant
    document. Two groups make train and dev alone.
    Raises ValueError for another share than one between 0 and 1, without a split "all", and where all queries
    are one group.
    """
    if not 0 < share < 1:
        raise ValueError(f"{collection.name}: train share {share}, want a number between 0 and 1")
    judged = collection.split(WHOLE)
    groups = _groups(judged)
    total = sum(map(len, groups))
    if len(groups) < 2:
        found = f"{total} queries with a relevant document in {len(groups)} groups that share documents"
        raise ValueError(f"{collection.name}: no splits, and {found}, want two groups for train and dev")
    rest = min(max(1, round((1 - share) * total)), total - 1)
    room = {"dev": rest - rest // 2, "test": rest // 2} if len(groups) > 2 else {"dev": rest}
    split_of = _placed([groups[number] for number in rng.permutation(len(groups)).tolist()], room)
    parts: dict[str, dict[str, Mapping[str, int]]] = {name: {} for name in ("train", *room)}
    for query, grades in judged.items():
        parts[split_of.get(query, "train")][query] = grades
    others = {split: judged for split, judged in collection.qrels.items() if split != WHOLE}
    return replace(collection, qrels=sorted_qrels({**others, **parts}))


def _placed(groups: list[list[str]], room: dict[str, int]) -> dict[str, str]:
    """Split of each query that does not stay in train; `room` is how many queries each split wants."""
    split_of: dict[str, str] = {}
    empty = set(room)
    staying = []
    for group in groups:
        name = max(room, key=lambda name: (name in empty, room[name]))
        if len(group) > room[name]:
            staying.append(group)
            continue
        empty.discard(name)
        room[name] -= len(group)
        split_of.update(dict.fromkeys(group, name))
    staying.sort(key=len, reverse=True)
    for name in room:  # one more group where there is none yet, or where that comes nearer
        if len(staying) > 1 and (name in empty or len(staying[-1]) < 2 * room[name]):
            split_of.update(dict.fromkeys(staying.pop(), name))
    return split_of


def _groups(judged: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Queries with a relevant document, together where they share one, also through others."""
    parent: dict[str, str] = {}

    def root(query: str) -> str:
        while parent[query] != query:
            parent[query] = parent[parent[query]]
            query = parent[query]
        return query

    first_query: dict[str, str] = {}
    for query in sorted(judged):
        for doc in (doc for doc, grade in judged[query].items() if grade > 0):
            parent.setdefault(query, query)
            parent[root(query)] = root(first_query.setdefault(doc, query))
    groups: dict[str, list[str]] = {}
    for query in parent:
        groups.setdefault(root(query), []).append(query)
    return list(groups.values())
