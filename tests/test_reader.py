import json
from pathlib import Path

import pytest

from twotower import config
from twotower.data import reader, stamps


def beir_folder(folder: Path) -> str:
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "d", "text": "words"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "words"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    return str(folder)


def every_kind(folder: Path) -> list[config.Source]:
    """Knobs of each kind, of things that are there."""
    marco = {"query_id": 1, "query": "words", "passages": {"is_selected": [1], "passage_text": ["words"]}}
    (folder / "train.jsonl").write_text(json.dumps(marco))
    (folder / "train.csv").write_text("query,positive,negative\nwhere,Ulm,Bern\n")
    (folder / "train.tsv").write_text("query\tdocument\tscore\nwhere\tUlm\t0.9\n")
    skip = config.OnBad.skip
    return [
        config.Beir(path=beir_folder(folder), dev_share=0.2, on_bad=skip),
        config.Docstrings(packages=["json", "csv"], dev_share=0.3),
        config.MsMarco(path=str(folder / "train.jsonl"), train_share=0.5, split_seed=3),
        config.Triplets(path=str(folder / "train.csv"), negative=["negative"], query="query"),
        config.Pairs(path=str(folder / "train.tsv"), score="score", relevant_from=0.5, on_bad=skip),
    ]


def test_every_kind_can_be_read_again_from_its_description(tmp_path):
    for cfg in every_kind(tmp_path):
        collection = reader.read(cfg, tmp_path)
        again = reader.from_source(json.loads(json.dumps(collection.source)))
        assert again == cfg
        assert reader.read(again, tmp_path).hash == collection.hash


def test_every_kind_but_the_stored_one_is_read(tmp_path):
    kinds = {type(cfg) for cfg in every_kind(tmp_path)} | {config.Stored}
    assert kinds == set(config.GROUPS["data"].values())


def test_an_older_description_that_says_less_is_still_read():
    assert reader.from_source({"kind": "beir", "path": "/x"}) == config.Beir(path="/x")
    assert reader.from_source({"kind": "beir", "path": "/x", "dev_share": 0.2}) == config.Beir(
        path="/x", dev_share=0.2
    )


def test_a_path_of_the_hub_is_stored_as_it_is():
    source = stamps.described(config.MsMarco())
    assert (source["path"], source["subset"]) == ("hf://microsoft/ms_marco", "v1.1")


def test_bad_lines_are_skipped_where_the_knob_says_so(tmp_path):
    folder = beir_folder(tmp_path)
    with (tmp_path / "corpus.jsonl").open("a") as file:
        file.write("not JSON\n")
    with pytest.raises(ValueError, match=r"corpus\.jsonl:2: not JSON"):
        reader.read(config.Beir(path=folder), tmp_path)
    collection = reader.read(config.Beir(path=folder, on_bad=config.OnBad.skip), tmp_path)
    assert collection.files[0].skipped == {"not JSON": 1}


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
    for cfg in every_kind(tmp_path):
        source = reader.read(cfg, tmp_path).source
        assert type(source) is dict
        assert {type(value) for value in source.values()} <= {str, float, int, list}


def test_stored_is_no_collection_by_itself(tmp_path):
    with pytest.raises(ValueError, match=r"^data=stored: .* want data=docstrings or beir or msmarco or"):
        reader.read(config.Stored(), tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"kind": "pairs"},
        {"kind": "beir"},
        {"kind": "stored"},
        {"kind": "docstrings", "packages": 3},
        {"kind": "beir", "path": "x", "colour": "red"},
    ],
)
def test_a_description_that_no_reader_wrote_is_refused(source):
    with pytest.raises(
        ValueError, match=r"^collection source: got .*, want kind docstrings or beir or msmarco"
    ):
        reader.from_source(source)
