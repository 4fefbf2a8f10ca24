import gzip
from pathlib import Path

import pytest
from passages_case import passages

from twotower.data.collection import Collection
from twotower.evaluation import candidates, trec


@pytest.fixture(scope="module")
def collection() -> Collection:
    return passages(16)


def run_of(collection: Collection, split: str) -> list[str]:
    """The judged documents as a run, backwards."""
    return [
        f"{query} Q0 {doc} {rank} {-rank / 2} tag"
        for query, grades in reversed(collection.split(split).items())
        for rank, doc in enumerate(reversed(grades), start=1)
    ]


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "run.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_judged_documents_as_a_run_are_the_same_lists(collection: Collection, tmp_path: Path) -> None:
    own = candidates.judged(collection.judgements("dev"))
    path = written(tmp_path, run_of(collection, "dev"))
    zipped = tmp_path / "run.txt.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, zipped):
        found, remarks = trec.read(file, collection, "dev")
        assert found.queries.tolist() == own.queries.tolist()
        assert found.docs.tolist() == own.docs.tolist()
        assert remarks == []
        assert candidates.digest(found, collection) == candidates.digest(own, collection)


def test_tabs_and_several_spaces_part_fields(collection: Collection, tmp_path: Path) -> None:
    lines = [line.replace(" ", "\t", 2).replace(" ", "   ") for line in run_of(collection, "dev")]
    found, _ = trec.read(written(tmp_path, lines), collection, "dev")
    assert found.docs.tolist() == candidates.judged(collection.judgements("dev")).docs.tolist()


def test_queries_of_other_splits_are_left_aside_and_counted(collection: Collection, tmp_path: Path) -> None:
    lines = [*run_of(collection, "test"), *run_of(collection, "dev")]
    path = written(tmp_path, lines)
    found, remarks = trec.read(path, collection, "dev")
    assert len(found.queries) == 4
    assert remarks == [f"{path}: 4 queries that split dev does not judge left aside"]


def test_queries_without_a_list_are_refused(collection: Collection, tmp_path: Path) -> None:
    first, second = list(collection.split("dev"))[:2]
    lines = [line for line in run_of(collection, "dev") if line.split()[0] not in (first, second)]
    with pytest.raises(
        ValueError,
        match=f"run.txt: 2 of the 4 queries judged in split dev have no list, the first is '{first}'",
    ):
        trec.read(written(tmp_path, lines), collection, "dev")
    with pytest.raises(ValueError, match="4 of the 4 queries"):
        trec.read(written(tmp_path, []), collection, "dev")


FAULTS = {
    "1000 Q0 1000_0 1 2.5": "5 fields, want 6: query Q0 document rank score tag",
    "1000 Q0 1000_0 1 2.5 my tag": "7 fields, want 6",
    "": "0 fields, want 6",
    "nobody Q0 1000_0 1 2.5 tag": "no query 'nobody' in the collection",
    "1000 Q0 nothing 1 2.5 tag": "no document 'nothing' in the collection",
    "1000 Q0 1000_0 1 high tag": "score 'high', want a finite number",
    "1000 Q0 1000_0 1 nan tag": "score 'nan', want a finite number",
    "1000 Q0 1000_0 1 2.5 tag": "document '1000_0' again in the list of query '1000'",
}


@pytest.mark.parametrize(("line", "says"), FAULTS.items())
def test_a_faulty_line_is_named_by_file_and_number(
    line: str, says: str, collection: Collection, tmp_path: Path
) -> None:
    lines = run_of(collection, "dev")
    path = written(tmp_path, [*lines, line, "1000 Q0 1000_1 9 0 tag"])
    with pytest.raises(ValueError, match=r"run\.txt") as caught:
        trec.read(path, collection, "dev")
    assert str(caught.value).startswith(f"{path}:{len(lines) + 1}: {says}")


def test_a_line_that_is_not_utf_8_is_named(collection: Collection, tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes(b"1000 Q0 1000_\xff 1 2.5 tag\n")
    with pytest.raises(ValueError, match=r"run\.txt:1: byte 0xff is not UTF-8"):
        trec.read(path, collection, "dev")


def test_a_missing_file_is_a_missing_file(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trec.read(tmp_path / "run.txt", collection, "dev")
