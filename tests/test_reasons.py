from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis_case import evidence_of
from twotower.data.tokens import CollectionTokens
from twotower.evaluation import reasons
from twotower.evaluation.reasons import CAUSES, Evidence
from twotower.text.tokenize import Tokenizer

FILLER = {f"x{number:02}": " ".join(f"f{number}w{word} the" for word in range(8)) for number in range(20)}
"""Documents without a word in common but one that stands in all."""


def of(docs: Mapping[str, str], query: str, gold: str, **more: object) -> Evidence:
    """One query among the fillers."""
    return evidence_of({**FILLER, **docs}, {"q": query}, {"q": {gold: 1}}, **more)  # type: ignore[arg-type]


def test_queries_are_numbered_as_the_documents_are() -> None:
    tokenize = Tokenizer().tokenize
    tokens = CollectionTokens(tokenize(["b new", "unasked", "a b", ""]), tokenize(["a b", "c"]))
    numbers, words = reasons.numbered(tokens, np.array([0, 2, 3]))
    assert words == ("a", "b", "c", "new")
    assert (numbers.ids.tolist(), numbers.offsets.tolist()) == ([1, 3, 0, 1], [0, 2, 4, 4])


def test_unknown_words_count_by_what_they_say() -> None:
    docs = {"d": "the cat eats xylitol"}
    known = {"the", "cat", "eats"} | {word for text in FILLER.values() for word in text.split()}
    found = reasons.unknown_words(of(docs, "the the the xylitol cat", "d", known=known))
    # "the" is as frequent as all else together and says little: xylitol carries nearly half
    assert found[0].startswith("unknown: xylitol (4")
    assert not reasons.unknown_words(of(docs, "the cat eats", "d", known=known))


def test_a_document_of_unknown_words_counts_as_far_as_it_is_read() -> None:
    docs = {"d": "the cat eats odd strange weird peculiar"}
    known = {"the", "cat", "eats"}
    assert "of the document" in reasons.unknown_words(of(docs, "the cat eats", "d", known=known))[0]
    assert not reasons.unknown_words(of(docs, "the cat eats", "d", known=known, cut=3))


def test_what_is_shared_being_unknown_is_enough() -> None:
    docs = {"d": "xylitol the m n o p"}
    query = "a b c d e f g h xylitol"
    known = {*"abcdefghmnop", "the"}
    assert 0 in reasons.unknown_words(of(docs, query, "d", known=known))
    assert not reasons.unknown_words(of(docs, f"{query} m", "d", known=known))


def test_a_word_that_stands_everywhere_is_none_in_common() -> None:
    docs = {"d": "the cat"}
    assert reasons.no_common_word(of(docs, "the dog", "d")) == {0: "shared: the"}
    assert reasons.no_common_word(of(docs, "a dog", "d")) == {0: "shared: no word"}
    assert reasons.no_common_word(of(docs, "the cat", "d")) == {}
    assert reasons.no_common_word(of(docs, "", "d")) == {}


def test_a_document_is_truncated_where_what_is_shared_is_cut_off() -> None:
    docs = {"d": "a b c d e f cat dog"}
    (said,) = reasons.truncated(of(docs, "cat dog a", "d", cut=6)).values()
    assert said in (
        "cat, dog from word 7 on, cut after 6 of 8 words",
        "dog, cat from word 8 on, cut after 6 of 8 words",
    )
    assert not reasons.truncated(of(docs, "cat a b", "d", cut=6))  # most of it is read
    assert not reasons.truncated(of(docs, "cat dog", "d", cut=8))
    assert not reasons.truncated(of({"d": "cat b c d e f cat"}, "cat", "d", cut=6))  # it is read once


def words(first: str, count: int) -> str:
    return " ".join(f"{first}{number}" for number in range(count))


def test_a_duplicate_is_a_hit_that_is_not_judged() -> None:
    gold = words("g", 20)
    docs = {"copy": gold.upper(), "gold": gold, "near": f"{words('g', 19)} other", "far": words("g", 15)}
    query = words("g", 5)
    found = reasons.duplicates(of(docs, query, "gold", k=1))
    assert found[0].split(" at ")[0] in ("copy", "near", "far")
    one = of({"copy": gold.upper(), "gold": gold}, query, "gold", k=1)
    assert reasons.duplicates(one) == {0: "copy at rank 1 reads the same"}
    judged = evidence_of({**FILLER, "copy": gold, "gold": gold}, {"q": query}, {"q": {"gold": 1, "copy": 1}})
    assert reasons.duplicates(judged) == {}
    assert reasons.duplicates(of({"gold": gold, "far": f"{words('g', 15)} h i j k l"}, query, "gold")) == {}


def test_a_near_duplicate_shares_nine_tenths_of_the_words() -> None:
    gold, query = words("g", 39) + " z", words("g", 3)
    # 39 of 41 words: 95 %; each word of the query twice brings it above the document
    close = of({"gold": gold, "near": f"{words('g', 39)} y {query}"}, query, "gold")
    assert reasons.duplicates(close) == {0: "near at rank 1 shares 95% of the words"}


def lists(often: int, queries: int = 40) -> Evidence:
    """`queries` queries, a document of their own each, and one that answers none and is near to `often`."""
    docs = {f"d{number:02}": f"a{number} b{number} c{number}" for number in range(queries)}
    asked = {f"q{number:02}": f"a{number} hub" for number in range(often)}
    asked |= {f"q{number:02}": f"a{number} b{number}" for number in range(often, queries)}
    rest = {f"z{number:03}": f"e{number} f{number} g{number}" for number in range(200)}
    qrels = {query: {query.replace("q", "d"): 1} for query in asked}
    return evidence_of({**docs, **rest, "hub": "hub"}, asked, qrels, k=2)


def test_a_hub_is_a_hit_of_far_too_many_queries() -> None:
    found = reasons.hubs(lists(8))
    assert set(range(8)) == set(found)
    assert found[0] == "hub at rank 1 is among the first 2 of 8 of 40 queries that it does not answer"
    assert reasons.hubs(lists(4)) == {}  # fewer than five is chance


def lengths(short: bool, queries: int = 30) -> Evidence:
    """Each query has a document of 40 words, and two of its words in one of 4 that is not relevant; or 40."""
    docs, asked, qrels = {}, {}, {}
    for number in range(queries):
        own = [f"q{number}w{word}" for word in range(60)]
        docs[f"gold{number:02}"] = " ".join(own[:40])
        docs[f"other{number:02}"] = " ".join([*own[:2], *own[40 : 42 if short else 60]])
        asked[f"q{number:02}"] = " ".join(own[:2])
        qrels[f"q{number:02}"] = {f"gold{number:02}": 1}
    return evidence_of(docs, asked, qrels, k=1)


def test_hits_that_are_much_shorter_throughout_are_a_bias() -> None:
    found = reasons.length_bias(lengths(short=True))
    assert len(found) == 30
    assert found[0] == "the hits have 4 words in the middle, the relevant document 40"
    assert reasons.length_bias(lengths(short=False)) == {}


def test_a_bias_needs_queries_to_be_seen() -> None:
    assert reasons.length_bias(lengths(short=True, queries=reasons.BIAS_QUERIES - 1)) == {}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_found_well_has_no_cause(cause: str) -> None:
    docs = {f"d{number:02}": f"a{number} b{number} c{number}" for number in range(30)}
    asked = {f"q{number:02}": f"a{number} b{number}" for number in range(30)}
    evidence = evidence_of(docs, asked, {f"q{number:02}": {f"d{number:02}": 1} for number in range(30)}, k=1)
    assert evidence.placed.rank.tolist() == [1.0] * 30
    assert CAUSES[cause][1](evidence) == {}


def test_blocks_change_no_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = {f"{kind}{number}": words(f"a{number}", 12) for kind in ("copy", "gold") for number in range(7)}
    asked = {f"q{number}": words(f"a{number}", 3) for number in range(7)}
    evidence = evidence_of(docs, asked, {f"q{number}": {f"gold{number}": 1} for number in range(7)})
    whole = reasons.duplicates(evidence)
    assert len(whole) == 7
    monkeypatch.setattr(reasons, "BLOCK", 2)
    assert reasons.duplicates(replace(evidence)) == whole
