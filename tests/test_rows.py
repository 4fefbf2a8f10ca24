import hashlib

import pytest

from twotower.config import Pairs, Triplets
from twotower.data import columns, rows
from twotower.data.ledger import BadLine


def parse(record, kind=Triplets, **knobs):
    cfg = kind(path="", **knobs)
    return rows.parse(record, columns.find(list(record), cfg), cfg)


def pair(**record):
    return {"query": "where born", "doc": "Ulm", **record}


def triplet(**record):
    return {"query": "where born", "positive": "Ulm", "negative": "Bern", **record}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_text_without_an_id_is_called_by_its_hash():
    row = parse(triplet(title="City"))
    assert row.query == (sha("where born"), "where born")
    assert row.docs == {sha("City\nUlm"): ("City", "Ulm"), sha("Bern"): ("", "Bern")}
    assert row.grades == {sha("City\nUlm"): 1, sha("Bern"): 0}


def test_given_ids_are_kept_and_whole_numbers_are_ids():
    row = parse(triplet(query_id=7, positive_id="d1", negative_id="007", split="Train"))
    assert (row.query[0], row.grades, row.split) == ("7", {"d1": 1, "007": 0}, "Train")


def test_lists_hold_several_documents_with_their_ids_and_titles():
    record = {"query": "q", "pos": ["a", "b"], "pos_id": [1, 2], "title": ["A", None], "neg": ["c", "c"]}
    row = parse(record)
    assert row.docs == {"1": ("A", "a"), "2": ("", "b"), sha("c"): ("", "c")}
    assert list(row.grades.values()) == [1, 1, 0]


@pytest.mark.parametrize(
    ("score", "relevant_from", "grade"),
    [
        *((1, 0, 1), (0, 0, 0), (-2, 0, -2), ("3", 0, 3), ("1.0", 0, 1), (2.0, 0, 2), (" 1e2 ", 0, 100)),
        *((0.7, 0.7, 1), ("0.69", 0.7, 0), (5, 0.7, 1), ("-1e9", -1, 0), (2**31 - 1, 0, 2**31 - 1)),
    ],
)
def test_a_score_is_a_grade_or_reaches_the_threshold(score, relevant_from, grade):
    row = parse(pair(score=score), Pairs, relevant_from=relevant_from)
    assert list(row.grades.values()) == [grade]


def test_a_pair_without_a_score_is_relevant():
    assert list(parse(pair(), Pairs).grades.values()) == [1]
    assert list(parse(pair(doc=["a", "b"]), Pairs).grades.values()) == [1, 1]
    assert list(parse(pair(doc=["a", "b"], score=[2, 0]), Pairs).grades.values()) == [2, 0]


@pytest.mark.parametrize(
    ("record", "kind", "said"),
    [
        (triplet(query=""), "empty query", "query: empty, want a text"),
        (triplet(query=" \t"), "empty query", "query: blank, want a text"),
        (triplet(positive=None), "empty positive", "positive: empty, want a text"),
        (triplet(positive=[]), "empty positive", "positive: an empty list, want at least one text"),
        (triplet(negative=["a", ""]), "empty negative", "negative: empty, want a text"),
        (triplet(query=3), "wrong query", "query: got the int 3, want a string"),
        (triplet(negative={"a": 1}), "wrong negative", "negative: got a dict, want a string"),
        (
            triplet(positive="\ud800"),
            "wrong positive",
            "positive: half a surrogate pair (U+D800), want valid",
        ),
        (triplet(query_id=1.0), "wrong query id", "query id: got the float 1.0, want a string"),
        (triplet(query_id=True), "wrong query id", "query id: got the bool True, want a string"),
        (triplet(negative_id=""), "empty negative id", "negative id: empty, want a text"),
        (triplet(title=3), "wrong title", "title: got the int 3, want a string"),
        (triplet(split=""), "empty split", "split: empty, want a text"),
        (triplet(negative="Ulm"), "positive is negative", "'Ulm' is positive and negative"),
        (triplet(negative="Ulm", negative_id="other"), "positive is negative", "'Ulm' is positive and negat"),
        (
            triplet(positive_id="d", negative_id="d"),
            "positive is negative",
            "'Bern' is positive and negative",
        ),
        (
            triplet(positive=["a", "b"], positive_id=["d", "d"]),
            "id of two texts",
            "document id 'd' names two different texts on this line",
        ),
        (
            triplet(positive=["a", "b"], positive_id=["d"]),
            "unequal lists",
            "positive_id: 1 values for 2 documents, want as many",
        ),
    ],
)
def test_a_record_that_holds_no_triplet_says_why(record, kind, said):
    with pytest.raises(BadLine) as caught:
        parse(record)
    assert str(caught.value).startswith(said)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("score", "kind", "said"),
    [
        ("high", "bad score", "score: got 'high', want a number"),
        ("", "bad score", "score: got '', want a number"),
        ("1_0", "bad score", "score: got '1_0', want a number"),
        ("nan", "bad score", "score: got 'nan', want a number"),
        (None, "bad score", "score: got null, want a number"),
        (True, "bad score", "score: got the bool True, want a number"),
        (float("nan"), "bad score", "score nan, want a finite number"),
        ("1e999", "bad score", "score 1e999, want a finite number"),
        (10**400, "bad score", "score 1000000000"),
        (2**31, "bad score", "score 2147483648, want a whole number of 32 bits"),
        ("0.5", "score is no grade", "score 0.5, want a whole number, or data.relevant_from=NUMBER"),
        ([1, 0], "unequal lists", "score: 2 values for 1 documents, want as many"),
    ],
)
def test_a_score_that_is_no_grade_says_why(score, kind, said):
    with pytest.raises(BadLine) as caught:
        parse(pair(score=score), Pairs)
    assert str(caught.value).startswith(said)
    assert caught.value.kind == kind


def test_one_document_with_two_scores_in_one_record_is_refused():
    with pytest.raises(BadLine, match="document 'Ulm' has scores 1 and 0"):
        parse(pair(doc=["Ulm", "Ulm"], score=[1, 0]), Pairs)
