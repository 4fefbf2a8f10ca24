from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from store_case import COUNT, DIM, check_reading, check_search, identity, ids, vectors

from twotower.search import vector_store
from twotower.search.vector_store import Identity


class InMemory:
    """The smallest store: what a database must give back, from an array."""

    where, key = "memory", "one"

    def __init__(self, short: int = 0) -> None:
        self.held = vectors()
        self.short = short

    def create(self, identity: Identity, algorithm: str) -> None: ...
    def upsert(self, start: int, ids: Sequence[str], vectors: np.ndarray) -> None: ...
    def finish(self) -> None: ...
    def check(self, identity: Identity) -> None: ...
    def alias(self, name: str) -> None: ...
    def drop(self) -> None: ...
    def close(self) -> None: ...
    def search(self, queries: np.ndarray, count: int, effort: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
        found = []
        for query in queries:
            rows = np.argsort(-(self.held @ query))[: count - self.short]
            rows = np.random.default_rng(0).permutation(rows)
            found.append((rows, self.held[rows]))
        return found

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.held[rows]

    def count(self) -> int:
        return len(self.held)

    def ids(self) -> Iterator[str]:
        return iter(ids())


def test_what_is_proposed_in_any_order_is_ordered_exactly() -> None:
    check_search(InMemory())
    check_reading(InMemory())


def test_a_depth_beyond_the_corpus_is_all_of_it() -> None:
    found = vector_store.top(InMemory(), vectors(2, seed=1), COUNT, COUNT + 5)
    assert found.rows.shape == (2, COUNT)
    assert sorted(found.rows[0].tolist()) == list(range(COUNT))


def test_a_database_that_finds_too_little_is_not_believed() -> None:
    with pytest.raises(ValueError, match="memory: it found 8 documents, want 10; check the index"):
        vector_store.top(InMemory(short=6), vectors(1, seed=1), COUNT, 10)


@pytest.mark.parametrize("name", ["owner", "checkpoint", "doc_tower", "corpus", "dim", "documents"])
def test_an_identity_is_another_where_one_thing_is(name: str) -> None:
    own = identity()
    said = {**own.__dict__, name: 17}
    with pytest.raises(ValueError, match=f"^there: one is of another {name} "):
        own.matches(said, "there")
    own.matches(own.__dict__, "there")
    assert DIM != 17
