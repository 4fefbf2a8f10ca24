import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.data.collection import Collection, hold_out_dev

DOCS = {"d2": "Ulm lies on the Danube.", "d1": {"title": "Einstein", "text": "Born in Ulm."}, "d3": "Cats."}
QUERIES = {"q2": "which river", "q1": "where was einstein born", "q3": "never judged"}
QRELS = {"train": {"q2": {"d2": 1}, "q1": {"d1": 2, "d3": 0}}, "test": {"q1": {"d2": 1}}}


def small() -> Collection:
    return Collection.from_dicts(DOCS, QUERIES, QRELS, name="small")


def judged(relevant: dict[str, list[str]]) -> Collection:
    """A collection whose train split holds these relevant documents of each query."""
    docs = sorted({doc for docs in relevant.values() for doc in docs}) or ["d"]
    train = {query: dict.fromkeys(docs, 1) for query, docs in relevant.items()}
    return Collection.from_dicts(
        dict.fromkeys(docs, "text"), dict.fromkeys(relevant, "words"), {"train": train}, name="judged"
    )


def relevant_docs(collection: Collection, split: str) -> set[str]:
    return {doc for grades in collection.qrels[split].values() for doc, grade in grades.items() if grade > 0}


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


def test_a_dev_split_takes_its_share_of_train_and_nothing_else():
    collection = judged({f"q{n:02}": [f"d{n:02}"] for n in range(40)})
    held = hold_out_dev(collection, 0.1, np.random.default_rng(0))
    # a tenth of 40 queries, each a group of its own
    assert (len(held.qrels["dev"]), len(held.qrels["train"])) == (4, 36)
    assert {**held.qrels["train"], **held.qrels["dev"]} == collection.qrels["train"]
    assert held.corpus_hash == collection.corpus_hash


def test_the_seed_decides_which_queries_are_held_out():
    collection = judged({f"q{n:02}": [f"d{n:02}"] for n in range(40)})
    first, again, other = (hold_out_dev(collection, 0.2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.hash == again.hash
    assert first.hash != other.hash


def test_queries_that_share_documents_through_others_move_together():
    # q0-q1 share a, q1-q2 share b: one group of three; q3 alone; a half of four is two, so the three stay
    collection = judged({"q0": ["a"], "q1": ["a", "b"], "q2": ["b"], "q3": ["c"]})
    for seed in range(10):
        held = hold_out_dev(collection, 0.5, np.random.default_rng(seed))
        assert set(held.qrels["dev"]) == {"q3"}


@given(
    st.dictionaries(
        st.integers(0, 30).map(str),
        st.lists(st.integers(0, 12).map(str), min_size=1, unique=True),
        min_size=1,
    ),
    st.floats(0.01, 0.99),
    st.integers(0, 100),
)
def test_no_document_is_relevant_in_train_and_dev_and_neither_is_empty(relevant, share, seed):
    relevant |= {"alone": ["alone"], "apart": ["apart"]}  # so that there are two groups at least
    held = hold_out_dev(judged(relevant), share, np.random.default_rng(seed))
    assert held.qrels["train"]
    assert held.qrels["dev"]
    assert not relevant_docs(held, "train") & relevant_docs(held, "dev")
    assert len(held.qrels["train"]) + len(held.qrels["dev"]) == len(relevant)


def test_groups_larger_than_the_share_still_give_a_dev_split():
    # two groups of three and two queries, room for one: the smaller group moves
    collection = judged({"q0": ["a"], "q1": ["a"], "q2": ["a"], "q3": ["b"], "q4": ["b"]})
    held = hold_out_dev(collection, 0.1, np.random.default_rng(0))
    assert set(held.qrels["dev"]) == {"q3", "q4"}


def test_queries_without_a_relevant_document_stay_in_train():
    collection = Collection.from_dicts(
        {"a": "x", "b": "y"},
        {"q0": "x", "q1": "y", "q2": "z"},
        {"train": {"q0": {"a": 1}, "q1": {"b": 1}, "q2": {"a": 0}}},
    )
    for seed in range(5):
        assert "q2" in hold_out_dev(collection, 0.9, np.random.default_rng(seed)).qrels["train"]


@pytest.mark.parametrize(
    ("collection", "share", "message"),
    [
        (
            Collection.from_dicts(DOCS, QUERIES, {"test": {"q1": {"d1": 1}}}),
            0.1,
            "no split 'train', there is test$",
        ),
        (Collection.from_dicts(DOCS, QUERIES, {}), 0.1, "no split 'train', there is none$"),
        (judged({"q0": ["a"], "q1": ["a"]}), 0.1, "2 train queries .* in 1 groups .*, want two groups"),
        (judged({"q0": ["a"], "q1": ["b"]}), 1.0, "dev share 1.0, want a number between 0 and 1"),
        (
            Collection.from_dicts(DOCS, QUERIES, {"train": {"q1": {"d1": 1}}, "dev": {"q2": {"d2": 1}}}),
            0.1,
            "it has a dev split already, beside dev, train",
        ),
    ],
)
def test_a_collection_that_gives_no_dev_split_says_why(collection, share, message):
    with pytest.raises(ValueError, match=message):
        hold_out_dev(collection, share, np.random.default_rng(0))
