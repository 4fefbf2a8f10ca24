import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.data.collection import Collection
from twotower.data.splitting import by_documents, hold_out_dev

DOCS = {"d2": "Ulm lies on the Danube.", "d1": {"title": "Einstein", "text": "Born in Ulm."}, "d3": "Cats."}
QUERIES = {"q2": "which river", "q1": "where was einstein born", "q3": "never judged"}


def judged(relevant: dict[str, list[str]], split: str = "train") -> Collection:
    """A collection whose one split holds these relevant documents of each query."""
    docs = sorted({doc for docs in relevant.values() for doc in docs}) or ["d"]
    grades = {query: dict.fromkeys(docs, 1) for query, docs in relevant.items()}
    return Collection.from_dicts(
        dict.fromkeys(docs, "text"), dict.fromkeys(relevant, "words"), {split: grades}, name="judged"
    )


def relevant_docs(collection: Collection, split: str) -> set[str]:
    return {doc for grades in collection.qrels[split].values() for doc, grade in grades.items() if grade > 0}


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


RELEVANT = st.dictionaries(
    st.integers(0, 30).map(str), st.lists(st.integers(0, 12).map(str), min_size=1, unique=True), min_size=1
)
"""Query -> its relevant documents."""


@given(RELEVANT, st.floats(0.01, 0.99), st.integers(0, 100))
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


def undivided(relevant: dict[str, list[str]]) -> Collection:
    return judged(relevant, "all")


def divided(relevant: dict[str, list[str]], share: float, seed: int = 0) -> dict[str, list[str]]:
    """The queries of each split."""
    parts = by_documents(undivided(relevant), share, np.random.default_rng(seed))
    return {split: list(parts.qrels[split]) for split in ("train", "dev", "test") if split in parts.qrels}


def test_a_share_trains_and_the_rest_is_halved():
    parts = divided({f"q{n:02}": [f"d{n:02}"] for n in range(40)}, 0.8)
    # each query is a group of its own: 32 of 40, and half of 8
    assert {split: len(queries) for split, queries in parts.items()} == {"train": 32, "dev": 4, "test": 4}


def test_an_odd_rest_gives_dev_one_more():
    parts = divided({f"q{n:02}": [f"d{n:02}"] for n in range(10)}, 0.7)
    assert {split: len(queries) for split, queries in parts.items()} == {"train": 7, "dev": 2, "test": 1}


def test_every_judgement_of_a_divided_collection_is_still_there():
    collection = undivided({f"q{n}": [f"d{n // 2}"] for n in range(9)})
    parts = by_documents(collection, 0.5, np.random.default_rng(3))
    assert {**parts.qrels["train"], **parts.qrels["dev"], **parts.qrels["test"]} == collection.qrels["all"]
    assert (parts.splits, parts.corpus_hash) == (("dev", "test", "train"), collection.corpus_hash)


@given(RELEVANT, st.floats(0.01, 0.99), st.integers(0, 100))
def test_three_groups_make_three_splits_that_share_no_relevant_document(relevant, share, seed):
    relevant |= {one: [one] for one in ("alone", "apart", "aside")}  # three groups at least
    parts = by_documents(undivided(relevant), share, np.random.default_rng(seed))
    train, dev, test = (relevant_docs(parts, split) for split in ("train", "dev", "test"))
    assert train
    assert dev
    assert test
    assert not train & dev | train & test | dev & test
    assert sum(len(parts.qrels[split]) for split in parts.splits) == len(relevant)


def test_one_giant_group_stays_in_train():
    giant = {f"q{n:02}": ["shared"] for n in range(50)}
    for seed in range(10):
        parts = divided(giant | {"x": ["x"], "y": ["y"]}, 0.5, seed)
        assert (len(parts["train"]), sorted(parts["dev"] + parts["test"])) == (50, ["x", "y"])


def test_two_groups_make_train_and_dev():
    parts = divided({"q0": ["a"], "q1": ["a"], "q2": ["b"]}, 0.7)
    assert parts == {"train": ["q0", "q1"], "dev": ["q2"]}


def test_a_group_comes_in_whole_where_that_is_nearer_than_none():
    # pairs of queries; 2 of 20 are to be held out, one each: a pair each is as near as none, so each gets one
    parts = divided({f"q{n:02}": [f"d{n // 2}"] for n in range(20)}, 0.9)
    assert {split: len(queries) for split, queries in parts.items()} == {"train": 16, "dev": 2, "test": 2}
    # groups of three, six of 30 held out: dev and test want three each
    parts = divided({f"q{n:02}": [f"d{n // 3}"] for n in range(30)}, 0.8)
    assert {split: len(queries) for split, queries in parts.items()} == {"train": 24, "dev": 3, "test": 3}


def test_queries_without_a_relevant_document_train():
    collection = Collection.from_dicts(
        dict.fromkeys("abc", "text"),
        dict.fromkeys(["q0", "q1", "q2", "q3"], "words"),
        {"all": {"q0": {"a": 1}, "q1": {"b": 1}, "q2": {"c": 1}, "q3": {"a": 0, "b": 0}}},
    )
    for seed in range(5):
        assert "q3" in by_documents(collection, 0.1, np.random.default_rng(seed)).qrels["train"]


def test_the_order_of_what_is_given_changes_no_split():
    relevant = {f"q{n:02}": [f"d{n:02}", f"d{n * 7 % 50:02}"] for n in range(50)}
    shuffled = dict(random.Random(1).sample(list(relevant.items()), 50))
    assert divided(relevant, 0.6) == divided(shuffled, 0.6)
    assert divided(relevant, 0.6) != divided(relevant, 0.6, seed=1)


@pytest.mark.parametrize(
    ("collection", "share", "message"),
    [
        (judged({"q0": ["a"]}, "test"), 0.9, "^judged: no split 'all', there is test$"),
        (undivided({"q0": ["a"]}), 0.0, "^judged: train share 0.0, want a number between 0 and 1$"),
        (
            undivided({"q0": ["a"], "q1": ["a", "b"], "q2": ["b"]}),
            0.9,
            "^judged: no splits, and 3 queries .* in 1 groups .*, want two groups for train and dev$",
        ),
    ],
)
def test_a_collection_that_cannot_be_divided_says_why(collection, share, message):
    with pytest.raises(ValueError, match=message):
        by_documents(collection, share, np.random.default_rng(0))
