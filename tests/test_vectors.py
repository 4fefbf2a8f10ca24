import time

import numpy as np
import pytest

from twotower.text import glove, vectors
from twotower.text.tokenize import Tokenizer
from twotower.text.trained import Table
from twotower.text.vocabulary import PAD, SPECIAL, UNKNOWN, Vocab


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 10\n, 9 9\n. . . 9 9\nit's 9 9\ncat 3 30\nThe 9 9\ncat 9 9\ndog 5 50\n")
    return str(path)


def test_found_words_have_their_vectors_and_padding_has_none(table):
    words = (*SPECIAL, "dog", "emu", "the")
    loaded = vectors.load(table, words, dim=7, rng=rng())
    assert loaded.found.tolist() == [False, False, True, False, True]
    assert loaded.matrix[[2, 4]].tolist() == [[5, 50], [1, 10]]
    assert loaded.matrix[PAD].tolist() == [0, 0]
    assert loaded.matrix.shape == (5, 2)  # the file's width, not `dim`
    assert loaded.matrix.dtype == np.float32
    assert loaded.coverage == pytest.approx(2 / 3)


def test_words_without_a_vector_are_on_the_scale_of_the_table(table):
    unknown = tuple(f"w{number}" for number in range(20_000))
    drawn = vectors.load(table, (*SPECIAL, "the", "dog", *unknown), dim=1, rng=rng()).matrix[4:]
    # the rows found are (1, 10) and (5, 50): mean (3, 30), deviation (2, 20)
    np.testing.assert_allclose(drawn.mean(axis=0), [3, 30], rtol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), [2, 20], rtol=0.02)


def test_the_unknown_word_has_a_vector(table):
    loaded = vectors.load(table, (*SPECIAL, "the", "dog"), dim=1, rng=rng())
    assert np.isfinite(loaded.matrix).all()
    assert loaded.matrix[UNKNOWN].any()


@pytest.mark.parametrize("source", ["random", "table"])
def test_one_seed_gives_one_table(source, request):
    source = request.getfixturevalue("table") if source == "table" else source
    words = (*SPECIAL, "the", "emu")
    first, second = (vectors.load(source, words, dim=3, rng=rng(5)).matrix for _ in range(2))
    other = vectors.load(source, words, dim=3, rng=rng(6)).matrix
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_random_has_the_width_asked_for_and_vectors_of_about_unit_norm():
    loaded = vectors.load("random", (*SPECIAL, *map(str, range(5000))), dim=64, rng=rng())
    assert loaded.matrix.shape == (5002, 64)
    assert not loaded.found.any()
    assert loaded.coverage == 0.0
    assert (loaded.matrix[1:] ** 2).sum(axis=1).mean() == pytest.approx(1, rel=0.02)
    with pytest.raises(ValueError, match=r"^vectors random: width 0, want at least 1$"):
        vectors.load("random", SPECIAL, dim=0, rng=rng())


@pytest.mark.parametrize("known", [[], ["the"]])
def test_a_table_that_has_hardly_a_word_still_gives_distinct_vectors(table, known):
    matrix = vectors.load(table, (*SPECIAL, *known, "emu", "yak"), dim=1, rng=rng()).matrix
    assert len(np.unique(matrix, axis=0)) == len(matrix)


def test_a_table_with_a_row_for_padding_is_not_asked(tmp_path):
    path = tmp_path / "g.txt"
    path.write_text("<pad> 7 7\n<unk> 8 8\na 1 2\n")
    loaded = vectors.load(str(path), (*SPECIAL, "a"), dim=1, rng=rng())
    assert loaded.matrix.tolist() == [[0, 0], [8, 8], [1, 2]]
    assert loaded.found.tolist() == [False, True, True]


def test_frequent_words_are_those_that_the_tokenizer_leaves_whole(table):
    assert vectors.frequent_words(table, 10, Tokenizer()) == ["the", "cat", "dog"]
    assert vectors.frequent_words(table, 2, Tokenizer()) == ["the", "cat"]
    assert vectors.frequent_words(table, 0, Tokenizer()) == []
    assert vectors.frequent_words(table, 9, Tokenizer(r"\S+")) == ["the", ",", "it's", "cat", "dog"]
    assert vectors.frequent_words("random", 10, Tokenizer()) == []


def test_the_batch_in_which_words_are_looked_at_changes_nothing(table, monkeypatch):
    monkeypatch.setattr(vectors, "BATCH", 2)
    assert vectors.frequent_words(table, 3, Tokenizer()) == ["the", "cat", "dog"]


@pytest.mark.parametrize(
    "use",
    [
        lambda source: vectors.load(source, SPECIAL, dim=1, rng=rng()),
        lambda source: vectors.frequent_words(source, 1, Tokenizer()),
    ],
)
def test_a_source_that_is_not_there_is_named_with_those_that_are(use, tmp_path):
    for source, what in [("glove-50", "no such file"), (str(tmp_path), "a folder")]:
        with pytest.raises(FileNotFoundError) as caught:
            use(source)
        wanted = f"{source}: {what}, want word vectors: glove-50d, random, train, or a file ("
        assert str(caught.value).startswith(wanted)


@pytest.fixture
def other(tmp_path):
    """A second table, of three columns, that lacks `the` and has `emu`."""
    path = tmp_path / "other.vec"
    path.write_text("4 3\ncat 7 7 7\nemu 1 2 3\nyak 5 5 5\nThe 0 0 0\n")
    return str(path)


def test_tables_side_by_side_have_the_columns_of_each(table, other):
    words = (*SPECIAL, "the", "emu", "cat", "gnu")
    both = vectors.load(f"{table}+{other}", words, dim=1, rng=rng())
    assert both.matrix.shape == (6, 5)
    assert both.found.tolist() == [False, False, True, True, True, False]
    assert both.matrix[2, :2].tolist() == [1, 10]
    assert both.matrix[3, 2:].tolist() == [1, 2, 3]
    assert both.matrix[4].tolist() == [3, 30, 7, 7, 7]
    assert both.matrix[PAD].tolist() == [0] * 5
    assert both.coverage == pytest.approx(3 / 4)


def test_each_table_draws_what_it_lacks_on_its_own_scale(table, other):
    unknown = tuple(f"w{number}" for number in range(20_000))
    words = (*SPECIAL, "the", "dog", "emu", "yak", *unknown)
    drawn = vectors.load(f"{table}+{other}", words, dim=1, rng=rng()).matrix[6:]
    # the first table's rows are (1, 10) and (5, 50), the second's (1, 2, 3) and (5, 5, 5)
    np.testing.assert_allclose(drawn.mean(axis=0), [3, 30, 3, 3.5, 4], rtol=0.03)
    np.testing.assert_allclose(drawn.std(axis=0), [2, 20, 2, 1.5, 1], rtol=0.03)


def test_random_columns_find_no_word(table):
    loaded = vectors.load(f"{table}+random", (*SPECIAL, "the", "emu"), dim=4, rng=rng())
    assert loaded.matrix.shape == (4, 6)
    assert loaded.found.tolist() == [False, False, True, False]
    assert len(np.unique(loaded.matrix[:, 2:], axis=0)) == 4


def test_the_first_table_that_has_words_fills_the_vocabulary(table, other):
    assert vectors.frequent_words(f"random+train+{other}+{table}", 9, Tokenizer()) == ["cat", "emu", "yak"]
    assert vectors.frequent_words(f"{table}+{other}", 2, Tokenizer()) == ["the", "cat"]


def test_a_plus_in_the_name_of_a_file_is_part_of_it(tmp_path, table, other, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = "a 1 2\n"
    for name in ("c++.txt", "x", "x+y", "y"):
        (tmp_path / name).write_text(content)
    assert [str(part) for part in vectors.split("c++.txt")] == ["c++.txt"]
    assert [str(part) for part in vectors.split("c++.txt+random")] == ["c++.txt", "random"]
    assert [str(part) for part in vectors.split("x+y")] == ["x+y"]  # the whole wins over x and y
    assert [str(part) for part in vectors.split("random+x+y+y")] == ["random", "x+y", "y"]
    with pytest.raises(FileNotFoundError, match=r"^nowhere: no such file"):
        vectors.split("random+nowhere+x")


@pytest.mark.parametrize("source", ["random+", "+random", "random++random", ""])
def test_a_part_that_is_empty_is_no_table(source):
    with pytest.raises(FileNotFoundError, match="want word vectors"):
        vectors.split(source)


def test_trained_vectors_are_asked_for_only_where_they_are_named(table):
    trained = Table(("cat", "the"), np.array([[1, 2], [3, 4]], dtype=np.float32))
    words = (*SPECIAL, "the", "emu")
    loaded = vectors.load(f"train+{table}", words, dim=1, rng=rng(), trained=lambda: trained)
    assert loaded.matrix[2].tolist() == [3, 4, 1, 10]
    assert loaded.found.tolist() == [False, False, True, False]
    vectors.load("random", words, dim=1, rng=rng(), trained=lambda: pytest.fail("trained in vain"))
    with pytest.raises(
        ValueError, match=r"^vectors train: word vectors are trained by the command train alone"
    ):
        vectors.load("train", words, dim=1, rng=rng())


def test_a_wheel_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr(glove, "WHEEL", "no_such_wheel")
    with pytest.raises(ValueError, match="pip install 'twotower"):
        vectors.load("glove-50d", SPECIAL, dim=1, rng=rng())
    with pytest.raises(ValueError, match="pip install 'twotower"):
        vectors.frequent_words("glove-50d", 1, Tokenizer())


def test_the_wheel_fills_a_vocabulary_that_it_covers_wholly():
    pytest.importorskip(glove.WHEEL)
    filler = vectors.frequent_words("glove-50d", 2000, Tokenizer())
    assert filler[:3] == ["the", "of", "to"]  # its second and third words are "," and "."
    vocab = Vocab.build({"the": 3, "zzzzqqq": 1}, min_count=1, max_size=2000, filler=filler)
    loaded = vectors.load("glove-50d", vocab.words, dim=1, rng=rng())
    assert len(vocab) == 2000
    assert loaded.coverage == pytest.approx(1997 / 1998)  # all but zzzzqqq
    assert loaded.matrix.shape == (2000, 50)


@pytest.mark.slow
def test_sixty_thousand_words_load_in_under_a_second():
    pytest.importorskip(glove.WHEEL)
    words = (*SPECIAL, *vectors.frequent_words("glove-50d", 60_000, Tokenizer()))
    start = time.perf_counter()
    assert vectors.load("glove-50d", words, dim=1, rng=rng()).coverage == 1.0
    assert time.perf_counter() - start < 1
