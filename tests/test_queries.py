import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from twotower.search import queries
from twotower.search.queries import Query


def test_lines_are_queries_numbered_as_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_bytes("\ufeffread a csv\r\n\n  \nZürich 東京".encode())
    assert [*queries.of_file(path)] == [Query("1", "read a csv"), Query("4", "Zürich 東京")]


def test_json_lines_have_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl.gz"
    path.write_bytes(
        gzip.compress(b'{"_id": "q7", "text": "read a csv", "metadata": {}}\n{"_id": 8, "text": "b"}\n')
    )
    assert [*queries.of_file(path)] == [Query("q7", "read a csv"), Query("8", "b")]


def test_the_first_line_of_a_pipe_decides_what_all_are() -> None:
    assert [*queries.of_lines(["", '{"_id": "a", "text": "b"}'], "stdin")] == [Query("a", "b")]
    assert [*queries.of_lines(["b", '{"_id": "a"}'], "stdin")] == [
        Query("1", "b"),
        Query("2", '{"_id": "a"}'),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"caf\xe9", "2: query: its bytes are not UTF-8, want text"),
        (b"{", "2: .* want a JSON object with _id and text"),
        (b"[]", "2: no text in it, want a JSON object with _id and text"),
        (b'{"text": "a"}', "2: no _id in it, want a JSON object with _id and text"),
        (b'{"_id": true, "text": "a"}', "2: no _id in it"),
        (b'{"_id": "a", "text": " "}', "2: query: got nothing, want a few words"),
        (b'{"_id": "a", "text": "\\ud800"}', "2: query: its bytes are not UTF-8"),
    ],
)
def test_a_line_that_is_no_query_is_refused_by_its_number(line: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / ("q.txt" if line.startswith(b"c") else "q.jsonl")
    path.write_bytes((b"fine" if path.suffix == ".txt" else b'{"_id": "q", "text": "fine"}') + b"\n" + line)
    with pytest.raises(ValueError, match=f"{path.name}:{said}"):
        list(queries.of_file(path))


def test_a_file_that_is_not_there_or_damaged_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(queries.of_file(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="a folder"):
        list(queries.of_file(tmp_path))
    (tmp_path / "q.txt.gz").write_bytes(b"read a csv")
    with pytest.raises(ValueError, match="damaged or not gzip"):
        list(queries.of_file(tmp_path / "q.txt.gz"))


def test_batches_hold_so_many_and_the_rest() -> None:
    some = [Query(str(n), "a") for n in range(5)]
    assert [len(batch) for batch in queries.batches(some, 2)] == [2, 2, 1]
    assert [*queries.batches([], 2)] == []


def test_what_comes_before_an_error_is_answered() -> None:
    def failing() -> Iterator[Query]:
        yield Query("1", "a")
        raise ValueError("bad")

    batches = queries.batches(failing(), 2)
    assert next(batches) == [Query("1", "a")]
    with pytest.raises(ValueError, match="bad"):
        next(batches)
