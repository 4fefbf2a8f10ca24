import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from twotower.data import beir, fields
from twotower.data.collection import Collection

RECORDS = (
    {"_id": "q1", "text": "where", "topic": "places", "metadata": {"year": 1999}},
    {"_id": "q2", "text": "when", "topic": None, "metadata": {"year": 2001, "tags": ["a"]}},
    {"_id": "q3", "text": "why"},
)


def written(folder: Path, records: Sequence[dict[str, Any]] = RECORDS) -> Collection:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d", "text": "here"}\n')
    (folder / "queries.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    (folder / "qrels" / "dev.tsv").write_text(f"query-id\tcorpus-id\tscore\n{records[0]['_id']}\td\t1\n")
    return beir.read(folder)


def test_fields_and_those_of_the_metadata_are_read_by_query(tmp_path: Path) -> None:
    collection = written(tmp_path)
    assert fields.of_queries(collection, "topic") == {"q1": "places"}
    assert fields.of_queries(collection, "metadata.year") == {"q1": 1999, "q2": 2001}
    assert fields.of_queries(collection, "metadata.tags") == {"q2": ["a"]}


def test_a_gzipped_file_is_read_too(tmp_path: Path) -> None:
    collection = written(tmp_path)
    plain = tmp_path / "queries.jsonl"
    (tmp_path / "queries.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert fields.of_queries(collection, "topic") == {"q1": "places"}


@pytest.mark.parametrize("name", ["nothing", "text", "_id", "metadata", "year"])
def test_a_field_that_is_not_there_is_refused_with_those_that_are(name: str, tmp_path: Path) -> None:
    said = f"queries.jsonl: no query has a field '{name}', there is topic, metadata.year, metadata.tags"
    with pytest.raises(ValueError, match=said):
        fields.of_queries(written(tmp_path), name)


def test_a_file_without_further_fields_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is none"):
        fields.of_queries(written(tmp_path, [{"_id": "q1", "text": "where"}]), "topic")


def test_other_collections_have_no_fields() -> None:
    built = Collection.from_dicts({"d": "here"}, {"q": "where"}, {"dev": {"q": {"d": 1}}}, name="built")
    with pytest.raises(ValueError, match="built: no field 'topic', only queries of data=beir have fields"):
        fields.of_queries(built, "topic")


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    collection = written(tmp_path)
    (tmp_path / "queries.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"queries\.jsonl: no such file"):
        fields.of_queries(collection, "topic")


def test_bad_lines_were_skipped_before_and_are_again(tmp_path: Path) -> None:
    collection = written(tmp_path)
    with (tmp_path / "queries.jsonl").open("a") as out:
        out.write('not JSON\n{"text": "no id", "topic": "x"}\n{"_id": 7, "topic": "x"}\n')
    assert fields.of_queries(collection, "topic") == {"q1": "places"}
