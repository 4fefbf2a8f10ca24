"""One collection in every format: the same content, the same training, the same metrics."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from tests.passages_case import passages
from tests.training_case import small
from twotower import config
from twotower.commands import train
from twotower.config import MsMarco, Pairs, Triplets
from twotower.data import beir, reader
from twotower.model import sidecar

Record = dict[str, Any]
COLLECTION = passages(24)


def text_of(doc: str) -> str:
    return COLLECTION.doc_texts[COLLECTION.doc_rows[doc]]


def judged() -> Iterator[tuple[str, str, str, Mapping[str, int]]]:
    """Split, query id, query and grades of each query."""
    for split, queries in COLLECTION.qrels.items():
        for query, grades in queries.items():
            yield split, query, COLLECTION.query_texts[COLLECTION.query_rows[query]], grades


def marco() -> dict[str, list[Record]]:
    """Split -> records in the hub's schema."""
    records: dict[str, list[Record]] = {}
    for split, query, text, grades in judged():
        names = [f"{query}_{place}" for place in range(len(grades))]
        parts = {
            "is_selected": [grades[name] for name in names],
            "passage_text": [text_of(name) for name in names],
            "url": ["https://example.org"] * len(names),
        }
        record = {"answers": ["yes"], "passages": parts, "query": text, "query_id": int(query)}
        records.setdefault(split, []).append(record)
    return records


def one_by_one(record: Record) -> Record:
    parts = record["passages"]
    return record | {
        "passages": [dict(zip(parts, one, strict=True)) for one in zip(*parts.values(), strict=True)]
    }


def by_column(records: list[Record]) -> str:
    rows = {str(row): one_by_one(record) for row, record in enumerate(records)}
    return json.dumps({name: {row: one[name] for row, one in rows.items()} for name in records[0]})


def pair_rows() -> list[Record]:
    return [
        {
            "query_id": query,
            "query": text,
            "document": text_of(doc),
            "doc_id": doc,
            "score": grade,
            "split": split,
        }
        for split, query, text, grades in judged()
        for doc, grade in grades.items()
    ]


def triplet_rows() -> list[Record]:
    """Each positive of a query with each of its negatives."""
    return [
        {
            "query": text, "query_id": query, "positive": text_of(yes), "positive_id": yes,
            "negative": text_of(no), "negative_id": no, "split": split,
        }
        for split, query, text, grades in judged()
        for yes in (doc for doc, grade in grades.items() if grade)
        for no in (doc for doc, grade in grades.items() if not grade)
    ]  # fmt: skip


def listed_rows() -> list[Record]:
    """Each query once, with lists of positives and of negatives."""
    rows = []
    for split, query, text, grades in judged():
        yes, no = ([doc for doc, grade in grades.items() if grade == wanted] for wanted in (1, 0))
        told = {
            "query": text,
            "query_id": query,
            "split": split,
            "pos": list(map(text_of, yes)),
            "pos_id": yes,
        }
        rows.append(told | {"neg": list(map(text_of, no)), "neg_id": no})
    return rows


def lines(records: list[Record]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def each_split(folder: Path, suffix: str, content: Callable[[list[Record]], str | bytes]) -> Path:
    folder.mkdir()
    for split, records in marco().items():
        data = content(records)
        (folder / f"{split}{suffix}").write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def in_beir(folder: Path) -> config.Source:
    beir.write(COLLECTION, folder)
    return config.Beir(path=str(folder))


def in_beir_gzipped(folder: Path) -> config.Source:
    beir.write(COLLECTION, folder)
    for file in [*folder.glob("*.jsonl"), *folder.glob("qrels/*.tsv")]:
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return config.Beir(path=str(folder))


def in_marco_parquet(folder: Path) -> config.Source:
    folder.mkdir()
    for split, records in marco().items():
        name = "validation" if split == "dev" else split
        pl.DataFrame(records).write_parquet(folder / f"{name}-00000-of-00001.parquet")
    return MsMarco(path=str(folder))


def in_marco_jsonl(folder: Path) -> config.Source:
    return MsMarco(path=str(each_split(folder, ".jsonl", lines)))


def in_marco_1(folder: Path) -> config.Source:
    def content(records: list[Record]) -> bytes:
        return gzip.compress(lines([one_by_one(record) for record in records]).encode())

    return MsMarco(path=str(each_split(folder, "_v1.1.json.gz", content)))


def in_marco_2(folder: Path) -> config.Source:
    return MsMarco(path=str(each_split(folder, "_v2.1.json", by_column)))


def in_table(
    kind: type[Pairs] | type[Triplets], rows: list[Record], suffix: str
) -> Callable[[Path], config.Source]:
    """A table in one file, its splits in a column."""

    def write(folder: Path) -> config.Source:
        folder.mkdir()
        file = folder / f"table.{suffix}"
        match suffix:
            case "tsv":
                file.write_text(pl.DataFrame(rows).write_csv(separator="\t"))
            case "csv":
                file.write_text(pl.DataFrame(rows).write_csv(quote_style="always"))
            case "jsonl":
                file.write_text(lines(rows))
            case _:
                pl.DataFrame(rows).write_parquet(file)
        return kind(path=str(file))

    return write


SUFFIXES = ("tsv", "csv", "jsonl", "parquet")
FORMATS: dict[str, Callable[[Path], config.Source]] = {
    "beir": in_beir,
    "beir, gzipped": in_beir_gzipped,
    "msmarco parquet": in_marco_parquet,
    "msmarco jsonl": in_marco_jsonl,
    "msmarco v1.1": in_marco_1,
    "msmarco v2.1": in_marco_2,
    **{f"pairs {suffix}": in_table(Pairs, pair_rows(), suffix) for suffix in SUFFIXES},
    **{f"triplets {suffix}": in_table(Triplets, triplet_rows(), suffix) for suffix in SUFFIXES},
    "triplets in lists jsonl": in_table(Triplets, listed_rows(), "jsonl"),
    "triplets in lists parquet": in_table(Triplets, listed_rows(), "parquet"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_content(tmp_path: Path, name: str) -> None:
    collection = reader.read(FORMATS[name](tmp_path / "there"), tmp_path)
    assert collection.qrels == COLLECTION.qrels
    assert collection.hash == COLLECTION.hash
    assert not any(report.skipped for report in collection.files)


@pytest.mark.parametrize("name", FORMATS)
def test_a_collection_of_any_format_is_written_as_a_folder(tmp_path: Path, name: str) -> None:
    beir.write(reader.read(FORMATS[name](tmp_path / "there"), tmp_path), tmp_path / "out")
    assert beir.read(tmp_path / "out").hash == COLLECTION.hash


def trained(folder: Path, source: config.Source) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Weights and metrics after two epochs."""
    train.run(small(folder, folder, data=source))
    (path,) = (folder / "checkpoints").glob("*.pt")
    weights = torch.load(path, weights_only=True)["model_state_dict"]
    return weights, sidecar.read(path)["eval_results"]


@pytest.fixture(scope="module")
def of_beir(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    folder = tmp_path_factory.mktemp("beir")
    return trained(folder, in_beir(folder / "there"))


@pytest.mark.parametrize("name", ["msmarco parquet", "msmarco v2.1", "pairs csv", "triplets in lists jsonl"])
def test_every_format_gives_the_same_training_and_the_same_metrics(
    tmp_path: Path, of_beir: tuple[dict[str, torch.Tensor], dict[str, float]], name: str
) -> None:
    weights, metrics = trained(tmp_path, FORMATS[name](tmp_path / "there"))
    assert metrics["mrr_10"] > 0
    assert metrics == of_beir[1]
    assert weights.keys() == of_beir[0].keys()
    assert all(torch.equal(weights[key], of_beir[0][key]) for key in weights)
