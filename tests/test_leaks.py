from typing import Any

import pytest

from twotower.data import leaks, near
from twotower.data.collection import Collection
from twotower.data.leaks import Copies, Example, Leak, Leaks, OwnText
from twotower.text.tokenize import Tokenizer

DOCS = {
    "d1": "the heron eats fish at dusk",
    "d2": "The heron eats fish at dusk.",  # reads as d1
    "d3": "the lynx sleeps in the snow all day long",
    "d4": "the lynx sleeps in the snow all night long",  # 7 of 9 words of d3
    "d5": "what does a gecko eat",  # reads as q5
    "d6": "glaciers move",
}
QUERIES = {
    "q1": "what does a heron eat",
    "q2": "What does a heron eat?",  # reads as q1
    "q3": "where does the lynx sleep at night",
    "q4": "where does the lynx sleep at noon",  # 6 of 8 words of q3
    "q5": "what does a gecko eat",
    "q6": "do glaciers move",
    "q7": "nobody judged this",
}
QRELS = {
    "train": {"q1": {"d1": 1}, "q3": {"d3": 1, "d6": 0}},
    "dev": {"q2": {"d1": 1, "d2": 0}, "q4": {"d4": 1}},
    "test": {"q5": {"d3": 1}, "q6": {"d6": 2}, "q1": {"d2": 1}},
}
COLLECTION = Collection.from_dicts(DOCS, QUERIES, QRELS, name="leaky")


def find(collection: Collection = COLLECTION, **knobs: Any) -> Leaks:
    tokenizer = Tokenizer()
    docs = tokenizer.tokenize(collection.doc_inputs())
    joined = near.joined([docs, tokenizer.tokenize(collection.query_texts)])
    settings = {"threshold": 0.7, "min_grade": 1, "shown": 3} | knobs
    return leaks.find(collection, joined, near.word_sets(joined), **settings)


@pytest.fixture(scope="module")
def between() -> dict[tuple[str, str], Leak]:
    return {(leak.subject, leak.other): leak for leak in find().between}


def counts(leak: Leak) -> tuple[int, int, int, int]:
    return leak.texts, leak.same, leak.shared, leak.near


def test_each_two_splits_are_compared_by_queries_and_by_relevant_documents(
    between: dict[tuple[str, str], Leak],
) -> None:
    assert list(between) == [
        ("dev queries", "a train query"),
        ("test queries", "a train query"),
        ("test queries", "a dev query"),
        ("documents relevant in dev", "one relevant in train"),
        ("documents relevant in test", "one relevant in train"),
        ("documents relevant in test", "one relevant in dev"),
    ]


def test_queries_of_the_later_split_are_counted(between: dict[tuple[str, str], Leak]) -> None:
    assert counts(between["dev queries", "a train query"]) == (2, 1, 0, 1)  # q2 as q1; q4 nearly as q3
    # q1 itself; q5 shares 4 of 6 words with q1, less than 0.7
    assert counts(between["test queries", "a train query"]) == (3, 1, 1, 0)
    assert counts(between["test queries", "a dev query"]) == (3, 1, 0, 0)  # q1 as q2


def test_relevant_documents_are_compared_by_id_and_by_text(between: dict[tuple[str, str], Leak]) -> None:
    # relevant: train d1 d3, dev d1 d4, test d2 d3 d6
    assert counts(between["documents relevant in dev", "one relevant in train"]) == (2, 1, 1, 1)
    assert counts(between["documents relevant in test", "one relevant in train"]) == (3, 2, 1, 0)
    assert counts(between["documents relevant in test", "one relevant in dev"]) == (3, 1, 0, 1)


def test_examples_name_both_texts(between: dict[tuple[str, str], Leak]) -> None:
    assert between["dev queries", "a train query"].examples == (
        Example("q2", "q1", True, QUERIES["q2"], QUERIES["q1"]),
        Example("q4", "q3", False, QUERIES["q4"], QUERIES["q3"]),
    )
    assert all(leak.examples == () for leak in find(shown=0).between)


def test_queries_that_are_documents_are_counted_with_what_is_judged_of_them() -> None:
    found = find()
    assert counts(found.queries) == (7, 1, 0, 0)  # q5
    assert found.own_text == OwnText(relevant=0, not_relevant=0, unjudged=1)


@pytest.mark.parametrize(
    ("grade", "own"),
    [(1, OwnText(1, 0, 0)), (0, OwnText(0, 1, 0))],
)
def test_a_query_that_is_judged_with_its_own_text_is_told_apart(grade: int, own: OwnText) -> None:
    qrels = QRELS | {"test": {"q5": {"d5": grade, "d3": 1}}}
    assert find(Collection.from_dicts(DOCS, QUERIES, qrels)).own_text == own


def test_copies_of_documents_are_counted() -> None:
    copies = find().copies
    assert (copies.groups, copies.beyond_first) == (1, 1)  # d2 repeats d1
    assert copies.near == 2  # d3 and d4
    # q1 knows both copies, from two splits; q2 has d1 relevant and d2 not
    assert (copies.unjudged, copies.judged_apart) == (0, 1)


def test_a_copy_that_is_not_judged_is_counted() -> None:
    copies = find(Collection.from_dicts(DOCS, QUERIES, {"train": {"q1": {"d1": 1}}})).copies
    assert (copies.unjudged, copies.judged_apart) == (1, 0)


def test_relevant_begins_at_min_grade() -> None:
    found = find(min_grade=2)
    assert [leak.texts for leak in found.between if "relevant" in leak.subject] == [0, 1, 1]  # d6 in test


def test_texts_without_words_are_no_copies() -> None:
    collection = Collection.from_dicts({"a": "?", "b": "?"}, {"q": "!"}, {"test": {"q": {"a": 1}}})
    assert find(collection).copies == Copies(2, 0, 0, 0, 0, 0)
    assert counts(find(collection).queries) == (1, 0, 0, 0)


def test_a_collection_without_judgements_has_its_copies_counted() -> None:
    found = find(Collection.from_dicts(DOCS, QUERIES, {}))
    assert found.between == ()
    assert found.copies.beyond_first == 1


@pytest.mark.parametrize(
    ("leak", "line"),
    [
        (
            Leak("dev queries", "a train query", 901, 412, 0, 37),
            "412 of 901 dev queries (45.7 %) read the same as a train query; 37 more (4.1 %) nearly the same",
        ),
        (
            Leak("documents relevant in dev", "one relevant in train", 0, 0, 0, 0),
            "0 of 0 documents relevant in dev (0.0 %) read the same as one relevant in train; "
            "0 more (0.0 %) nearly the same",
        ),
        (
            Leak("dev queries", "a train query", 10, 1, 1, 0),
            "1 of 10 dev queries (10.0 %) reads the same as a train query (1 by the same id); "
            "0 more (0.0 %) nearly the same",
        ),
    ],
)
def test_a_leak_is_a_plain_sentence(leak: Leak, line: str) -> None:
    assert str(leak) == line


def test_the_order_of_the_input_changes_nothing() -> None:
    def turned(values: dict[str, Any]) -> dict[str, Any]:
        return dict(reversed(values.items()))

    assert find(Collection.from_dicts(turned(DOCS), turned(QUERIES), turned(QRELS))) == find()
