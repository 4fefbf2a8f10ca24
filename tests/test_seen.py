from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from floors_case import ask

from twotower.data.collection import Collection
from twotower.evaluation import floors, seen
from twotower.evaluation.seen import Seen, Training
from twotower.text import cache

DOCS = {
    "d1": "the heron eats fish at dusk",
    "d2": "The heron eats fish at dusk.",  # reads as d1
    "d3": "the lynx sleeps in the snow all day long",
    "d4": "the lynx sleeps in the snow all day and night long",  # 8 of 10 words of d3
    "d5": "glaciers move",
    "d6": "deserts do not",
    "d7": "?",
}
TRAIN = {
    "t1": ("what does a heron eat", {"d1": 1}),
    "t2": ("where is the lynx all day in winter", {"d3": 1, "d5": 0}),
    "t3": ("anything", {"d7": 1}),
}
DEV = {
    "q1": ("What does a heron eat?", {"d6": 1}),  # reads as t1
    "q2": ("where is the lynx all day in winter now", {"d6": 1}),  # 8 of 9 words of t2
    "q3": ("fish at what time", {"d2": 1}),  # its answer reads as d1
    "q4": ("does it sleep", {"d4": 1, "d6": 0}),  # its answer nearly reads as d3
    "q5": ("do glaciers move", {"d5": 1}),  # d5 was not relevant in training
    "q6": ("nothing", {"d7": 1}),  # without a word, but the same document
    "q7": ("never relevant", {"d1": 0}),
}


def collection(parts: Mapping[str, Mapping[str, Any]], docs: Mapping[str, str] = DOCS) -> Collection:
    queries = {query: text for split in parts.values() for query, (text, _) in split.items()}
    qrels = {split: {query: judged for query, (_, judged) in part.items()} for split, part in parts.items()}
    return Collection.from_dicts(docs, queries, qrels, name="birds")


BOTH = collection({"train": TRAIN, "dev": DEV})


def never() -> Collection:
    raise AssertionError("read again")


def training(of: Collection = BOTH) -> Training:
    return Training(of.name, of.hash, lambda: of)


def ids(found: Seen, mask: Any, of: Collection = BOTH) -> list[str]:
    return [of.query_ids[row] for row in found.query_rows[mask]]


def doc_ids(found: Seen, mask: Any, of: Collection = BOTH) -> list[str]:
    return [of.doc_ids[row] for row in found.doc_rows[mask]]


def test_queries_and_answers_are_seen_the_same_or_nearly(tmp_path: Path) -> None:
    asked = ask(BOTH, tmp_path)
    found = seen.between(training(), asked, tmp_path)
    assert (ids(found, found.queries_same), ids(found, found.queries_near)) == (["q1"], ["q2"])
    assert (doc_ids(found, found.docs_same), doc_ids(found, found.docs_near)) == (["d2", "d7"], ["d4"])
    assert ids(found, found.leaky(asked)) == ["q1", "q2", "q3", "q4", "q6"]


def test_another_collection_is_compared_by_its_texts_not_its_ids(tmp_path: Path) -> None:
    docs = {"d1": "no such thing", "x": DOCS["d1"], "d7": "!"}
    parts = {"dev": {"t1": ("unheard of", {"d1": 1}), "z": ("fish when", {"x": 1}), "w": ("word", {"d7": 1})}}
    other = collection(parts, docs)
    asked = ask(other, tmp_path)
    found = seen.between(training(), asked, tmp_path)
    assert doc_ids(found, found.docs_same, other) == ["x"]
    assert ids(found, found.leaky(asked), other) == ["z"]


def test_a_split_trained_on_is_seen_whole(tmp_path: Path) -> None:
    asked = ask(BOTH, tmp_path, split="train")
    assert seen.between(training(), asked, tmp_path).leaky(asked).all()


def test_clean_and_seen_queries_are_scored_apart(tmp_path: Path) -> None:
    asked = ask(BOTH, tmp_path)
    result = floors.bm25(asked.tokens.docs, asked.tokens.queries, asked.judgements, ks=[10], min_grade=1)
    found = seen.between(training(), asked, tmp_path)
    leaky, leak = seen.apart(found, asked, result)
    assert leaky.tolist() == [True, True, True, True, False, True]  # q7 has no relevant document
    counts = {name: value for name, value in leak.items() if name not in ("clean", "seen")}
    assert counts == {
        "train": "birds",
        "queries": 6,
        "queries_same": 1,
        "queries_near": 1,
        "leaky": 5,
        "documents": 5,
        "documents_same": 2,
        "documents_near": 1,
    }
    values = result.per_query["mrr_10"]
    assert leak["clean"]["mrr_10"] == pytest.approx(values[4])
    assert leak["seen"]["mrr_10"] == pytest.approx(values[[0, 1, 2, 3, 5]].mean())
    whole = (5 * leak["seen"]["mrr_10"] + leak["clean"]["mrr_10"]) / 6
    assert whole == pytest.approx(result.metrics["mrr_10"])


def test_a_part_without_a_query_has_no_means(tmp_path: Path) -> None:
    strangers = collection({"train": {"t": ("unrelated words", {"d": 1})}}, {"d": "nothing alike here"})
    asked = ask(BOTH, tmp_path)
    result = floors.chance(len(DOCS), asked.judgements, ks=[10], min_grade=1)
    leaky, leak = seen.apart(seen.between(training(strangers), asked, tmp_path), asked, result)
    assert (leaky.any(), leak["leaky"], leak["seen"]) == (False, 0, {})
    assert leak["clean"] == pytest.approx(result.metrics)
    assert seen.remark(leak, "mrr_10") == ""


def test_what_is_kept_is_not_read_again(tmp_path: Path) -> None:
    asked = ask(BOTH, tmp_path)
    first = seen.between(training(), asked, tmp_path)
    again = seen.between(replace(training(), read=never), asked, tmp_path)
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in seen.ARRAYS)
    with pytest.raises(AssertionError, match="read again"):  # other queries are another entry
        seen.between(replace(training(), read=never), ask(BOTH, tmp_path, split="train"), tmp_path)


def test_a_damaged_entry_is_made_anew(tmp_path: Path) -> None:
    asked = ask(BOTH, tmp_path)
    first = seen.between(training(), asked, tmp_path)
    (folder,) = (tmp_path / "seen").iterdir()
    (folder / "docs_same.npy").write_bytes(b"damaged")
    assert cache.load(folder, seen.ARRAYS) is None
    assert seen.between(training(), asked, tmp_path).docs_same.tolist() == first.docs_same.tolist()


def test_a_collection_that_changed_since_training_is_refused(tmp_path: Path) -> None:
    changed = replace(training(), hash="0" * 64)
    with pytest.raises(ValueError, match="birds: changed since training"):
        seen.between(changed, ask(BOTH, tmp_path), tmp_path)


def test_relevant_begins_where_training_and_evaluation_say(tmp_path: Path) -> None:
    asked = ask(BOTH, tmp_path)
    found = seen.between(replace(training(), min_grade=2), asked, tmp_path)
    assert not (found.docs_same | found.docs_near).any()


@pytest.mark.parametrize("content", [{}, {"data": None}, {"data": {"name": "x"}}])
def test_a_checkpoint_that_does_not_say_has_no_training(content: dict[str, Any]) -> None:
    assert Training.of(content, never) is None


def test_a_checkpoint_says_what_it_was_trained_on() -> None:
    content = {"data": {"name": "x", "hash": "ab"}, "training_stats": {"config": {"min_grade": 3}}}
    assert Training.of(content, never) == Training("x", "ab", never, 3)


def test_the_remark_names_counts_and_both_means() -> None:
    leak = {
        "train": "msmarco",
        "queries": 200,
        "leaky": 20,
        "queries_same": 9,
        "queries_near": 1,
        "documents_same": 12,
        "documents_near": 0,
        "seen": {"mrr_10": 0.5},
        "clean": {"mrr_10": 0.25},
    }
    assert seen.remark(leak, "mrr_10") == (
        "20 of 200 queries (10.0 %) were seen in training on msmarco (queries: 9 the same, 1 nearly; "
        "relevant documents: 12 the same, 0 nearly): MRR@10 0.5000 on them, 0.2500 on the others"
    )
    everything = {**leak, "leaky": 200, "clean": {}}
    assert seen.remark(everything, "mrr_10").endswith("MRR@10 0.5000 on them")
