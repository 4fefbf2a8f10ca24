import numpy as np
import pytest

from twotower.search import stored
from twotower.search.products import PIECE, part, products

STORAGES = tuple(stored.FILES)


def drawn(count: int, dim: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("count", [1, PIECE - 1, PIECE, 2 * PIECE + 3])
@pytest.mark.parametrize("dim", [1, 7, 64])
def test_scores_are_the_products_in_double(storage: str, count: int, dim: int) -> None:
    docs, query = stored.in_memory(drawn(count, dim), storage), drawn(1, dim)[0]
    want = docs[0:count].astype(np.float64) @ query.astype(np.float64)
    found = products(docs, query)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * dim)


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 6e-8, -6e-8],  # the smallest that float16 has
        [65504.0, -65504.0, 1.0, -1.0],
        [6.1e-5, 6.0e-5, 3.0e-5, -6.0e-5],  # around the smallest normal one
    ],
)
def test_every_float16_is_read_as_it_is(values: list[float]) -> None:
    docs = stored.in_memory(np.diag(np.array(values, dtype=np.float32)), "float16")
    np.testing.assert_allclose(
        products(docs, np.ones(4, np.float32)), docs[0:4].astype(np.float64).sum(axis=1), rtol=1e-6
    )


def test_all_float16_there_are() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = every[np.isfinite(every)][:, None]
    docs = stored.in_memory(every, "float16")
    np.testing.assert_array_equal(products(docs, np.ones(1, np.float32)), every[:, 0])


@pytest.mark.parametrize("length", [1e-20, 1.0, 2.0**31])
def test_queries_of_any_length(length: float) -> None:
    docs = stored.in_memory(drawn(50, 8), "float16")
    query = (drawn(1, 8)[0] * length).astype(np.float32)
    want = docs[0:50].astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(products(docs, query), want, rtol=1e-4, atol=1e-5 * length)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_part_is_the_rows_themselves(storage: str) -> None:
    docs, query = stored.in_memory(drawn(100, 5), storage), drawn(1, 5)[0]
    whole = products(docs, query)
    np.testing.assert_allclose(products(part(docs, 30, 60), query), whole[30:60], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(part(drawn(9, 5), 3, 5)), drawn(9, 5)[3:5])
