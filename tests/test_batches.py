import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.data.batches import TrainingPairs, equal_texts
from twotower.data.collection import Judgements
from twotower.text.ragged import Ragged

QUERIES = Ragged.of([[2], [3], [4], [2]])  # query 3 reads as query 0 does
DOCS = Ragged.of([[5], [6, 7], [8], [5], [9]])  # document 3 reads as document 0 does


def judgements(*rows: tuple[int, int, int]) -> Judgements:
    table = np.array(rows, dtype=np.int64)
    return Judgements(table[:, 0], table[:, 1], table[:, 2].astype(np.int32))


PAIRS = TrainingPairs.build(judgements((0, 0, 1), (0, 2, 2), (1, 1, 1), (2, 4, 0)), QUERIES, DOCS)


def test_column_i_is_the_positive_of_row_i():
    (batch,) = PAIRS.epoch(0, 1, batch_size=8, random_negatives=0)

    pairs = {(tuple(batch.queries[i]), tuple(batch.docs[i])) for i in range(3)}
    assert pairs == {((2,), (5,)), ((2,), (8,)), ((3,), (6, 7))}
    assert batch.relevant.diagonal().all()


def test_every_known_positive_and_every_copy_of_one_is_marked():
    relevant = PAIRS.relevant(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 3, 4]))

    # query 0 knows documents 0 and 2; document 3 copies 0; query 3 copies query 0; query 2's grade is 0
    assert relevant.astype(int).tolist() == [
        [1, 0, 1, 1, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [1, 0, 1, 1, 0],
    ]


def test_a_document_drawn_twice_is_marked_twice():
    assert PAIRS.relevant(np.array([1]), np.array([1, 0, 1])).tolist() == [[True, False, True]]


def test_grades_below_min_grade_are_no_pairs():
    pairs = TrainingPairs.build(judgements((0, 0, 1), (0, 2, 2)), QUERIES, DOCS, min_grade=2)

    assert pairs.doc_rows.tolist() == [2]
    assert pairs.relevant(np.array([0]), np.array([0, 2])).tolist() == [[False, True]]


def test_no_pair_is_an_error_that_names_the_grades():
    with pytest.raises(ValueError, match="no judgement reaches min_grade 3, highest 2"):
        TrainingPairs.build(judgements((0, 2, 2)), QUERIES, DOCS, min_grade=3)


def test_the_last_batch_is_smaller_and_kept():
    batches = list(PAIRS.epoch(0, 1, batch_size=2, random_negatives=4))

    assert PAIRS.batches(2) == len(batches) == 2
    assert [batch.relevant.shape for batch in batches] == [(2, 6), (1, 5)]
    assert [len(batch.docs) for batch in batches] == [6, 5]


def test_an_epoch_restarts_at_any_batch():
    whole = list(PAIRS.epoch(7, 3, batch_size=1, random_negatives=4))
    rest = list(PAIRS.epoch(7, 3, batch_size=1, random_negatives=4, first=1))

    assert len(rest) == 2
    for one, other in zip(whole[1:], rest, strict=True):
        assert one.docs.ids.tolist() == other.docs.ids.tolist()
        assert one.queries.ids.tolist() == other.queries.ids.tolist()


def test_epochs_and_seeds_differ():
    def drawn(seed: int, epoch: int) -> list[int]:
        (batch,) = PAIRS.epoch(seed, epoch, batch_size=3, random_negatives=40)
        return batch.docs.ids.tolist()

    assert drawn(0, 1) == drawn(0, 1)
    assert drawn(0, 1) != drawn(0, 2)
    assert drawn(0, 1) != drawn(1, 1)


def test_equal_ids_are_one_class_whatever_stands_between():
    assert equal_texts(Ragged.of([[1, 2], [1], [2], [1, 2], [1]])).tolist() == [0, 1, 2, 0, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_mask_equals_the_definition(seed: int):
    rng = np.random.default_rng(seed)
    queries, docs = (Ragged.of(rng.integers(2, 5, (n, 2)).tolist()) for n in (6, 9))
    known = np.unique(np.stack([rng.integers(6, size=8), rng.integers(9, size=8)], axis=1), axis=0)
    pairs = TrainingPairs.build(judgements(*((q, d, 1) for q, d in known.tolist())), queries, docs)
    rows, columns = rng.integers(6, size=4), rng.integers(9, size=7)

    def relevant(query: int, doc: int) -> bool:
        return any(
            queries[q].tolist() == queries[query].tolist() and docs[d].tolist() == docs[doc].tolist()
            for q, d in known
        )

    wanted = [[relevant(q, d) for d in columns] for q in rows]
    assert pairs.relevant(rows, columns).tolist() == wanted
