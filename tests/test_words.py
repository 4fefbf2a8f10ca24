import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.model.words import WordTable, bag_sum, idf, tensors
from twotower.text.ragged import Ragged

TEXTS = Ragged.of([[2, 3, 2], [], [4]])


def parameters(size: int = 6, width: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(size, width, generator=generator, dtype=torch.float64)
    weights = torch.rand(size, generator=generator, dtype=torch.float64)
    return vectors.requires_grad_(), weights.requires_grad_()


def test_a_bag_is_the_weighted_sum_of_its_words():
    vectors = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [10.0, 20.0], [5.0, 6.0]])
    weights = torch.tensor([1.0, 1.0, 3.0, 0.5, 2.0])

    bags = bag_sum(vectors, weights, *tensors(TEXTS, torch.device("cpu")))

    # 3 (1, 2) + 0.5 (10, 20) + 3 (1, 2);  nothing;  2 (5, 6)
    assert bags.tolist() == [[11.0, 22.0], [0.0, 0.0], [10.0, 12.0]]


def test_the_gradient_is_the_numerical_one():
    vectors, weights = parameters()
    ids, offsets = tensors(TEXTS, torch.device("cpu"))

    assert torch.autograd.gradcheck(lambda v, w: bag_sum(v, w, ids, offsets), (vectors, weights))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=6))
def test_the_gradient_is_that_of_the_plain_sum(texts: list[list[int]]):
    (vectors, weights), (plain_vectors, plain_weights) = parameters(), parameters()
    ids, offsets = tensors(Ragged.of(texts), torch.device("cpu"))
    signs = torch.arange(2 * len(texts), dtype=torch.float64).reshape(-1, 2).sin()

    (bag_sum(vectors, weights, ids, offsets) * signs).sum().backward()
    rows = (plain_vectors * plain_weights[:, None])[ids.long()]
    owners = torch.repeat_interleave(offsets.diff())
    (torch.zeros(len(texts), 2, dtype=torch.float64).index_add(0, owners, rows) * signs).sum().backward()

    torch.testing.assert_close(vectors.grad, plain_vectors.grad)
    torch.testing.assert_close(weights.grad, plain_weights.grad)


def test_only_words_of_the_batch_have_a_gradient():
    vectors, weights = parameters()
    bag_sum(vectors, weights, *tensors(TEXTS, torch.device("cpu"))).sum().backward()

    assert vectors.grad.any(dim=1).tolist() == [False, False, True, True, True, False]
    assert weights.grad.ne(0).tolist() == [False, False, True, True, True, False]


def test_frozen_vectors_have_no_gradient():
    vectors, weights = parameters()
    vectors.requires_grad_(False)

    bag_sum(vectors, weights, *tensors(TEXTS, torch.device("cpu"))).sum().backward()

    assert vectors.grad is None
    assert weights.grad is not None


def test_the_gradient_is_the_same_from_run_to_run():
    rng = np.random.default_rng(0)
    texts = Ragged.of(rng.integers(0, 200, (300, 40)).tolist())
    ids, offsets = tensors(texts, torch.device("cpu"))
    signs = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))

    def gradients() -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        leaves = [torch.randn(200, 8, generator=generator), torch.rand(200, generator=generator)]
        (bag_sum(*(leaf.requires_grad_() for leaf in leaves), ids, offsets) * signs).sum().backward()
        return [leaf.grad for leaf in leaves]

    first = gradients()
    assert all(torch.equal(a, b) for _ in range(5) for a, b in zip(first, gradients(), strict=True))


def test_a_table_looks_words_up_and_learns_them():
    table = WordTable(np.array([[0, 0], [1, 2], [3, 4]], dtype=np.float32))
    rows = table(torch.tensor([2, 1, 2]), torch.tensor([1.0, 10.0, 0.5]))
    rows.sum().backward()

    assert rows.tolist() == [[1.5, 2], [10, 20], [1.5, 2]]
    assert table.vectors.grad.tolist() == [[0, 0], [10, 10], [1, 1]]  # word 2 stands there twice, at 0.5


def test_a_table_is_a_copy():
    vectors = np.ones((3, 2), dtype=np.float32)
    table = WordTable(vectors)
    vectors[:] = 7

    assert table.vectors.eq(1).all()


def test_idf_counts_documents_not_words():
    # 3 documents: word 2 in all, word 3 in one, word 4 in none
    values = idf(Ragged.of([[2, 3, 3], [2], [2]]), 5)

    assert values[2] == pytest.approx(np.log10(1 + 3 / 4))
    assert values[3] == pytest.approx(np.log10(1 + 3 / 2))
    assert values[4] == pytest.approx(np.log10(1 + 3 / 1))
    assert values.dtype == np.float32


def test_read_only_arrays_become_tensors_without_a_warning():
    ids, offsets = TEXTS.ids.copy(), TEXTS.offsets.copy()
    ids.flags.writeable = offsets.flags.writeable = False

    got = tensors(Ragged(ids, offsets), torch.device("cpu"))

    assert got[0].tolist() == [2, 3, 2, 4]
