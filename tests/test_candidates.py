from dataclasses import replace

import numpy as np
import pytest
from passages_case import passages

from twotower.data.collection import Collection, Judgements
from twotower.evaluation import candidates
from twotower.evaluation.candidates import Lists


def judgements(*pairs: tuple[int, int, int]) -> Judgements:
    queries, docs, grades = np.array(sorted(pairs), dtype=np.int64).T
    return Judgements(queries, docs, grades.astype(np.int32))


def lists(*pairs: tuple[int, int]) -> Lists:
    queries, docs = np.array(pairs, dtype=np.int64).T
    return Lists.of(queries, docs)


def test_a_querys_own_candidates_are_its_judged_documents_whatever_the_grade() -> None:
    found = candidates.judged(judgements((7, 3, 0), (7, 1, 1), (9, 2, -1)))
    assert found.queries.tolist() == [7, 9]
    assert [each.tolist() for each in found.each()] == [[1, 3], [2]]
    assert (found.sizes.tolist(), found.most, found.mean) == ([2, 1], 2, 1.5)
    assert found.numbers.tolist() == [0, 0, 1]


def test_the_order_of_the_pairs_changes_nothing() -> None:
    ours, theirs = lists((4, 9), (2, 5), (4, 1), (2, 7)), lists((2, 5), (2, 7), (4, 1), (4, 9))
    assert ours.docs.tolist() == theirs.docs.tolist() == [5, 7, 1, 9]
    assert ours.offsets.tolist() == [0, 2, 4]


def test_the_documents_to_encode_stand_once() -> None:
    assert lists((1, 5), (1, 3), (2, 5)).members.tolist() == [3, 5]


def test_the_digest_goes_by_ids_and_not_by_rows_texts_or_grades() -> None:
    collection = passages(8)
    own = candidates.judged(collection.judgements("dev"))
    texts = replace(collection, doc_texts=tuple(text.upper() for text in collection.doc_texts))
    assert candidates.digest(own, collection) == candidates.digest(own, texts)
    names = replace(collection, doc_ids=tuple(f"x{doc}" for doc in collection.doc_ids))
    assert candidates.digest(own, collection) != candidates.digest(own, names)
    extra = {"0": "first of all rows", **dict(zip(collection.doc_ids, collection.doc_texts, strict=True))}
    queries = dict(zip(collection.query_ids, collection.query_texts, strict=True))
    larger = Collection.from_dicts(extra, queries, collection.qrels)
    moved = candidates.judged(larger.judgements("dev"))
    assert moved.docs.tolist() != own.docs.tolist()
    assert candidates.digest(moved, larger) == candidates.digest(own, collection)


def test_a_document_that_changes_lists_changes_the_digest() -> None:
    collection = passages(8)
    ours, theirs = lists((0, 1), (0, 2), (1, 3)), lists((0, 1), (1, 2), (1, 3))
    assert candidates.digest(ours, collection) != candidates.digest(theirs, collection)


def test_relevant_documents_that_the_lists_lack_are_counted() -> None:
    judged = judgements((0, 1, 1), (0, 2, 0), (0, 3, 2), (1, 4, 1), (1, 5, 0))
    found = candidates.check(lists((0, 1), (0, 2), (1, 5)), judged, min_grade=1, where="here")
    assert found == 2  # 3 of query 0, 4 of query 1
    assert candidates.check(candidates.judged(judged), judged, min_grade=1, where="here") == 0


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 1, 1), (1, 2, 1)],
        [(0, 1, 1), (0, 2, 1)],
        [(0, 1, 1), (1, 2, 0), (1, 3, 0)],
    ],
    ids=["one document each", "two relevant", "nothing relevant"],
)
def test_lists_that_no_model_can_order_better_or_worse_are_refused(pairs: list[tuple[int, int, int]]) -> None:
    judged = judgements(*pairs)
    with pytest.raises(ValueError, match=r"here: candidates=own: none of .*every model would score the same"):
        candidates.check(candidates.judged(judged), judged, min_grade=1, where="here")


def test_the_least_grade_decides_what_another_document_is() -> None:
    judged = judgements((0, 1, 1), (0, 2, 2))
    assert candidates.check(candidates.judged(judged), judged, min_grade=2, where="here") == 0
    with pytest.raises(ValueError, match="want documents judged below 1"):
        candidates.check(candidates.judged(judged), judged, min_grade=1, where="here")


def test_metrics_that_no_model_moves_are_named_in_one_remark() -> None:
    found = {"mrr": 0.4, "mrr_10": 0.4, "recall_5": 0.9, "recall_8": 1.0, "success_10": 1.0, "judged": 12}
    assert candidates.remark(found, 8) == (
        "recall_8, success_10: at most 8 candidates a query, 1.0 for every model"
    )
    missed = found | {"recall_8": 0.8}
    assert candidates.remark(missed, 8).endswith("8 candidates a query, the same for every model")
    assert candidates.remark(found, 11) == ""
    assert candidates.remark(found, 0) == ""  # the whole corpus is ranked
