import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.data.batches import Batch, TrainingPairs, first_equal
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


# query 0: document 0 relevant, 1, 2 and 4 not; query 3 reads as query 0 and refuses 3, which reads as 0
JUDGED = TrainingPairs.build(
    judgements((0, 0, 1), (0, 1, 0), (0, 2, 0), (0, 4, -1), (1, 1, 2), (1, 2, 0), (2, 0, 0), (3, 3, 0)),
    QUERIES,
    DOCS,
)


def drawn_columns(batch: Batch, pairs: int) -> set[tuple[int, ...]]:
    """The documents of a batch behind its positives."""
    return {tuple(batch.docs[column].tolist()) for column in range(pairs, len(batch.docs))}


def test_given_negatives_stand_behind_the_positives_each_once():
    for epoch in range(20):
        (batch,) = JUDGED.epoch(0, epoch, batch_size=8, random_negatives=0, given_negatives=9)
        # documents 1, 2 and 4 for query 0, of which 1 is query 1's positive; 2 for query 1 too
        assert drawn_columns(batch, 2) == {(8,), (9,)}
        assert len(batch.docs) == 4


def test_every_known_negative_is_marked_whoever_drew_it():
    (batch,) = JUDGED.epoch(0, 1, batch_size=8, random_negatives=0, given_negatives=9)
    texts = [tuple(text.tolist()) for text in map(batch.docs.__getitem__, range(4))]
    marked = {
        (int(batch.queries[row][0]), texts[column])
        for row, column in zip(*np.nonzero(batch.given), strict=True)
    }
    assert marked == {(2, (6, 7)), (2, (8,)), (2, (9,)), (3, (8,))}
    assert not (batch.given & batch.relevant).any()


def test_what_reads_as_a_positive_is_no_given_negative():
    # document 3 was refused for query 3, but reads as document 0, which is relevant to what query 3 reads as
    assert JUDGED.refused.docs.tolist() == [1, 2, 4, 2]


def test_the_negatives_of_a_query_in_no_pair_are_none():
    assert PAIRS.refused.docs.tolist() == []


def test_a_pair_of_a_query_without_a_positive_is_its_own_given_negative_where_it_is_asked_for():
    judged = judgements((0, 0, 1), (0, 1, 0), (2, 4, 0))
    pairs = TrainingPairs.build(judged, QUERIES, DOCS, lone=True)
    (batch,) = pairs.epoch(0, 1, batch_size=8, random_negatives=0, given_negatives=1)
    lone = batch.query_rows.tolist().index(2)
    assert len(pairs) == 2
    assert batch.doc_rows[lone] == 4
    assert batch.given[lone, lone]
    assert not batch.relevant[lone].any()
    assert not batch.given[1 - lone, 1 - lone]


def test_given_negatives_are_drawn_evenly_and_no_more_than_asked_for():
    counts = dict.fromkeys([(6, 7), (8,), (9,)], 0)
    only = TrainingPairs.build(judgements((0, 0, 1), (0, 1, 0), (0, 2, 0), (0, 4, 0)), QUERIES, DOCS)
    for epoch in range(600):
        (batch,) = only.epoch(0, epoch, batch_size=1, random_negatives=0, given_negatives=2)
        drawn = drawn_columns(batch, 1)
        assert len(drawn) == len(batch.docs) - 1 == 2
        for doc in drawn:
            counts[doc] += 1
    assert all(
        360 <= count <= 440 for count in counts.values()
    )  # 400 expected, sd sqrt(600 / 3 * 2 / 3) = 12


def test_none_are_given_where_none_are_asked_for():
    (batch,) = JUDGED.epoch(0, 1, batch_size=8, random_negatives=3, given_negatives=0)
    assert batch.given.shape == (2, 5)
    assert not batch.given.any()


def test_given_negatives_change_nothing_else_of_a_batch():
    plain = list(JUDGED.epoch(5, 2, batch_size=1, random_negatives=3))
    more = list(JUDGED.epoch(5, 2, batch_size=1, random_negatives=3, given_negatives=1))
    assert len(plain) == len(more) == 2
    for one, other in zip(plain, more, strict=True):
        assert one.queries.ids.tolist() == other.queries.ids.tolist()
        ends = [0, -3, -2, -1]  # the positive, and what was drawn from the corpus
        assert [one.docs[len(one.docs) + end if end else 0].tolist() for end in ends] == [
            other.docs[len(other.docs) + end if end else 0].tolist() for end in ends
        ]


def test_a_collection_without_negatives_gives_the_batches_it_always_gave():
    # read off before there were given negatives
    (batch,) = PAIRS.epoch(7, 3, batch_size=8, random_negatives=6, given_negatives=4)
    assert batch.queries.ids.tolist() == [2, 2, 3]
    assert batch.docs.ids.tolist() == [5, 8, 6, 7, *(8, 9, 6, 7, 6, 7, 5, 5)]
    assert not batch.given.any()


def test_given_negatives_too_restart_at_any_batch():
    whole = list(JUDGED.epoch(7, 3, batch_size=1, random_negatives=2, given_negatives=1))
    (rest,) = JUDGED.epoch(7, 3, batch_size=1, random_negatives=2, given_negatives=1, first=1)
    assert rest.docs.ids.tolist() == whole[1].docs.ids.tolist()
    assert rest.given.tolist() == whole[1].given.tolist()


def test_equal_ids_are_one_class_whatever_stands_between():
    assert first_equal(Ragged.of([[1], [1], [2], [1, 2], [1], [1, 2]])).tolist() == [0, 0, 2, 3, 0, 3]


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


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_mask_of_given_negatives_equals_the_definition(seed: int):
    rng = np.random.default_rng(seed)
    queries, docs = (Ragged.of(rng.integers(2, 5, (n, 2)).tolist()) for n in (6, 9))
    places = np.unique(np.stack([rng.integers(6, size=20), rng.integers(9, size=20)], axis=1), axis=0)
    rows = [(q, d, g) for (q, d), g in zip(places.tolist(), rng.integers(0, 2, len(places)), strict=True)]
    pairs = TrainingPairs.build(judgements(*rows, (5, 8, 1)), queries, docs)

    def judged(query: np.ndarray, doc: np.ndarray, grade: int) -> bool:
        return any(
            queries[q].tolist() == query.tolist() and docs[d].tolist() == doc.tolist()
            for q, d, g in [*rows, (5, 8, 1)]
            if g == grade
        )

    for batch in pairs.epoch(seed, 1, batch_size=4, random_negatives=3, given_negatives=2):
        texts = [[batch.docs[column] for column in range(len(batch.docs))] for _ in range(len(batch.queries))]
        wanted = [
            [judged(batch.queries[row], doc, 0) and not judged(batch.queries[row], doc, 1) for doc in line]
            for row, line in enumerate(texts)
        ]
        assert batch.given.tolist() == wanted


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_masks_of_some_rows_and_columns_are_parts_of_the_whole(seed: int):
    rng = np.random.default_rng(seed)
    (batch,) = JUDGED.epoch(seed, 1, batch_size=8, random_negatives=5, given_negatives=2)
    relevant, refused = batch.marks()
    assert relevant.tolist() == batch.relevant.tolist()
    assert refused.tolist() == batch.given.tolist()
    for _ in range(5):
        low, high = sorted(rng.integers(0, len(batch.doc_rows) + 1, 2).tolist())
        row, columns = slice(*sorted(rng.integers(0, 3, 2).tolist())), slice(low, high)
        some = batch.marks(row, columns)
        assert [part.tolist() for part in some] == [
            relevant[row, columns].tolist(),
            refused[row, columns].tolist(),
        ]
