import os
from pathlib import Path

import pytest

from twotower import config
from twotower.data import beir, docstrings, stamps


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "three"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "one"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "what"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    return folder


def test_a_stamp_stays_while_nothing_moves(folder: Path) -> None:
    source = {"kind": "beir", "path": str(folder)}
    assert stamps.of(source) == stamps.of(source)


def test_a_changed_corpus_has_another_stamp(folder: Path) -> None:
    source = {"kind": "beir", "path": str(folder)}
    before = stamps.of(source)
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d2", "text": "two"}\n')
    longer = stamps.of(source)
    os.utime(folder / "corpus.jsonl", ns=(0, 1))
    assert len({before, longer, stamps.of(source)}) == 3


def test_queries_and_judgements_do_not_count(folder: Path) -> None:
    source = {"kind": "beir", "path": str(folder)}
    before = stamps.of(source)
    (folder / "queries.jsonl").write_text("")
    assert stamps.of(source) == before


def test_a_missing_corpus_is_a_missing_file(folder: Path) -> None:
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"three: no corpus\.jsonl"):
        stamps.of({"kind": "beir", "path": str(folder)})


def test_a_changed_package_has_another_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"kind": "docstrings", "packages": ["stamped_package"]}
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="no package 'stamped_package'"):
        stamps.of(source)
    (tmp_path / "stamped_package").mkdir()
    (tmp_path / "stamped_package" / "__init__.py").write_text('"""One."""\n')
    before = stamps.of(source)
    (tmp_path / "stamped_package" / "more.py").write_text('"""Two."""\n')
    assert stamps.of(source) != before


def test_a_source_that_no_reader_wrote_is_refused() -> None:
    with pytest.raises(ValueError, match="source: got nothing, want"):
        stamps.of({})


def test_the_source_of_knobs_is_that_of_the_collection_they_read(folder: Path, tmp_path: Path) -> None:
    assert stamps.source_of(config.Beir(path=str(folder / ".." / "three"))) == beir.read(folder).source
    packages = config.Docstrings(packages=["json"])
    assert stamps.source_of(packages) == docstrings.read(["json"], tmp_path).source
    assert stamps.source_of(config.Stored()) == {}
