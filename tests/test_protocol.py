import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from passages_case import passages

from twotower.data.collection import Collection
from twotower.evaluation import candidates
from twotower.evaluation.candidates import Lists
from twotower.evaluation.protocol import Protocol

DOCS = {"a": "a cat", "b": "a dog"}
QUERIES = {"1": "cat", "2": "dog"}
QRELS = {"dev": {"1": {"a": 1}}, "test": {"2": {"b": 1}}}
PLAIN = Protocol(collection="pets", split="dev", corpus_hash="c", queries_hash="q", qrels_hash="r")


def of(docs: dict[str, str] = DOCS, *, split: str = "dev", name: str = "pets", grade: int = 1) -> Protocol:
    return Protocol.of(
        Collection.from_dicts(docs, QUERIES, QRELS, name=name), split, min_grade=grade, ks=[1, 5]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"corpus_hash": "x"},
        {"queries_hash": "x"},
        {"qrels_hash": "x"},
        {"candidates": "listed"},
        {"min_grade": 2},
        {"tie_rule": "by row"},
        {"metrics_version": 99},
    ],
)
def test_what_makes_numbers_incomparable_makes_protocols_differ(change: dict[str, Any]) -> None:
    assert replace(PLAIN, **change) != PLAIN
    assert replace(PLAIN, **change).key != PLAIN.key


@pytest.mark.parametrize(
    "change",
    [
        {"collection": "x"},
        {"split": "x"},
        {"depth": 7},
        {"tokenizer": "x"},
        {"max_query_words": 7},
        {"max_doc_words": 7},
        {"mean_candidates": 7.0},
        {"most_candidates": 7},
    ],
)
def test_names_depth_and_reading_are_recorded_and_not_compared(change: dict[str, Any]) -> None:
    assert replace(PLAIN, **change) == PLAIN
    assert replace(PLAIN, **change).key == PLAIN.key


def test_the_key_is_short_and_stays_from_run_to_run() -> None:
    assert PLAIN.key == "230f90cc278d"


def test_content_decides() -> None:
    assert of().key == of(name="copy").key
    assert of().key != of({"a": "a cat", "b": "a wolf"}).key
    assert of().key != of(split="test").key
    assert of().key != of(grade=2).key


def test_the_depth_is_the_deepest_cut_off_or_the_corpus() -> None:
    assert of().depth == 2


def test_how_texts_were_read_is_recorded_and_not_compared() -> None:
    plain = Protocol.of(Collection.from_dicts(DOCS, QUERIES, QRELS, name="pets"), "dev", min_grade=1, ks=[1])
    read = replace(plain, max_doc_words=9)
    assert read == plain
    assert read.key == plain.key
    assert read.to_dict()["max_doc_words"] == 9


def test_numbers_over_other_lists_are_of_another_protocol() -> None:
    collection = passages()
    own = candidates.judged(collection.judgements("dev"))
    queries, docs = own.queries[own.numbers], own.docs
    fewer = Lists.of(queries[1:], docs[1:])
    made = [Protocol.of(collection, "dev", lists, min_grade=1, ks=[1, 100]) for lists in (None, own, fewer)]
    assert len({protocol.key for protocol in made}) == 3
    assert [protocol.kind for protocol in made] == ["full", "own", "own"]
    order = np.random.default_rng(0).permutation(len(docs))
    again = Protocol.of(collection, "dev", Lists.of(queries[order], docs[order]), min_grade=1, ks=[5])
    assert again == made[1]


def test_own_lists_are_recorded_with_their_lengths() -> None:
    collection = passages()
    own = candidates.judged(collection.judgements("dev"))
    made = Protocol.of(collection, "dev", own, min_grade=1, ks=[1, 100])
    # 12 dev queries of 6 + (0, 4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 4) documents
    assert (made.mean_candidates, made.most_candidates, made.depth) == (8.0, 10, 10)
    assert made.candidates == f"own-{candidates.digest(own, collection)}"
    assert str(made) == "passages dev, own candidates (8.0 a query), relevant from grade 1"
    assert Protocol.from_dict(json.loads(json.dumps(made.to_dict()))).to_dict() == made.to_dict()


def test_records_from_before_own_lists_still_count() -> None:
    old = {key: value for key, value in PLAIN.to_dict().items() if not key.endswith("_candidates")}
    assert Protocol.from_dict(old) == PLAIN
    assert Protocol.from_dict(old).key == PLAIN.key


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="dev"):
        of(split="validation")


def test_plain_types_go_out_and_come_back() -> None:
    stored = json.loads(json.dumps(of().to_dict()))
    assert Protocol.from_dict(stored).to_dict() == of().to_dict()


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({**PLAIN.to_dict(), "depth": "deep"}, "depth is 'deep', want int"),
        ({**PLAIN.to_dict(), "min_grade": True}, "min_grade is True, want int"),
        ({**PLAIN.to_dict(), "colour": "red"}, "'colour' is unknown"),
        ({key: value for key, value in PLAIN.to_dict().items() if key != "split"}, "'split' is missing"),
    ],
)
def test_a_damaged_record_is_refused(stored: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol.from_dict(stored)


def test_a_protocol_reads_as_a_heading() -> None:
    assert str(PLAIN) == "pets dev, full corpus, relevant from grade 1"
