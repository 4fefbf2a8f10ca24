import os
from pathlib import Path

import pytest
from index_case import Indexes
from search_case import TEXTS, Case

from twotower import config
from twotower.search import origins


@pytest.fixture
def made(tmp_path: Path) -> Indexes:
    return Indexes(tmp_path)


def test_a_file_gives_its_documents_again_and_again(made: Indexes) -> None:
    reading, _ = made.reading()
    for _ in range(2):
        assert {document.id: document.text for document in reading.documents()} == TEXTS


def test_the_stamp_of_a_file_changes_with_it_and_its_digest_with_its_bytes(made: Indexes) -> None:
    reading, stamp = made.reading()
    os.utime(made.file, ns=(0, 0))
    again, touched = made.reading()
    assert (touched != stamp, again.digest == reading.digest) == (True, True)
    made.write({**TEXTS, "new": "one more"})
    assert made.reading()[0].digest != reading.digest


def test_passages_are_another_source_than_the_whole(made: Indexes) -> None:
    cut = config.Index(data=config.Stored(), docs=str(made.file), chunk_words=3)
    assert origins.of_docs(cut).source != made.origin().source
    assert origins.stamp(origins.of_docs(cut)) != origins.stamp(made.origin())


def test_a_file_is_named_by_its_stem(made: Indexes) -> None:
    (made.folder / "wiki.jsonl.gz").write_bytes(b"")
    assert made.origin(made.folder / "wiki.jsonl.gz").name == "wiki"


def test_a_file_that_is_not_there_is_said(made: Indexes) -> None:
    with pytest.raises(FileNotFoundError, match=r"docs: .*nowhere\.jsonl: no such file"):
        made.origin(made.folder / "nowhere.jsonl")
    origin = made.origin()
    made.file.unlink()
    with pytest.raises(FileNotFoundError, match="no such file"):
        origins.stamp(origin)


def test_a_collection_is_the_same_source_however_it_is_named(tmp_path: Path) -> None:
    case = Case(tmp_path, config.MLPTower(hidden_dim=5))
    by_checkpoint = origins.of_checkpoint(case.checkpoint, case.content)
    by_path = origins.of_data(config.Beir(path=str(case.corpus), dev_share=0.3))
    assert by_checkpoint.source == by_path.source
    assert origins.read(by_path, case.cache_dir).digest == by_checkpoint.want


def test_what_a_manifest_keeps_of_a_source_leads_back_to_it(made: Indexes) -> None:
    reading, stamp = made.reading()
    record = reading.record(stamp, whole=True)
    origin = origins.of_record(record)
    assert (origin.source, origin.name) == (made.origin().source, "docs")
    assert origins.stamp(origin) == record["stamp"]
