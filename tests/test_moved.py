from twotower.search import moved
from twotower.search.searcher import Answer, Hit


def answer(*ids: str) -> Answer:
    hits = tuple(Hit(rank, doc_id, 1.0 / rank, "", "") for rank, doc_id in enumerate(ids, start=1))
    return Answer("q", hits, 0.0, 0.0, 0.0, ())


def test_every_document_of_both_stands_once_by_its_better_rank() -> None:
    found = moved.side_by_side(answer("a", "b", "c"), answer("c", "a", "d"))
    assert [one.doc_id for one in found] == ["a", "c", "b", "d"]
    assert [one.up for one in found] == [-1, 2, None, None]
    assert [(one.first is None, one.second is None) for one in found[2:]] == [(False, True), (True, False)]


def test_overlap_counts_what_both_have() -> None:
    assert moved.overlap(answer("a", "b"), answer("b", "c")) == 1
    assert moved.overlap(answer(), answer("b")) == 0
    assert moved.side_by_side(answer(), answer()) == []
