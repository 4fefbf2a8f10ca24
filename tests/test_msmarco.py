import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from twotower.config import MsMarco, OnBad
from twotower.data import msmarco

Record = dict[str, Any]


def record(query_id: Any = 7, selected: Any = (0, 1, 0), **changes: Any) -> Record:
    """A record in the hub's schema."""
    passages = {
        "is_selected": list(selected),
        "passage_text": [f"Passage {place} of query {query_id}." for place in range(len(selected))],
        "url": ["https://example.org"] * len(selected),
    }
    told = {"answers": ["one"], "passages": passages, "query": f"what is {query_id}", "query_id": query_id}
    return told | changes


RECORDS = [record(7), record(12, (1, 0, 1, 0)), record(3, (0, 0)), *(record(n, (1,)) for n in range(50, 57))]


def one_by_one(record: Record) -> Record:
    """As it was published: each passage an object."""
    parts = record["passages"]
    names = ("is_selected", "url", "passage_text")
    listed = [
        dict(zip(names, values, strict=True)) for values in zip(*(parts[n] for n in names), strict=True)
    ]
    return record | {"passages": listed}


def lines(records: list[Record]) -> str:
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in records)


def columns(records: list[Record]) -> str:
    """As v2.1 was published."""
    rows = {str(row): one_by_one(one) for row, one in enumerate(records)}
    return json.dumps({name: {row: one[name] for row, one in rows.items()} for name in records[0]})


def text(content: Callable[[list[Record]], str]) -> Callable[[Path, list[Record]], Any]:
    return lambda file, records: file.write_text(content(records), encoding="utf-8")


def zipped(content: Callable[[list[Record]], str]) -> Callable[[Path, list[Record]], Any]:
    return lambda file, records: file.write_bytes(gzip.compress(content(records).encode()))


FORMS: dict[str, Callable[[Path, list[Record]], Any]] = {
    "parquet": lambda file, records: pl.DataFrame(records).write_parquet(file),
    "jsonl": text(lines),
    "jsonl.gz": zipped(lines),
    "json": text(lambda records: lines([one_by_one(one) for one in records])),
    "list.json": text(lambda records: json.dumps(records, indent=1)),
    "columns.json": text(columns),
    "columns.json.gz": zipped(columns),
}


def write(file: Path, records: list[Record]) -> Path:
    """A file in the form that its suffix says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    FORMS[file.name.partition(".")[2]](file, records)
    return file


def read(path: Path, **knobs: Any) -> Any:
    return msmarco.read(MsMarco(path=str(path), **knobs))


def test_every_passage_is_a_document_and_the_selected_ones_are_relevant(tmp_path):
    collection = read(write(tmp_path / "train.parquet", [record(7), record(12, (1, 0, 1, 0))]))
    assert collection.doc_ids == ("12_0", "12_1", "12_2", "12_3", "7_0", "7_1", "7_2")
    assert collection.doc_texts[collection.doc_rows["7_1"]] == "Passage 1 of query 7."
    assert collection.query_texts == ("what is 12", "what is 7")
    assert collection.qrels == {
        "train": {"12": {"12_0": 1, "12_1": 0, "12_2": 1, "12_3": 0}, "7": {"7_0": 0, "7_1": 1, "7_2": 0}}
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_collection(tmp_path, form):
    plain = read(write(tmp_path / "plain" / "all.parquet", RECORDS))
    other = read(write(tmp_path / f"all.{form}", RECORDS))
    assert other.hash == plain.hash
    assert (other.files[0].lines, other.files[0].kept) == (10, 10)


def test_a_query_of_which_nothing_is_selected_is_judged_and_kept(tmp_path):
    collection = read(write(tmp_path / "train.jsonl", [record(3, (0, 0)), record(7)]))
    assert collection.qrels["train"]["3"] == {"3_0": 0, "3_1": 0}
    assert collection.remarks == ()


@pytest.mark.parametrize("form", ["parquet", "columns.json"])
def test_a_split_without_any_selection_is_kept_and_said(tmp_path, form):
    hidden = [record(1, (-1, -1)), record(2, (-1,))]
    write(tmp_path / "train.jsonl", [record(7)])
    write(tmp_path / f"test.{form}", hidden)
    collection = read(tmp_path)
    assert collection.qrels["test"] == {"1": {"1_0": 0, "1_1": 0}, "2": {"2_0": 0}}
    assert collection.remarks == (
        "test: 2 queries without is_selected, no passage of theirs counts as relevant",
    )


def test_passages_published_without_is_selected_are_without_it(tmp_path):
    bare = record(1) | {"passages": [{"passage_text": "One."}, {"passage_text": "Two."}]}
    collection = read(write(tmp_path / "eval.jsonl", [bare]))
    assert collection.qrels == {"test": {"1": {"1_0": 0, "1_1": 0}}}


def test_a_folder_holds_a_file_or_more_for_each_split(tmp_path):
    write(tmp_path / "train-00000-of-00002.parquet", [record(1)])
    write(tmp_path / "train-00001-of-00002.parquet", [record(2)])
    write(tmp_path / "validation.jsonl.gz", [record(3)])
    write(tmp_path / "test.json", [record(4)])
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "dataset_infos.json").write_text("{}")
    collection = read(tmp_path)
    assert {split: list(queries) for split, queries in collection.qrels.items()} == {
        "dev": ["3"], "test": ["4"], "train": ["1", "2"],
    }  # fmt: skip
    assert [Path(report.file).name for report in collection.files] == [
        "test.json", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation.jsonl.gz",
    ]  # fmt: skip


def test_the_folder_of_a_configuration_comes_first(tmp_path):
    write(tmp_path / "v1.1" / "train.jsonl", [record(1)])
    write(tmp_path / "v2.1" / "train.jsonl", [record(2)])
    collection = read(tmp_path, subset="v2.1")
    assert (collection.query_ids, collection.name) == (("2",), f"{tmp_path.name}-v2.1")


def test_a_file_whose_name_says_no_split_is_divided(tmp_path):
    many = [record(n) for n in range(100, 140)]
    collection = read(write(tmp_path / "marco.jsonl", many), train_share=0.8, split_seed=1)
    # each query has its own passages, so each is a group: 32, and half of 8
    assert {split: len(judged) for split, judged in collection.qrels.items()} == {
        "dev": 4, "test": 4, "train": 32,
    }  # fmt: skip
    again = read(write(tmp_path / "again.jsonl", many[::-1]), train_share=0.8, split_seed=1)
    assert again.hash == collection.hash
    assert read(tmp_path / "marco.jsonl", train_share=0.8).hash != collection.hash


BAD: dict[str, tuple[Record, str]] = {
    "no query": ({"query": None}, "no 'query', it has 'answers', 'passages', 'query', 'query_id'"),
    "an empty query": ({"query": " "}, "query: empty, want a text"),
    "a query of another type": ({"query": ["x"]}, "query: got a list, want a string"),
    "an id of another type": ({"query_id": 1.5}, "query_id: got the float 1.5, want a whole number"),
    "a truth for an id": ({"query_id": True}, "query_id: got the bool True, want a whole number"),
    "an id that was there": ({"query_id": 7}, "query_id 7 again, first in FILE:1"),
    "an id that was there as text": ({"query_id": "7"}, "query_id 7 again, first in FILE:1"),
    "no passages": ({"passages": []}, "query_id 9 has no passages, want at least one"),
    "empty lists": ({"passages": {"is_selected": [], "passage_text": []}}, "query_id 9 has no passages"),
    "texts for passages": ({"passages": ["a"]}, "passages: got a list, want passage_text and is_selected"),
    "no texts": (
        {"passages": {"is_selected": [1]}},
        "passages: got a dict, want passage_text and is_selected",
    ),
    "lists of unequal length": (
        {"passages": {"is_selected": [1], "passage_text": ["a", "b"]}},
        "2 passage_text, 1 is_selected, want as many",
    ),
    "a wrong mark": (
        {"passages": {"is_selected": [0, 2], "passage_text": ["a", "b"]}},
        "is_selected: got '2', want 0 or 1",
    ),
    "some marks missing": (
        {"passages": {"is_selected": [1, -1], "passage_text": ["a", "b"]}},
        "is_selected: got -1, want 0 or 1",
    ),
    "a list for a mark": (
        {"passages": {"is_selected": [[1]], "passage_text": ["a"]}},
        "is_selected: got '[1]', want 0 or 1",
    ),
    "an empty passage": (
        {"passages": {"is_selected": [1, 0], "passage_text": ["a", " "]}},
        "passages[1]: empty, want a text",
    ),
    "a passage without text": (
        {"passages": [{"is_selected": 1}]},
        "passages[0]: got null, want a string",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_named_by_file_and_line_or_skipped_whole(tmp_path, name):
    changes, said = BAD[name]
    file = write(tmp_path / "train.jsonl", [record(7), record(9) | changes, record(10)])
    with pytest.raises(ValueError, match=r"train\.jsonl:2: ") as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}:2: {said.replace('FILE', str(file))}")
    left = read(file, on_bad=OnBad.skip)
    assert left.hash == read(write(tmp_path / "good" / "train.jsonl", [record(7), record(10)])).hash
    assert (left.files[0].kept, list(left.files[0].skipped.values())) == (2, [1])


def test_a_query_twice_is_found_over_files(tmp_path):
    write(tmp_path / "dev.jsonl", [record(1)])
    write(tmp_path / "train.jsonl", [record(2), record(1)])
    with pytest.raises(ValueError, match=r"train\.jsonl:2: query_id 1 again, first in .*dev\.jsonl:1$"):
        read(tmp_path)


def test_a_broken_file_of_columns_is_an_error_with_its_line(tmp_path):
    file = write(tmp_path / "train.columns.json", RECORDS)
    for broken in (
        file.read_text()[:-300],
        file.read_text() + "}",
        file.read_text().replace(": {", ": [", 3),
    ):
        file.write_text(broken)
        with pytest.raises(ValueError, match=r"train\.columns\.json:1: not JSON"):
            read(file, on_bad=OnBad.skip)


def test_columns_of_unequal_length_lack_a_field(tmp_path):
    file = tmp_path / "train.json"
    whole = json.loads(columns([record(1), record(2)]))
    del whole["query"]["1"]
    file.write_text(json.dumps(whole))
    with pytest.raises(
        ValueError, match=r"train\.json:2: no 'query', it has 'passages', 'query', 'query_id'"
    ):
        read(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.jsonl", "", r"train\.jsonl: no record, want at least one$"),
        ("train.jsonl", "{}\n", r"train\.jsonl: no record, .*skipped 1 of 1 lines \(1 missing field\)"),
        ("train.tsv", "query\tpositive\n", r"train\.tsv: .*Parquet or JSON.*data=pairs or data=triplets"),
        ("train.txt", "words", r"train\.txt: format \.txt, want one of \.tsv"),
        ("train.parquet", "words", r"train\.parquet: damaged or not Parquet"),
    ],
)
def test_a_file_that_holds_no_records_says_so(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name, on_bad=OnBad.skip)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="nowhere: no such file or folder, want Parquet or JSON, or hf:"
    ):
        read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no file <split>\*\.parquet, \.json or \.jsonl in it"):
        read(tmp_path)


def test_a_data_set_of_the_hub_is_read_by_its_splits(tmp_path, monkeypatch):
    # the package takes a folder owner/name for the data set of that name
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "owner" / "marco"
    write(folder / "train.parquet", [record(1), record(2)])
    write(folder / "validation.parquet", [record(3), record(3)])
    collection = msmarco.read(MsMarco(path="hf://owner/marco", on_bad=OnBad.skip))
    assert {split: list(queries) for split, queries in collection.qrels.items()} == {
        "dev": ["3"], "train": ["1", "2"],
    }  # fmt: skip
    assert collection.name == "marco-v1.1"
    assert [(report.file, report.lines, report.kept) for report in collection.files] == [
        ("hf://owner/marco/train", 2, 2), ("hf://owner/marco/dev", 2, 1),
    ]  # fmt: skip
    assert collection.files[1].first.startswith(
        "hf://owner/marco/dev:2: query_id 3 again, first in hf://owner"
    )
