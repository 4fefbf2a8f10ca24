import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text import cache, tokenize
from twotower.text.tokenize import Tokenizer, tokenize_cached, warn_unsegmented

# characters that this Python knows; half characters and unassigned ones are no text
CHARACTERS = st.characters(exclude_categories=["Cs", "Cn"])
TEXTS = st.lists(
    st.text(st.one_of(CHARACTERS, st.sampled_from("aA1 .\n\0İΣςßﬁ①Ａé")), max_size=30), max_size=8
)


def by_hand(text: str) -> list[str]:
    """NFKC, lower case, then runs of letters, marks and numbers by Unicode category."""
    words = [""]
    for character in unicodedata.normalize("NFKC", text).lower():
        if unicodedata.category(character)[0] in "LMN":
            words[-1] += character
        else:
            words.append("")
    return [word for word in words if word]


def unpacked(tokens):
    return [tokens[row] for row in range(len(tokens))]


@given(TEXTS, st.booleans())
def test_words_are_those_of_plain_python(texts, much):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenize, "FEW", 0 if much else tokenize.FEW)
        assert unpacked(Tokenizer().tokenize(texts)) == [by_hand(text) for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["a{0}b {0}", "x{0}\u0301y", "{0}{0}Σ Σ{0}"])
def test_every_character_gives_the_same_words_in_a_little_text_and_in_much(form):
    known = [chr(one) for one in range(0x110000) if unicodedata.category(chr(one)) not in ("Cn", "Cs", "Co")]
    texts = [form.format(character) for character in known]
    little = [tokenize._found(text) for text in texts]
    assert None not in little
    assert unpacked(Tokenizer().tokenize(texts)) == little


def test_a_query_needs_no_polars(monkeypatch):
    ascii_ones = [f"a{chr(one)}B{chr(one)}" for one in range(128)]
    texts = ["", "Read a CSV-file: read_csv(x1)", "Zürich, №5: ΟΔΟΣ", *ascii_ones]
    among_others = unpacked(Tokenizer().tokenize(texts))
    monkeypatch.setitem(sys.modules, "polars", None)
    alone = [Tokenizer().tokenize([text]) for text in texts]
    assert [tokens[0] for tokens in alone] == among_others
    assert {(tokens.ragged.ids.dtype, tokens.ragged.offsets.dtype) for tokens in alone} == {
        (np.dtype(np.int32), np.dtype(np.int64))
    }


@pytest.mark.slow
def test_every_character_of_unicode_is_read_as_plain_python_reads_it():
    known = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) not in ("Cs", "Cn")]
    texts = [f"x{c}Σ {c}Y" for c in known]
    wrong = [
        text
        for text, words in zip(texts, unpacked(Tokenizer().tokenize(texts)), strict=True)
        if words != by_hand(text)
    ]
    assert wrong == []


@given(TEXTS)
def test_a_text_alone_and_in_a_batch_gives_the_same_words(texts):
    tokenizer = Tokenizer()
    assert unpacked(tokenizer.tokenize(texts)) == [tokenizer.tokenize([text])[0] for text in texts]


@given(TEXTS, st.integers(1, 40))
def test_the_size_of_a_block_changes_nothing(texts, size):
    whole = Tokenizer().tokenize(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenize, "BLOCK", size)
        blocks = Tokenizer().tokenize(texts)
    assert blocks.words == whole.words
    assert blocks.ragged.ids.tolist() == whole.ragged.ids.tolist()
    assert blocks.ragged.offsets.tolist() == whole.ragged.offsets.tolist()


@given(TEXTS)
def test_words_stand_in_order_of_first_appearance_and_each_occurs(texts):
    tokens = Tokenizer().tokenize(texts)
    assert list(tokens.words) == list(dict.fromkeys(word for text in texts for word in by_hand(text)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, it's 3.14!", ["the", "cat", "it", "s", "3", "14"]),
        ("Straße ΟΔΟΣ ΣΑΣ", ["straße", "οδος", "σας"]),  # a final sigma is one
        ("ﬁne Ⅳ ① Ｆｕｌｌ", ["fine", "iv", "1", "full"]),  # NFKC
        ("cafe\u0301 CAFÉ", ["café", "café"]),  # a combining accent and a composed one
        ("Москва-река", ["москва", "река"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs and virama are marks, inside words
        ("مَرحبا ١٢", ["مَرحبا", "١٢"]),
        ("漢字かな交じり", ["漢字かな交じり"]),
        ("a\nb\0c\u2028d\u00a0e\te", ["a", "b", "c", "d", "e", "e"]),
        ("snake_case", ["snake", "case"]),
        ("🙂 😀", []),
        ("", []),
    ],
)
def test_a_known_text_gives_known_words(text, words):
    assert Tokenizer().tokenize([text])[0] == words


def test_nothing_gives_nothing():
    tokens = Tokenizer().tokenize([])
    assert (tokens.words, len(tokens)) == ((), 0)
    assert tokens.counts.tolist() == []


def test_texts_without_words_keep_their_places():
    tokens = Tokenizer().tokenize(["", "a", " .", "b a"])
    assert tokens.ragged.offsets.tolist() == [0, 0, 1, 1, 3]
    assert tokens.ragged.ids.tolist() == [0, 1, 0]
    assert Tokenizer().tokenize(["", "?"]).ragged.offsets.tolist() == [0, 0, 0]


def test_ids_are_32_bits_and_offsets_64():
    ragged = Tokenizer().tokenize(["a b"]).ragged
    assert (ragged.ids.dtype, ragged.offsets.dtype) == (np.int32, np.int64)


def test_counts_are_occurrences():
    tokens = Tokenizer().tokenize(["a b a", "b", "a c"])
    assert tokens.counts.tolist() == [3, 2, 1]
    assert tokens.counts.dtype == np.int64
    assert tokens.word_counts() == {"a": 3, "b": 2, "c": 1}
    assert tokens.word_counts([1, 2, 2]) == {"a": 2, "b": 1, "c": 2}


def test_another_pattern_finds_other_words():
    assert Tokenizer(r"[^\s]+").tokenize(["It's 3.14 <pad>"])[0] == ["it's", "3.14", "<pad>"]
    assert Tokenizer(r"\p{Han}|[\p{L}\p{M}\p{N}--\p{Han}]+").tokenize(["abc漢字x"])[0] == [
        "abc",
        "漢",
        "字",
        "x",
    ]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("(", r"^pattern '\(': unclosed group; want Rust's regular expressions$"),
        ("(?=a)a", r"^pattern '\(\?=a\)a': look-around.* is not supported; want Rust's"),
        ("a{99999999}", r"^pattern 'a\{99999999}': too large; want"),
        ("a*", r"^pattern 'a\*': matches the empty text, want at least one character; use \+ for \*$"),
        (r"^|a", "matches the empty text"),
        ("", "matches the empty text"),
    ],
)
def test_a_bad_pattern_is_one_line_even_for_no_texts(pattern, line):
    with pytest.raises(ValueError, match=line) as caught:
        Tokenizer(pattern).tokenize([])
    assert "\n" not in str(caught.value)


def test_a_pattern_that_matches_nothing_inside_a_text_is_refused():
    with pytest.raises(ValueError, match="matches the empty text"):
        Tokenizer(r"\b\B|\b").tokenize(["a b"])


def test_what_is_no_text_is_named_by_its_row(monkeypatch):
    monkeypatch.setattr(tokenize, "BLOCK", 2)
    with pytest.raises(ValueError, match=r"^text 2: '\\ud83d' at character 1, half of a surrogate pair"):
        Tokenizer().tokenize(["ab", "cd", "e\ud83d"])
    with pytest.raises(ValueError, match=r"^text 1: NoneType, want str$"):
        Tokenizer().tokenize(["ab", None])
    with pytest.raises(ValueError, match="one string, 'cat', want a sequence of texts"):
        Tokenizer().tokenize("cat")


def test_words_left_whole_are_those_that_come_back_unchanged():
    words = ["cat", "Cat", "it's", ",", "", "a b", "café", "cafe\u0301", "٣", "x\n"]
    assert Tokenizer().leaves_whole(words).tolist() == [True, *[False] * 5, True, False, True, False]
    assert Tokenizer().leaves_whole([]).tolist() == []


def test_scripts_without_spaces_are_warned_of():
    assert warn_unsegmented(["hello world", "Привет мир", "한국어 문장"]) is None
    assert warn_unsegmented([]) is None
    assert warn_unsegmented([""]) is None
    for text in ["東京", "ひらがな", "ภาษาไทย", "ພາສາລາວ", "ភាសាខ្មែរ", "မြန်မာ"]:
        assert "without spaces" in warn_unsegmented([text, "a few words"])


def test_the_warning_says_the_share_and_wants_more_than_a_twentieth():
    assert warn_unsegmented(["字", "a" * 9]).startswith("10% of the characters")
    assert warn_unsegmented(["字", "a" * 19]) is None  # 1 of 20 is not more than a twentieth


def test_the_pattern_that_the_warning_offers_works():
    line = warn_unsegmented(["漢字"])
    pattern = line.split("such as ")[1].split(" makes")[0]
    assert Tokenizer(pattern).tokenize(["漢字 ab"])[0] == ["漢", "字", "ab"]


def entry_of(cache_dir):
    (entry,) = (cache_dir / "tokens").iterdir()
    return entry


@given(TEXTS)
def test_cached_tokens_are_the_tokens(tmp_path_factory, texts):
    cache_dir = tmp_path_factory.mktemp("cache")
    plain = Tokenizer().tokenize(texts)
    for _ in range(2):
        cached = tokenize_cached(texts, Tokenizer(), "key", cache_dir)
        assert cached.words == plain.words
        assert cached.ragged.ids.tolist() == plain.ragged.ids.tolist()
        assert cached.ragged.offsets.tolist() == plain.ragged.offsets.tolist()


def test_the_second_time_nothing_is_tokenised(tmp_path, monkeypatch):
    first = tokenize_cached(["a b", "b"], Tokenizer(), "key", tmp_path)
    monkeypatch.setattr(Tokenizer, "tokenize", lambda *_: pytest.fail("tokenised again"))
    second = tokenize_cached(["a b", "b"], Tokenizer(), "key", tmp_path)
    assert second.words == first.words == ("a", "b")


def test_cached_arrays_are_memory_mapped_and_read_only(tmp_path):
    ragged = tokenize_cached(["a b", "b"], Tokenizer(), "key", tmp_path).ragged
    assert isinstance(ragged.ids, np.memmap)
    assert isinstance(ragged.offsets, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ragged.ids[0] = 1


def test_another_key_pattern_or_number_of_texts_is_another_entry(tmp_path):
    cases = [(["a-b"], r"\w+", "k"), (["a-b"], r"\S+", "k"), (["c"], r"\w+", "l"), ([], r"\w+", "k")]
    for texts, pattern, key in cases:
        tokens = tokenize_cached(texts, Tokenizer(pattern), key, tmp_path)
        assert unpacked(tokens) == unpacked(Tokenizer(pattern).tokenize(texts))
    assert len(list((tmp_path / "tokens").iterdir())) == 4


def test_words_of_any_pattern_survive_the_cache(tmp_path):
    tokenizer = Tokenizer(r"(?s)[^|]+")
    for _ in range(2):
        tokens = tokenize_cached(["a\nb|\r\n|\0\u2028|\"'\\"], tokenizer, "key", tmp_path)
        assert tokens[0] == ["a\nb", "\r\n", "\0\u2028", "\"'\\"]


@pytest.mark.parametrize("name", ["ids.npy", "offsets.npy", "words.json", "crc32.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "flipped"])
def test_a_damaged_entry_is_made_anew(tmp_path, name, damage):
    texts = ["one two three", "", "two"]
    tokenize_cached(texts, Tokenizer(), "key", tmp_path)
    file = entry_of(tmp_path) / name
    content = file.read_bytes()
    flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    damaged = {"missing": None, "empty": b"", "half": content[: len(content) // 2], "flipped": flipped}[
        damage
    ]
    file.unlink()
    if damaged is not None:
        file.write_bytes(damaged)
    tokens = tokenize_cached(texts, Tokenizer(), "key", tmp_path)
    assert unpacked(tokens) == [["one", "two", "three"], [], ["two"]]
    assert file.read_bytes() == content
    assert entry_of(tmp_path) == file.parent  # and no leftovers beside it


def test_arrays_of_wrong_lengths_are_made_anew(tmp_path):
    texts = ["one two", "two"]
    tokenize_cached(texts, Tokenizer(), "key", tmp_path)
    np.save(entry_of(tmp_path) / "offsets.npy", np.array([0, 9], dtype=np.int64))
    assert unpacked(tokenize_cached(texts, Tokenizer(), "key", tmp_path)) == [["one", "two"], ["two"]]
    assert cache.load(entry_of(tmp_path), ("ids", "offsets"))[0]["offsets"].tolist() == [0, 2, 3]
