from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import PAD, SPECIAL, UNKNOWN, Vocab

TEXTS = st.lists(st.lists(st.sampled_from("abcdef"), max_size=5).map(" ".join), max_size=6)


def tokens_of(*texts: str, pattern: str = r"\S+"):
    return Tokenizer(pattern).tokenize(texts)


def unpacked(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


def test_the_special_words_are_the_first_two():
    vocab = Vocab((*SPECIAL, "cat"))
    assert (vocab.words[PAD], vocab.words[UNKNOWN]) == ("<pad>", "<unk>")
    assert vocab.index == {"<pad>": 0, "<unk>": 1, "cat": 2}
    assert len(vocab) == 3


def test_a_vocabulary_without_them_or_with_a_word_twice_is_refused():
    with pytest.raises(
        ValueError, match=r"^vocabulary: begins with \('cat', 'dog'\), want \('<pad>', '<unk>'\)$"
    ):
        Vocab(("cat", "dog"))
    with pytest.raises(ValueError, match=r"begins with \(\)"):
        Vocab(())
    with pytest.raises(ValueError, match=r"^vocabulary: 'cat' stands in it twice"):
        Vocab((*SPECIAL, "cat", "dog", "cat"))


def test_words_stand_by_falling_count_then_by_alphabet():
    vocab = Vocab.build({"b": 1, "c": 3, "a": 1}, min_count=1, max_size=10)
    assert vocab.words == (*SPECIAL, "c", "a", "b")


def test_rare_words_are_left_out():
    assert Vocab.build({"b": 1, "c": 3, "a": 2}, min_count=2, max_size=10).words == (*SPECIAL, "c", "a")


def test_the_largest_size_counts_the_special_words():
    counts = {"c": 3, "a": 2, "b": 1}
    assert Vocab.build(counts, min_count=1, max_size=4).words == (*SPECIAL, "c", "a")
    assert Vocab.build(counts, min_count=1, max_size=2).words == SPECIAL
    with pytest.raises(ValueError, match=r"^max_size: 1, want at least 2"):
        Vocab.build(counts, min_count=1, max_size=1)


def test_filler_takes_the_room_that_is_left_in_its_own_order():
    filler = ["the", "a", "of", "the", "and"]
    vocab = Vocab.build({"b": 1, "a": 1}, min_count=1, max_size=6, filler=filler)
    assert vocab.words == (*SPECIAL, "a", "b", "the", "of")


def test_a_rare_word_may_come_back_as_filler():
    assert Vocab.build({"a": 1}, min_count=2, max_size=9, filler=["a"]).words == (*SPECIAL, "a")


def test_filler_that_never_ends_is_read_no_further_than_needed():
    endless = (str(number) for number in iter(int, 1))
    assert len(Vocab.build({"a": 1}, min_count=1, max_size=3, filler=endless)) == 3


def test_words_that_spell_the_special_ones_are_not_counted_twice():
    vocab = Vocab.build({"<pad>": 5, "<unk>": 4, "a": 1}, min_count=1, max_size=9, filler=["<unk>"])
    assert vocab.words == (*SPECIAL, "a")
    assert vocab.encode(tokens_of("<pad> a <unk>"), 9).ids.tolist() == [UNKNOWN, 2, UNKNOWN]


@given(
    st.dictionaries(st.text(max_size=3), st.integers(1, 4)), st.integers(1, 4), st.integers(2, 9), st.data()
)
def test_the_order_in_which_words_were_counted_changes_nothing(counts, min_count, max_size, data):
    shuffled = dict(data.draw(st.permutations(list(counts.items()))))
    vocab = Vocab.build(counts, min_count=min_count, max_size=max_size)
    assert vocab == Vocab.build(shuffled, min_count=min_count, max_size=max_size)
    assert len(vocab) <= max_size


def test_a_known_text_gives_known_ids():
    vocab = Vocab((*SPECIAL, "the", "cat"))
    encoded = vocab.encode(tokens_of("the cat sat", "", "cat", "the the the cat", ""), 3)
    assert unpacked(encoded) == [[2, 3, 1], [1], [3], [2, 2, 2], [1]]
    assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.int32, np.int64)


@given(TEXTS, st.integers(1, 6), st.sets(st.sampled_from("abcdef")))
def test_encoding_is_a_look_up_of_each_word(texts, limit, known):
    vocab = Vocab((*SPECIAL, *sorted(known)))
    wanted = [
        [vocab.index.get(word, UNKNOWN) for word in text.split()][:limit] or [UNKNOWN] for text in texts
    ]
    assert unpacked(vocab.encode(tokens_of(*texts), limit)) == wanted


@given(TEXTS, st.integers(1, 6))
def test_a_text_alone_and_in_a_batch_gives_the_same_ids(texts, limit):
    vocab = Vocab((*SPECIAL, "a", "c", "e"))
    together = vocab.encode(tokens_of(*texts), limit)
    assert unpacked(together) == [vocab.encode(tokens_of(text), limit).ids.tolist() for text in texts]


def test_no_texts_are_no_sequences_and_wordless_texts_are_one_unknown_word_each():
    vocab = Vocab(SPECIAL)
    assert len(vocab.encode(tokens_of(), 5)) == 0
    assert unpacked(vocab.encode(tokens_of("", " "), 5)) == [[UNKNOWN], [UNKNOWN]]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match=r"^limit: 0 words, want at least 1$"):
        Vocab(SPECIAL).encode(tokens_of("a"), 0)


def test_the_unknown_share_counts_every_occurrence():
    vocab = Vocab((*SPECIAL, "a"))
    assert vocab.unknown_share(tokens_of("a b", "b b", "")) == 0.75  # b three times in four words
    assert vocab.unknown_share(tokens_of("a a")) == 0.0
    assert vocab.unknown_share(tokens_of("", "")) == 0.0
    assert vocab.unknown_share(tokens_of()) == 0.0


def test_a_vocabulary_from_its_own_collection_knows_every_word():
    tokens = tokens_of("the cat", "the dog")
    vocab = Vocab.build(tokens.word_counts(), min_count=1, max_size=10)
    assert vocab.words == (*SPECIAL, "the", "cat", "dog")
    assert vocab.unknown_share(tokens) == 0.0


def test_counts_of_several_collections_add_up():
    counts = tokens_of("a b").word_counts() + tokens_of("b c", "c c").word_counts()
    assert isinstance(counts, Counter)
    assert Vocab.build(counts, min_count=2, max_size=9).words == (*SPECIAL, "c", "b")
