import sqlite3
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.search import snippets
from twotower.search.snippets import CLOSE, OPEN, Snippet


def marked(snippet: Snippet) -> list[str]:
    return [snippet.text[start:stop] for start, stop in snippet.marks]


def test_the_words_of_the_query_are_marked_in_any_form() -> None:
    (found,) = snippets.snippets(["The cats were  reading\nCSV files in Zürich."], "read a csv file zurich")
    assert found.text == "The cats were reading CSV files in Zürich."
    assert marked(found) == ["reading", "CSV", "files", "Zürich"]


def test_the_part_that_speaks_of_the_query_is_shown() -> None:
    text = " ".join(["before"] * 200 + ["the", "needle", "lies", "here"] + ["after"] * 200)
    (found,) = snippets.snippets([text], "needle", words=10)
    assert "needle" in found.text
    assert found.text.startswith("…")
    assert len(found.text.split()) <= 12


def test_a_text_without_the_words_shows_its_beginning() -> None:
    texts = ["one two three four", "one two", ""]
    assert [one.text for one in snippets.snippets(texts, "nothing", words=3)] == [
        "one two three…",
        "one two",
        "",
    ]
    assert [one.marks for one in snippets.snippets(texts, "?!")] == [(), (), ()]


def test_each_hit_keeps_its_place() -> None:
    texts = ["no such word", "a cat", "no", "cat cat"]
    assert [len(one.marks) for one in snippets.snippets(texts, "cat")] == [0, 1, 0, 2]


@pytest.mark.parametrize(
    "query", [*string.punctuation, 'a" OR "b', "AND", "NEAR(a b)", "a*", "text:a", "^a", "{a}", "-a"]
)
def test_no_query_is_an_expression(query: str) -> None:
    found = snippets.snippets(["a near and or not b"], f"{query} near")
    assert "near" in marked(found[0])


@given(st.lists(st.text(max_size=40), max_size=4), st.text(max_size=40))
def test_any_text_and_query_give_a_line_each(texts: list[str], query: str) -> None:
    texts = [text.encode(errors="ignore").decode() for text in texts]
    found = snippets.snippets(texts, query.encode(errors="ignore").decode())
    assert len(found) == len(texts)
    for one in found:
        assert OPEN not in one.text
        assert CLOSE not in one.text
        assert not set("\n\r\0") & set(one.text)
        assert all(0 <= start < stop <= len(one.text) for start, stop in one.marks)


def test_without_full_text_search_the_beginning_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise sqlite3.OperationalError("no such module: fts5")

    monkeypatch.setattr(snippets.sqlite3, "connect", refuse)
    assert snippets.snippets(["a cat"], "cat") == [Snippet("a cat")]


@pytest.mark.bench
def test_long_queries_and_texts_take_no_time() -> None:
    texts = [" ".join(f"word{n % 5000}" for n in range(150_000))] * 10
    query = " ".join(f"word{n}" for n in range(1_200))
    start = time.perf_counter()
    snippets.snippets(texts, query)
    assert time.perf_counter() - start < 0.05  # 0.02 s alone on two cores
