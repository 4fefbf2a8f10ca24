import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text import streams, tables, word2vec
from twotower.text.streams import Place

WORDS = ("the", "cat", "été", "</s>")
MATRIX = np.array([[1, 10], [3, 0.1], [-5, 50], [7, 1e-30]], dtype=np.float32)


def binary(words: tuple[str, ...] = WORDS, matrix: np.ndarray = MATRIX, feed: bytes = b"\n") -> bytes:
    """A table as word2vec writes it, or, without line feeds, as gensim does."""
    records = (word.encode() + b" " + row.tobytes() + feed for word, row in zip(words, matrix, strict=True))
    return f"{len(words)} {matrix.shape[1]}\n".encode() + b"".join(records)


def written(path: Path, content: bytes) -> Place:
    path.write_bytes(content)
    return Place(path)


def rows_of(place: Place, *words: str) -> dict[str, list[float]]:
    places, rows = word2vec.rows_of(place, words)
    return {words[at]: row.tolist() for at, row in zip(places.tolist(), rows, strict=True)}


@pytest.mark.parametrize("feed", [b"\n", b""])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_both_variants_are_read_plain_and_gzipped(tmp_path: Path, feed: bytes, pack: object) -> None:
    place = written(tmp_path / "v.bin", pack(binary(feed=feed)))  # type: ignore[operator]
    assert list(word2vec.words_of(place)) == list(WORDS)
    assert rows_of(place, "emu", "été", "the") == {"the": [1, 10], "été": [-5, 50]}


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_the_size_of_a_block_changes_nothing(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK", size)
    place = written(tmp_path / "v.bin", binary())
    assert list(word2vec.words_of(place)) == list(WORDS)
    assert rows_of(place, "</s>") == {"</s>": [7, float(np.float32(1e-30))]}


@given(
    st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\n \ufffd"), min_size=1, max_size=9
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.data(),
)
def test_every_word_comes_back_with_its_numbers(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], data: st.DataObject
) -> None:
    numbers = st.floats(-(2**49), 2**49, width=32)
    rows = data.draw(
        st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=len(words), max_size=len(words))
    )
    matrix = np.array(rows, dtype=np.float32)
    feed = data.draw(st.sampled_from([b"\n", b""]))
    place = written(tmp_path_factory.mktemp("w") / "v.bin", binary(tuple(words), matrix, feed))
    assert list(word2vec.words_of(place)) == words
    assert rows_of(place, *words) == dict(zip(words, matrix.tolist(), strict=True))


def test_a_word_that_is_not_utf8_is_passed_over(tmp_path: Path) -> None:
    content = binary().replace(b"cat", b"\xff\xfet")
    place = written(tmp_path / "v.bin", content)
    assert list(word2vec.words_of(place)) == ["the", "été", "</s>"]
    assert rows_of(place, "été") == {"été": [-5, 50]}


def test_binary_and_text_are_told_apart_by_content(tmp_path: Path) -> None:
    assert word2vec.is_binary(binary())
    assert word2vec.is_binary(binary(feed=b""))
    assert word2vec.is_binary(b"2 3\na " + np.zeros(3, dtype="<f4").tobytes())
    assert not word2vec.is_binary(b"2 3\na 1 2 3\nb 1 2 3\n")
    assert not word2vec.is_binary(b"2 3\na x 2 3\nb 1 2 3\n")  # malformed text is for the text to name
    assert not word2vec.is_binary(b"2 2\na 1 2\n\xff\xfe 1 2\n")
    assert not word2vec.is_binary("2 9\né 1 2\nü\x0c 1 2\n".encode())
    assert not word2vec.is_binary(b"the 0.1 0.2\n")
    assert tables.recognised(written(tmp_path / "v.txt", binary()))[1] is tables.BINARY
    assert tables.recognised(written(tmp_path / "v.bin", b"1 2\na 1 2\n"))[1] is tables.TEXT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (binary()[:-9], "byte 50: ends in word 4 of 4; the file is cut short"),
        (binary()[:-16], "byte 43: ends in word 3 of 4"),
        (binary()[:20], "byte 20: ends in word 2 of 4"),
        (binary()[:4], "byte 4: ends in word 1 of 4"),
        (binary() + b"x", "byte 59: goes on after the 4 words of its header"),
        (binary().replace(b"4 2\n", b"3 2\n"), "goes on after the 3 words"),
        (binary().replace(b"4 2\n", b"0 2\n"), ":1: a header of 0 words"),
        (binary().replace(b"4 2\n", b"4 0\n"), ":1: a header of 0 numbers a word"),
        (binary().replace(b"4 2\n", b"4 70000\n"), ":1: a header of 70,000 numbers a word, want 1 to 65,536"),
        (b"4 2\n" + bytes(9999), "byte 4: no end of word 1 of 4 within 4,096 bytes; damaged"),
        (binary(matrix=MATRIX * np.float32(np.nan)), "word 2, 'cat': nan among the numbers, want finite"),
    ],
)  # fmt: skip
def test_a_malformed_table_is_named_by_byte_or_word(tmp_path: Path, content: bytes, says: str) -> None:
    place = written(tmp_path / "v.bin", content)
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        word2vec.rows_of(place, ["cat"])
    assert str(caught.value).startswith(str(place))
    assert "\n" not in str(caught.value)


def test_gensim_reads_the_same_rows(tmp_path: Path) -> None:
    gensim = pytest.importorskip("gensim.models")
    vectors = gensim.KeyedVectors(2)
    vectors.add_vectors(list(WORDS), MATRIX)
    for name, is_binary in (("v.bin", True), ("v.txt", False), ("v.bin.gz", True), ("v.vec.gz", False)):
        vectors.save_word2vec_format(str(tmp_path / name), binary=is_binary)
        place = Place(tmp_path / name)
        assert list(tables.words_of(place)) == list(WORDS)
        np.testing.assert_array_equal(tables.rows_of(place, WORDS)[1], MATRIX)
