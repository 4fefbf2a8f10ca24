from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from twotower import config
from twotower.data import near, survey
from twotower.data.collection import Collection
from twotower.data.survey import Judged, Sample, Split, Spread, Words
from twotower.data.tokens import CollectionTokens, tokenise
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer

DOCS = {
    "d1": {"title": "Heron", "text": "the heron eats fish"},  # with its title 5 words, 25 characters
    "d2": "the lynx sleeps",
    "d3": "?",
    "d4": " ".join(["word"] * 300),
}
QUERIES = {"q1": "what eats the heron", "q2": "lynx lynx snow", "q3": "!", "q4": "the fish"}
QRELS = {
    "test": {"q2": {"d2": 2, "d1": 0}, "q3": {"d1": 1}},
    "train": {"q1": {"d1": 1, "d2": 0}, "q4": {"d2": 0}},
}
COLLECTION = Collection.from_dicts(DOCS, QUERIES, QRELS, name="four")


@pytest.fixture
def tokens(tmp_path: Path) -> CollectionTokens:
    return tokenise(COLLECTION, Tokenizer(), tmp_path)


def sets(tokens: CollectionTokens) -> Ragged:
    return near.word_sets(near.joined([tokens.docs, tokens.queries]))


def test_splits_are_counted_in_the_order_of_a_run() -> None:
    assert survey.splits(COLLECTION, 1) == [
        Split("train", queries=2, unanswered=1, judged=3, relevant=1, not_relevant=2, grades={0: 2, 1: 1}),
        Split(
            "test", queries=2, unanswered=0, judged=3, relevant=2, not_relevant=1, grades={0: 1, 1: 1, 2: 1}
        ),
    ]


def test_relevant_begins_at_min_grade() -> None:
    assert [(row.unanswered, row.relevant) for row in survey.splits(COLLECTION, 2)] == [(2, 0), (1, 1)]


def test_who_is_judged_is_counted_over_all_splits() -> None:
    assert survey.judged(COLLECTION, 1) == Judged(0, 2, 2, 2)  # d3 and d4 are never judged
    assert survey.judged(COLLECTION, 2) == Judged(0, 2, 2, 1)
    assert survey.judged(Collection.from_dicts(DOCS, QUERIES, {}), 1) == Judged(4, 0, 4, 0)


def test_lengths_are_those_of_texts_that_have_a_word(tokens: CollectionTokens) -> None:
    docs, titles, queries = survey.lengths(COLLECTION, tokens, Tokenizer())
    assert (docs.texts, docs.wordless) == (4, 1)
    assert docs.words == Spread(3, 5, 308 / 3, 300, 300)  # 3, 5, 300
    assert docs.characters == Spread(15, 25, (15 + 25 + 1499) / 3, 1499, 1499)
    assert (titles.texts, titles.wordless, titles.words) == (4, 3, Spread(1, 1, 1, 1, 1))
    assert (queries.texts, queries.wordless, queries.words) == (4, 1, Spread(2, 3, 3, 4, 4))


def test_what_train_would_cut_is_counted(tokens: CollectionTokens) -> None:
    docs, titles, queries = survey.lengths(COLLECTION, tokens, Tokenizer())
    assert (docs.limit, docs.cut) == (config.Train.max_doc_words, 1) == (256, 1)
    assert docs.lost == pytest.approx(44 / 308)
    assert (titles.limit, titles.cut) == (0, 0)
    assert (queries.limit, queries.cut, queries.lost) == (64, 0, 0.0)


def test_a_side_without_words_has_no_lengths(tmp_path: Path) -> None:
    bare = Collection.from_dicts({"d": "?"}, {"q": "a b"}, {})
    found = survey.lengths(bare, tokenise(bare, Tokenizer(), tmp_path), Tokenizer())
    assert [row.what for row in found] == ["queries"]


def test_95_percent_are_no_longer_than_the_high_end() -> None:
    assert survey._spread(np.arange(1, 101)).high == 95
    assert survey._spread(np.array([7])) == Spread(7, 7.0, 7.0, 7, 7)


def test_words_are_counted_by_side(tokens: CollectionTokens) -> None:
    counts = survey.counts(tokens)
    assert counts["queries"] == Counter(
        {"lynx": 2, "the": 2, "what": 1, "eats": 1, "heron": 1, "snow": 1, "fish": 1}
    )
    assert counts["both"]["heron"] == 3
    queries = survey.words(counts, {"the", "lynx", "snow", "unused"})[1]
    assert queries == Words("queries", distinct=7, once=5, running=9, covered=3 / 7, covered_running=5 / 9)


def test_coverage_is_not_told_where_it_was_not_asked(tokens: CollectionTokens) -> None:
    assert {row.covered for row in survey.words(survey.counts(tokens), None)} == {None}


def test_unknown_words_are_named_by_falling_count() -> None:
    count = Counter({"b": 2, "a": 2, "c": 5, "known": 9, "d": 1})
    assert survey.unknown(count, {"known"}, 3) == {"c": 5, "a": 2, "b": 2}


def test_overlap_is_the_share_of_a_querys_words(tokens: CollectionTokens) -> None:
    found = survey.overlaps(COLLECTION, sets(tokens), min_grade=1, rng=np.random.default_rng(0))
    train, test = found
    assert (train.split, train.pairs, train.relevant) == ("train", 1, 3 / 4)  # eats the heron, of what
    # lynx of lynx and snow; q3 has no word
    assert (test.split, test.pairs, test.relevant) == ("test", 1, 1 / 2)


def test_overlap_with_a_random_document_tells_a_lexical_collection(tiny: Collection, tmp_path: Path) -> None:
    tokens = tokenise(tiny, Tokenizer(), tmp_path)
    for row in survey.overlaps(tiny, sets(tokens), min_grade=1, rng=np.random.default_rng(0)):
        assert row.relevant == pytest.approx(4 / 7)  # all but what, does and eat
        assert 2 / 7 <= row.random < row.relevant  # the, of


def test_splits_without_a_relevant_document_have_no_overlap_and_no_samples(tokens: CollectionTokens) -> None:
    assert survey.overlaps(COLLECTION, sets(tokens), min_grade=3, rng=np.random.default_rng(0)) == []
    assert list(survey.samples(COLLECTION, 3, 2)) == []


def test_samples_show_a_query_with_its_first_relevant_document() -> None:
    assert list(survey.samples(COLLECTION, 1, 1)) == [
        Sample("train", "q1", "what eats the heron", "d1", "Heron the heron eats fish"),
        Sample("test", "q2", "lynx lynx snow", "d2", "the lynx sleeps"),
    ]


def test_samples_are_spread_over_a_split(tiny: Collection) -> None:
    train = [sample.query_id for sample in survey.samples(tiny, 1, 4) if sample.split == "train"]
    assert train == ["q02", "q16", "q32", "q46"]  # places 0, 10, 20 and 30 of 40; four of six are in train
    assert list(survey.samples(tiny, 1, 0)) == []
