import os
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def test_what_does_not_decide_on_the_content_is_not_compared(folder: Path) -> None:
    plain = config.Beir(path=str(folder))
    assert stamps.source_of(replace(plain, dev_share=0.3)) == stamps.source_of(plain)
    skipping = replace(plain, on_bad=config.OnBad.skip)
    assert stamps.source_of(skipping) == stamps.source_of(plain) | {"on_bad": "skip"}


def test_a_description_and_what_is_compared_of_it_have_one_stamp(folder: Path) -> None:
    (folder / "train.tsv").write_text("query\tpositive\nwhere\tUlm\n")
    for cfg in (config.Beir(path=str(folder)), config.Pairs(path=str(folder / "train.tsv"))):
        assert stamps.of(stamps.described(cfg)) == stamps.of(stamps.source_of(cfg))


@pytest.mark.parametrize(
    "change",
    [{"on_bad": config.OnBad.skip}, {"score": "grade"}, {"subset": "v2"}, {"split_seed": 3}],
    ids=lambda change: next(iter(change)),
)
def test_another_knob_of_a_table_gives_another_stamp(tmp_path: Path, change: dict[str, Any]) -> None:
    cfg = config.Pairs(path=str(tmp_path))
    assert stamps.of(stamps.described(replace(cfg, **change))) != stamps.of(stamps.described(cfg))
    assert stamps.of(stamps.described(replace(cfg, dev_share=0.3))) == stamps.of(stamps.described(cfg))


def test_a_change_of_any_file_of_a_table_gives_another_stamp(tmp_path: Path) -> None:
    source = stamps.described(config.MsMarco(path=str(tmp_path), subset="v1.1"))
    seen = [stamps.of(source)]
    (tmp_path / "v1.1").mkdir()
    for name in ("train.parquet", "dev.jsonl.gz", "v1.1/test.json"):
        (tmp_path / name).write_text("words")
        seen.append(stamps.of(source))
    assert len(set(seen)) == 4
    (tmp_path / "README.md").write_text("words")
    assert stamps.of(source) == seen[-1]


def test_a_table_that_is_gone_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        stamps.of(stamps.described(config.Pairs(path=str(tmp_path / "nowhere"))))


def test_a_data_set_of_the_hub_is_its_name() -> None:
    one, other = (stamps.of(stamps.described(config.MsMarco(subset=subset))) for subset in ("v1.1", "v2.1"))
    assert one == stamps.of(stamps.described(config.MsMarco()))
    assert one != other
