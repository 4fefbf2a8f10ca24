import multiprocessing
from pathlib import Path

import pytest

from twotower.data import appended


def test_lines_are_read_back_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    appended.append(path, [{"query": "Zürich 東京\n"}])
    appended.append(path, [{"query": "csv"}, {}])
    appended.append(path, [])
    assert appended.read(path) == ([(1, {"query": "Zürich 東京\n"}), (2, {"query": "csv"}), (3, {})], 0)
    assert path.stat().st_mode & 0o777 == 0o600  # what one asks is one's own


@pytest.mark.parametrize("cut", [1, 2, 12])
def test_a_torn_line_is_counted_and_the_next_one_is_whole(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appended.append(path, [{"a": 1}, {"query": "csv"}])
    path.write_bytes(path.read_bytes()[:-cut])
    whole = [(1, {"a": 1}), *([(2, {"query": "csv"})] if cut == 1 else [])]
    assert appended.read(path) == (whole, int(cut > 1))
    appended.append(path, [{"b": 2}])
    assert appended.read(path) == ([*whole, (3, {"b": 2})], int(cut > 1))


def test_half_of_a_surrogate_pair_does_no_harm(tmp_path: Path) -> None:
    appended.append(tmp_path / "log", [{"query": "half \udce9 é"}])
    assert appended.read(tmp_path / "log") == ([(1, {"query": "half \udce9 é"})], 0)


def test_blank_lines_are_no_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'\n{"a": 1}\r\n\n')
    assert appended.read(tmp_path / "log") == ([(2, {"a": 1})], 0)
    (tmp_path / "log").write_bytes(b"")
    assert appended.read(tmp_path / "log") == ([], 0)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"q1 0 d1 1\n[1]\n\xff\n")
    with pytest.raises(ValueError, match="3 lines, none of them a JSON object"):
        appended.read(tmp_path / "log")
    with pytest.raises(FileNotFoundError, match="no such file"):
        appended.read(tmp_path / "other")


def many(path: Path, number: int) -> None:
    for place in range(50):
        appended.append(path, [{"n": number, "place": place, "long": "x" * 5000}], durable=False)


def test_processes_that_append_together_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=many, args=(path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines, torn = appended.read(path)
    assert torn == 0
    assert sorted((line["n"], line["place"]) for _, line in lines) == [
        (n, p) for n in range(3) for p in range(50)
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [({}, "got nothing, want int"), ({"n": "1"}, "got str, want int"), ({"n": True}, "got bool, want int")],
)
def test_a_field_of_another_type_is_refused(content: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"log:3: n: {said}"):
        appended.field("log:3", content, "n", int)
    with pytest.raises(ValueError, match="want int or float"):
        appended.field("log:3", content, "n", (int, float))
    assert appended.field("log:3", {"n": 1}, "n", int) == 1
