from pathlib import Path

import pytest

from twotower import config
from twotower.data import reader


def beir_folder(folder: Path) -> str:
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "d", "text": "words"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "words"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    return str(folder)


def test_a_folder_can_be_read_again_from_its_description(tmp_path):
    cfg = config.Beir(path=beir_folder(tmp_path), dev_share=0.2)
    collection = reader.read(cfg, tmp_path)
    assert reader.from_source(collection.source) == cfg
    assert reader.read(reader.from_source(collection.source), tmp_path).hash == collection.hash


def test_a_relative_path_is_stored_absolute(tmp_path, monkeypatch):
    beir_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    collection = reader.read(config.Beir(path="."), tmp_path)
    assert collection.source["path"] == str(tmp_path)
    assert collection.name == tmp_path.name


def test_docstrings_can_be_read_again_from_their_description(tmp_path):
    cfg = config.Docstrings(packages=["json", "csv"], dev_share=0.3)
    collection = reader.read(cfg, tmp_path)
    assert reader.from_source(collection.source) == cfg
    assert (tmp_path / "docstrings").is_dir()


def test_a_description_holds_plain_types_alone(tmp_path):
    for cfg in (config.Beir(path=beir_folder(tmp_path)), config.Docstrings(packages=["json"])):
        source = reader.read(cfg, tmp_path).source
        assert type(source) is dict
        assert {type(value) for value in source.values()} <= {str, float, list}


def test_stored_is_no_collection_by_itself(tmp_path):
    with pytest.raises(ValueError, match=r"^data=stored: .* want data=docstrings or beir$"):
        reader.read(config.Stored(), tmp_path)


@pytest.mark.parametrize(
    "source", [{}, {"kind": "pairs"}, {"kind": "beir"}, {"kind": "docstrings", "packages": 3}]
)
def test_a_description_that_no_reader_wrote_is_refused(source):
    with pytest.raises(ValueError, match=r"^collection source: got .*, want kind 'docstrings' or 'beir'"):
        reader.from_source(source)
