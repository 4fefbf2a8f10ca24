import json
from dataclasses import replace
from typing import Any

import pytest

from twotower.data.collection import Collection
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
