import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_case import encode, index_of

from twotower.search import exact
from twotower.search.searcher import Searcher, check
from twotower.text.ragged import Ragged

TEXTS = {"d1": "csv", "d2": "csv file", "d3": "matrix", "d4": "csv file"}


def build() -> Searcher:
    folder = Path(tempfile.mkdtemp())
    return Searcher(index_of(TEXTS, ("One", "", "", ""), folder, max_query_words=4), encode, "cpu")


@pytest.fixture
def searcher() -> Searcher:
    return build()


def test_hits_come_best_first_and_equal_scores_by_id(searcher: Searcher) -> None:
    hits = searcher.search("CSV file!", 3).hits
    # cosine of (1, 1) with itself is 1, with (1, 0) it is 1 / sqrt(2)
    assert [(hit.rank, hit.doc_id) for hit in hits] == [(1, "d2"), (2, "d4"), (3, "d1")]
    assert [hit.score for hit in hits] == pytest.approx([1, 1, 0.5**0.5], abs=1e-6)
    assert (hits[2].title, hits[2].text) == ("One", "csv")


def test_an_answer_is_that_of_exact_search(searcher: Searcher) -> None:
    answer = searcher.search("matrix file", 4)
    query = encode(Ragged.of([[4, 3]]))
    many = exact.top(np.repeat(query, 5, axis=0), searcher.index.vectors, 4, chunk=2)
    assert [hit.doc_id for hit in answer.hits] == [list(TEXTS)[row] for row in many.rows[0]]
    assert [hit.score for hit in answer.hits] == many.scores[0].tolist()


def test_a_k_beyond_the_corpus_gives_all_of_it(searcher: Searcher) -> None:
    assert len(searcher.search("csv", 99).hits) == len(searcher) == 4


def test_unknown_words_are_pointed_out(searcher: Searcher) -> None:
    assert searcher.search("read a csv", 1).remarks == ("not in the vocabulary: read, a",)
    assert searcher.search("csv file", 1).remarks == ()


def test_many_long_unknown_words_make_a_short_remark(searcher: Searcher) -> None:
    searcher.limit = 100
    (remark,) = searcher.search(" ".join(f"{number}" + "x" * 500 for number in range(20)), 1).remarks
    assert remark.endswith(" and 12 more")
    assert len(remark) < 400


def test_a_word_that_spells_a_special_one_is_unknown(searcher: Searcher) -> None:
    assert searcher.search("pad csv", 1).remarks == ("not in the vocabulary: pad",)


def test_a_long_query_is_cut_and_says_so(searcher: Searcher) -> None:
    answer = searcher.search("matrix " * 4 + "csv " * 1000, 1)
    assert answer.hits[0].doc_id == "d3"
    assert answer.remarks == ("query cut after 4 of its 1,004 words",)


def test_a_query_without_a_word_says_that_its_hits_mean_nothing(searcher: Searcher) -> None:
    answer = searcher.search("?!", 2)
    assert answer.remarks == ("no word in the query: the hits mean nothing",)
    assert len(answer.hits) == 2


@pytest.mark.parametrize("query", ["", " ", "\t\n ", "\u3000"])
def test_a_blank_query_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="query: got nothing, want a few words"):
        check(query)


def test_bytes_that_are_not_utf_8_are_refused(searcher: Searcher) -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        searcher.search(b"caf\xe9".decode("utf-8", "surrogateescape"), 1)


@settings(deadline=None, max_examples=50)
@given(query=st.text(min_size=1, max_size=200).filter(lambda text: text.strip()))
def test_whatever_the_characters_there_are_hits(query: str) -> None:
    assert len(build().search(query, 4).hits) == 4


def test_the_seconds_are_those_of_the_steps(searcher: Searcher) -> None:
    answer = searcher.search("csv", 1)
    assert answer.seconds == answer.encode_seconds + answer.search_seconds + answer.text_seconds
    assert min(answer.encode_seconds, answer.search_seconds, answer.text_seconds) > 0
