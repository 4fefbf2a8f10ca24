"""Damaged files through every reader of a collection: read, or refused in a line; no line is ever lost."""

import gzip
import io
import json
import random
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from twotower import config
from twotower.config import OnBad
from twotower.data import beir, msmarco, pairs
from twotower.data.collection import Collection

QUICK, ALL = 150, 2000
ROWS = 24
TEXTS = tuple(f"Text {n}, über {'«quoted»' if n % 3 else 'plain'} things." for n in range(ROWS))


def lines(records: list[Any]) -> bytes:
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in records).encode()


def table(mark: str) -> bytes:
    quote = '"' if mark == "," else ""
    rows = [["query", "positive", "negative", "split"]]
    rows += [[f"q{n}", text, TEXTS[n - 1], ("train", "dev")[n % 2]] for n, text in enumerate(TEXTS)]
    if mark == ",":
        rows[5][1] = "two\nlines"
    return "".join(mark.join(f"{quote}{field}{quote}" for field in row) + "\n" for row in rows).encode()


def marco(number: int) -> dict[str, Any]:
    texts = [TEXTS[number], TEXTS[number - 1]]
    passages = [{"is_selected": int(n == number % 2), "passage_text": text} for n, text in enumerate(texts)]
    return {"query_id": number, "query": f"what {number}", "passages": passages}


def nested(number: int) -> dict[str, Any]:
    record = marco(number)
    parts = record["passages"]
    return record | {"passages": {name: [part[name] for part in parts] for name in parts[0]}}


def by_column(records: list[dict[str, Any]]) -> bytes:
    rows = {name: {str(row): one[name] for row, one in enumerate(records)} for name in records[0]}
    return json.dumps(rows).encode()


def parquet(records: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(records).write_parquet(file)
    return file.getvalue()


TRIPLETS = [{"query": f"q{n}", "positive": text, "negative": [TEXTS[n - 1]]} for n, text in enumerate(TEXTS)]
PAIRS = [{"query": f"q{n}", "positive": text, "score": n % 3} for n, text in enumerate(TEXTS)]
JUDGED = [b"query-id\tcorpus-id\tscore\n", *(f"q{n}\td{n}\t1\n".encode() for n in range(ROWS))]
BEIR = {
    "corpus.jsonl": lines([{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(TEXTS)]),
    "queries.jsonl": lines([{"_id": f"q{n}", "text": f"what {n}"} for n in range(ROWS)]),
    "qrels/train.tsv": b"".join(JUDGED),
}
MARCO = [marco(n) for n in range(ROWS)]

Read = Callable[[Path, OnBad], Collection]


def triplets(path: Path, on_bad: OnBad) -> Collection:
    return pairs.read(config.Triplets(path=str(path), on_bad=on_bad))


def scored(path: Path, on_bad: OnBad) -> Collection:
    return pairs.read(config.Pairs(path=str(path), on_bad=on_bad))


def passages(path: Path, on_bad: OnBad) -> Collection:
    return msmarco.read(config.MsMarco(path=str(path), on_bad=on_bad))


@cache
def cases() -> tuple[tuple[Read, Mapping[str, bytes], str], ...]:
    """Reader, files, and which of them is to be damaged; a lone file is what the reader reads."""
    one_file: list[tuple[Read, str, bytes]] = [
        (triplets, "t.tsv", table("\t")),
        (triplets, "t.csv", table(",")),
        (triplets, "t.jsonl", lines(TRIPLETS)),
        (scored, "p.json", json.dumps(PAIRS, indent=1).encode()),
        (scored, "p.parquet", parquet(PAIRS)),
        (passages, "m.jsonl", lines([nested(n) for n in range(ROWS)])),
        (passages, "train_v1.json", lines(MARCO)),
        (passages, "train_v2.json", by_column(MARCO)),
        (passages, "m.parquet", parquet([nested(n) for n in range(ROWS)])),
    ]
    return (
        *((beir.read, BEIR, name) for name in BEIR),
        *((read, {n: data}, n) for read, n, data in one_file),
    )


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to three small accidents."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(ACCIDENTS)(data, rng)
    return data


def flip(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) or 1)
    return (
        data[:place]
        + bytes(byte ^ 1 << rng.randrange(8) for byte in data[place : place + 1])
        + data[place + 1 :]
    )


def remove(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.randint(1, 20) :]


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    odd = (
        b"\0",
        b"\xff\xfe",
        b"\xc3",
        b'"',
        b"\t",
        b"\n",
        b"\n\n",
        b"\r",
        b",",
        b"{",
        b"]",
        b"\\u",
        b"\xef\xbb\xbf",
    )
    return data[:place] + rng.choice((*odd, rng.randbytes(4))) + data[place:]


def of_lines(
    change: Callable[[list[bytes], int, random.Random], None],
) -> Callable[[bytes, random.Random], bytes]:
    def changed(data: bytes, rng: random.Random) -> bytes:
        parts = data.splitlines(keepends=True) or [b""]
        change(parts, rng.randrange(len(parts)), rng)
        return b"".join(parts)

    return changed


def swap(parts: list[bytes], at: int, rng: random.Random) -> None:
    other = rng.randrange(len(parts))
    parts[at], parts[other] = parts[other], parts[at]


def swap_fields(parts: list[bytes], at: int, rng: random.Random) -> None:
    mark = rng.choice((b"\t", b",", b": "))
    fields = parts[at].split(mark)
    rng.shuffle(fields)
    parts[at] = mark.join(fields)


def empty_field(parts: list[bytes], at: int, rng: random.Random) -> None:
    mark = rng.choice((b"\t", b",", b'"'))
    fields = parts[at].split(mark)
    fields[rng.randrange(len(fields))] = b""
    parts[at] = mark.join(fields)


ACCIDENTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip,
    remove,
    truncate,
    insert,
    of_lines(lambda parts, at, _: parts.insert(at, parts[at])),
    of_lines(lambda parts, at, _: parts.insert(at, b"\n")),
    of_lines(swap),
    of_lines(swap_fields),
    of_lines(empty_field),
)


def counted(file: Path) -> int:
    """Lines of a text, records of a JSON list or of columns, rows of Parquet; not by the code under test."""
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    name = file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return pl.read_parquet(file).height
    data = data.removeprefix(b"\xef\xbb\xbf")
    if name.endswith(".json") and data.lstrip()[:1] == b"[":
        return len(json.loads(data))
    if name == "train_v2.json":
        columns = [column for key, column in json.loads(data).items() if key in MARCO[0]]
        return len({row for column in columns for row in column})
    return data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


def outcome(read: Read, path: Path, on_bad: OnBad) -> Collection | str:
    """What was read, or the line that refused it; any other error fails the test."""
    try:
        return read(path, on_bad)
    except (ValueError, OSError) as caught:
        error: Exception = caught
    assert type(error) is ValueError or isinstance(error, OSError), repr(error)
    assert str(error)
    assert "\n" not in str(error)
    return str(error)


def check(seed: int, folder: Path) -> tuple[bool, bool]:
    """One damaged file; returns whether it was read as it is, and whether with lines skipped."""
    rng = random.Random(seed)
    read, files, name = cases()[seed % len(cases())]
    zipped = rng.random() < 0.2 and not name.endswith(".parquet")
    for other, data in files.items():
        file = folder / other
        file.parent.mkdir(parents=True, exist_ok=True)
        content = damaged(data, rng) if other == name and rng.random() < 0.95 else data
        if other == name and zipped:
            file = file.with_name(f"{file.name}.gz")
            content = zlib.compress(content, wbits=31)
            content = damaged(content, rng) if rng.random() < 0.2 else content
        file.write_bytes(content)
    path = folder if read is beir.read else file
    strict, lenient = (outcome(read, path, on_bad) for on_bad in OnBad)
    if isinstance(strict, Collection):
        assert isinstance(lenient, Collection)
        assert lenient.hash == strict.hash
    if isinstance(lenient, Collection):
        assert not any("\n" in line for line in (*lenient.remarks, *map(str, lenient.files)))
        for report in lenient.files:
            skipped = sum(report.skipped.values())
            assert report.lines == counted(Path(report.file))
            assert report.lines == report.header + report.blank + report.kept + report.continued + skipped
        clean = not any(report.skipped for report in lenient.files)
        assert clean == isinstance(strict, Collection)
    return isinstance(strict, Collection), isinstance(lenient, Collection)


def fuzz(seeds: range, folder: Path) -> None:
    whole = [check(seed, folder / str(seed)) for seed in seeds]
    # the accidents are neither harmless nor fatal
    assert 0.02 < sum(strict for strict, _ in whole) / len(whole) < 0.6
    assert 0.3 < sum(lenient for _, lenient in whole) / len(whole) < 0.95


def test_damaged_files_are_read_or_refused_in_a_line_and_no_line_is_lost(tmp_path: Path) -> None:
    fuzz(range(QUICK), tmp_path)


@pytest.mark.slow
def test_two_thousand_damaged_files(tmp_path: Path) -> None:
    fuzz(range(ALL), tmp_path)


@pytest.mark.parametrize("number", range(len(cases())), ids=lambda number: str(cases()[number][2]))
def test_the_undamaged_files_are_read(tmp_path: Path, number: int) -> None:
    read, files, name = cases()[number]
    for other, data in files.items():
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_bytes(data)
    collection = read(tmp_path if read is beir.read else tmp_path / name, OnBad.error)
    assert len(collection.query_ids) == ROWS
