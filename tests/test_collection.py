import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.data.collection import Collection

DOCS = {"d2": "Ulm lies on the Danube.", "d1": {"title": "Einstein", "text": "Born in Ulm."}, "d3": "Cats."}
QUERIES = {"q2": "which river", "q1": "where was einstein born", "q3": "never judged"}
QRELS = {"train": {"q2": {"d2": 1}, "q1": {"d1": 2, "d3": 0}}, "test": {"q1": {"d2": 1}}}


def small() -> Collection:
    return Collection.from_dicts(DOCS, QUERIES, QRELS, name="small")


def test_ids_stand_sorted_with_their_texts():
    collection = small()
    assert collection.doc_ids == ("d1", "d2", "d3")
    assert collection.doc_titles == ("Einstein", "", "")
    assert collection.query_texts == ("where was einstein born", "which river", "never judged")
    assert collection.splits == ("test", "train")


def test_a_tower_reads_title_and_text():
    assert small().doc_inputs() == ["Einstein Born in Ulm.", "Ulm lies on the Danube.", "Cats."]


def test_judgements_are_rows_sorted_by_query_then_document():
    judgements = small().judgements("train")
    # q1 is row 0: d1 (row 0) grade 2, d3 (row 2) grade 0; q2 is row 1: d2 (row 1) grade 1
    assert judgements.queries.tolist() == [0, 0, 1]
    assert judgements.docs.tolist() == [0, 2, 1]
    assert judgements.grades.tolist() == [2, 0, 1]
    assert (judgements.queries.dtype, judgements.docs.dtype, judgements.grades.dtype) == ("i8", "i8", "i4")
    assert len(judgements) == 3


def test_an_unknown_split_names_those_there_are():
    with pytest.raises(ValueError, match=r"^small: no split 'dev', there is test, train$"):
        small().judgements("dev")


@given(st.integers(0, 2**32))
def test_the_order_of_what_is_given_changes_no_hash(seed):
    shuffle = random.Random(seed).sample
    docs = dict(shuffle(list(DOCS.items()), 3))
    queries = dict(shuffle(list(QUERIES.items()), 3))
    qrels = {
        split: {
            query: dict(shuffle(list(QRELS[split][query].items()), len(QRELS[split][query])))
            for query in order
        }
        for split in shuffle(list(QRELS), 2)
        for order in [shuffle(list(QRELS[split]), len(QRELS[split]))]
    }
    other = Collection.from_dicts(docs, queries, qrels, name="other")
    assert other.hash == small().hash
    assert other.corpus_hash == small().corpus_hash
    assert other.queries_hash("train") == small().queries_hash("train")
    assert other.qrels_hash("train") == small().qrels_hash("train")


@pytest.mark.parametrize(
    ("docs", "queries", "qrels"),
    [
        (DOCS | {"d3": "Dogs."}, QUERIES, QRELS),
        (DOCS | {"d3": {"title": "Cats.", "text": ""}}, QUERIES, QRELS),
        (DOCS, QUERIES | {"q3": "other words"}, QRELS),
        (DOCS, QUERIES, QRELS | {"test": {"q1": {"d2": 2}}}),
        (DOCS, QUERIES, {"train": QRELS["train"], "dev": QRELS["test"]}),
    ],
)
def test_any_change_of_content_changes_the_hash(docs, queries, qrels):
    assert Collection.from_dicts(docs, queries, qrels).hash != small().hash


def test_a_letter_that_moves_between_title_and_text_changes_the_hash():
    one = Collection.from_dicts({"d": {"title": "ab", "text": "c"}}, {"q": "x"}, {})
    other = Collection.from_dicts({"d": {"title": "a", "text": "bc"}}, {"q": "x"}, {})
    assert one.corpus_hash != other.corpus_hash


def test_hashes_of_a_split_ignore_the_other_splits():
    other = Collection.from_dicts(DOCS, QUERIES | {"q3": "changed"}, QRELS | {"test": {"q3": {"d1": 1}}})
    assert other.queries_hash("train") == small().queries_hash("train")
    assert other.qrels_hash("train") == small().qrels_hash("train")
    assert other.hash != small().hash


@pytest.mark.parametrize(
    ("docs", "queries", "qrels", "message"),
    [
        ({}, QUERIES, {}, "c: the corpus is empty, want at least one document"),
        (DOCS, {}, {}, "c: no queries, want at least one"),
        (DOCS | {"d9": " \n"}, QUERIES, {}, "c: document 'd9': empty document, want a title or a text"),
        (DOCS | {"d9": {"title": "x"}}, QUERIES, {}, "c: document 'd9': no 'text', it has 'title'"),
        (DOCS | {"d9": 5}, QUERIES, {}, "c: document 'd9': got the int 5, want a string"),
        (DOCS | {7: "text"}, QUERIES, {}, "c: id 7: got the int 7, want a string"),
        (DOCS, QUERIES | {"q9": None}, {}, "c: query 'q9': got null, want a string"),
        (DOCS, {"q": "half \ud800"}, {}, "c: query 'q': half a surrogate pair (U+D800), want valid Unicode"),
        (DOCS, QUERIES, {"dev": {}}, "c: split 'dev' has no judgements"),
        (DOCS, QUERIES, {"dev": {"q9": {"d1": 1}}}, "c: qrels['dev']['q9']: no query has the id 'q9'"),
        (
            DOCS,
            QUERIES,
            {"dev": {"q1": {"d9": 1}}},
            "c: qrels['dev']['q1']: document 'd9' is not in the corpus",
        ),
        (
            DOCS,
            QUERIES,
            {"dev": {"q1": {}}},
            "c: qrels['dev']['q1']: no judgement, want at least one document",
        ),
        (
            DOCS,
            QUERIES,
            {"dev": {"q1": {"d1": 0.5}}},
            "c: qrels['dev']['q1']['d1']: got the float 0.5, want an integer grade",
        ),
        (
            DOCS,
            QUERIES,
            {"q1": {"d1": 1}},
            "c: qrels['q1']['d1']: got the int 1, want {document: grade}; qrels are "
            "{split: {query: {document: grade}}}: wrap a single split as {'test': qrels}",
        ),
    ],
)
def test_wrong_input_is_one_line(docs, queries, qrels, message):
    with pytest.raises(ValueError, match=r"^c: ") as caught:
        Collection.from_dicts(docs, queries, qrels, name="c")
    assert str(caught.value) == message


def test_ids_out_of_order_or_twice_are_refused():
    with pytest.raises(ValueError, match=r"document ids do not ascend: 'd2' before 'd1'"):
        replace(small(), doc_ids=("d2", "d1", "d3"))
    with pytest.raises(ValueError, match=r"query ids do not ascend: 'q1' before 'q1'"):
        replace(small(), query_ids=("q1", "q1", "q3"))
