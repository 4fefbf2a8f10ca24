import csv
import gzip
import io
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.config import OnBad
from twotower.data import records
from twotower.data.ledger import BadLine, FileReport, Ledger

RECORDS = [{"query": "où naquit", "positive": "à Ulm, dit-on"}, {"query": "why", "positive": "so"}]
NAMES = ("query", "positive")
TSV = b"query\tpositive\na\tb\n"
CSV = b"query,positive\n"


def read(file, on_bad=OnBad.skip) -> tuple[list[tuple[int, dict]], FileReport]:
    """The records that `file` gives, and what became of its lines."""
    ledger = Ledger(on_bad)
    page = ledger.page(file)
    found = []
    for number, load in records.read(file, page):
        with page.line(number):
            found.append((number, load()))
    return found, page.report()


def written(folder, name: str, data: bytes):
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder / name


def separated(mark: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="\n").writerows([NAMES, *(r.values() for r in RECORDS)])
    return out.getvalue().encode()


def in_lines(values) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


FORMS = {
    "a.tsv": "\n".join("\t".join(row) for row in [NAMES, *(r.values() for r in RECORDS)]).encode(),
    "a.csv": separated(","),
    "a.jsonl": in_lines(RECORDS),
    "a.ndjson": in_lines(RECORDS),
    "a.json": json.dumps(RECORDS, indent=1).encode(),
    "lines.json": in_lines(RECORDS),
}


@pytest.mark.parametrize("name", [*FORMS, *(f"{name}.gz" for name in FORMS)])
def test_every_format_gives_the_same_records(tmp_path, name):
    file = written(tmp_path, name, FORMS[name.removesuffix(".gz")])
    found, report = read(file)
    head = int(".tsv" in name or ".csv" in name)
    assert found == [(1 + head, RECORDS[0]), (2 + head, RECORDS[1])]
    assert (report.header, report.kept, report.lines) == (head, 2, 2 + head)
    assert records.header(file) == (NAMES if head else None)


def test_parquet_gives_the_same_records_with_lists_and_structs(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SLICE", 2)
    rows = [{"query": f"q{n}", "passages": {"text": ["a", "b"][: n % 3]}, "n": n} for n in range(5)]
    file = tmp_path / "a[1].parquet"  # no pattern
    pl.DataFrame(rows).write_parquet(file, row_group_size=3)
    assert read(file)[0] == list(enumerate(rows, start=1))
    assert records.header(file) == ("query", "passages", "n")


def test_a_quote_in_tsv_is_a_character(tmp_path):
    file = written(tmp_path, "a.tsv", b'query\tpositive\n"a\t5" pipe\r\n')
    assert read(file)[0] == [(2, {"query": '"a', "positive": '5" pipe'})]


def test_fields_of_csv_hold_commas_quotes_and_line_ends(tmp_path):
    file = written(tmp_path, "a.csv", CSV + b'"a ""b"", c","d\r\n\r\ne"\r\nf,g\n')
    found, report = read(file)
    assert found == [
        (2, {"query": 'a "b", c', "positive": "d\r\n\r\ne"}),
        (5, {"query": "f", "positive": "g"}),
    ]
    assert (report.kept, report.continued, report.lines) == (2, 2, 5)  # a record of 3 lines


def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path):
    file = written(tmp_path, "a.csv", CSV + b'a,"b\nc,d\ne,"f"\ng,"h\n')
    found, report = read(file)
    assert [number for number, _ in found] == [3, 4]
    assert (report.skipped, report.lines) == ({"broken quotes": 2}, 5)
    assert report.first.endswith("a.csv:2: not CSV: ',' expected after '\"'")


@pytest.mark.parametrize(
    ("name", "data", "kind", "said"),
    [
        ("a.tsv", TSV + b"a\nb\tc\n", "number of fields", ":3: 1 field, want 2: query, positive"),
        ("a.tsv", TSV + b"a\tb\tc\nb\tc\n", "number of fields", ":3: 3 fields, want 2: query, positive"),
        ("a.tsv", TSV + b"\nb\tc\n", "blank", ":3: a blank line, want fields separated by tabs"),
        ("a.tsv", TSV + b"\xff\tb\nb\tc\n", "not UTF-8", ":3: byte 0xff is not UTF-8"),
        ("a.csv", CSV + b"a,b\n \nb,c\n", "blank", ":3: a blank line, want fields separated by commas"),
        ("a.csv", CSV + b"a,b\na\nb,c\n", "number of fields", ":3: 1 field, want 2: query, positive"),
        ("a.csv", CSV + b'a,b\na,"\n\xfe"\nb,c\n', "not UTF-8", ":3: byte 0xfe is not UTF-8"),
        ("a.csv", CSV + b"a,b\na,\rb\nb,c\n", "stray line end", ":3: a carriage return in a field, want it"),
        ("a.csv", CSV + b"a,b\na,%b\nb,c\n" % (b"x" * 140_000), "long field", ":3: a field of over 131,072"),
        ("a.jsonl", b'{}\n{"a":1\n{}\n', "not JSON", ":2: not JSON: Expecting ',' delimiter at column 7"),
        ("a.jsonl", b"{}\n3\n{}\n", "not an object", ":2: got the int 3, want a JSON object"),
        ("a.jsonl", b"{}\n\n{}\n", "blank", ":2: a blank line, want a JSON object"),
        ("a.jsonl", b'{}\n{"\xff": 1}\n{}\n', "not UTF-8", ":2: byte 0xff is not UTF-8"),
        ("a.jsonl", b"{}\n%b\n{}\n" % (b"[" * 100_000), "not JSON", ":2: not JSON that can be read"),
        ("a.json", b"[{},\n null, {}]", "not an object", ":2: got null, want a JSON object"),
    ],
)
def test_a_bad_line_is_an_error_or_counted_and_the_others_are_read(tmp_path, name, data, kind, said):
    file = written(tmp_path, name, data)
    with pytest.raises(ValueError, match=r"a\.\w+:\d") as caught:
        read(file, OnBad.error)
    assert str(caught.value).startswith(f"{file}{said}")
    found, report = read(file)
    assert (len(found), report.skipped) == (2, {kind: 1})
    assert report.lines == (3 if name == "a.json" else data.count(b"\n"))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.tsv", b"", ": empty, want a header and a record on each line after it"),
        ("a.csv", b"\n\n", ": empty, want a header"),
        ("a.csv", b"\na,b\n", ":1: header: a blank line"),
        ("a.tsv", b"query\tb\tquery\n", ":1: two columns 'query', want each name once in the header"),
        (
            "a.csv",
            b"query;positive\n",
            ":1: header 'query;positive' is one column, want columns separated by c",
        ),
        (
            "a.tsv",
            b"query,positive\n",
            ":1: header 'query,positive' is one column, want columns separated by t",
        ),
        ("a.csv", b'"query,positive\n', ":1: header: not CSV: unexpected end of data"),
        ("a.tsv", b"que\xffry\tpositive\n", ":1: header: byte 0xff is not UTF-8"),
        ("a.json", b'[{"a": 1}', ":1: not JSON: Expecting ',', want a list of objects"),
        ("a.parquet", b"PAR1 and no more", ": damaged or not Parquet: "),
        ("a.parquet", b"", ": damaged or not Parquet: "),
        ("a.xlsx", b"PK", ": format .xlsx, want one of .tsv, .csv, .jsonl, .ndjson, .json, .parquet"),
        ("a", b"", ": format without suffix, want one of .tsv"),
        ("a.parquet.gz", b"", ": gzipped Parquet, want it unzipped"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_an_error_in_either_case(tmp_path, name, data, said):
    file = written(tmp_path, name, data)
    for on_bad in OnBad:
        with pytest.raises(ValueError, match="a") as caught:
            read(file, on_bad)
        assert str(caught.value).startswith(f"{file}{said}")
        assert "\n" not in str(caught.value)


def test_a_header_without_records_gives_none(tmp_path):
    found, report = read(written(tmp_path, "a.csv", CSV + b"\n \n"))
    assert (found, report.header, report.blank, report.lines) == ([], 1, 2, 3)


def test_what_the_caller_refuses_is_counted_on_the_same_line_once(tmp_path):
    file = written(tmp_path, "a.tsv", TSV + b"c\n")
    page = Ledger(OnBad.skip).page(file)
    for number, load in records.read(file, page):
        with page.line(number):
            load()
            raise BadLine("no good", "it is no good")
    assert page.report().skipped == {"no good": 1, "number of fields": 1}


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@given(rows=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=5))
def test_what_is_written_as_csv_reads_back(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([NAMES, *rows])
    found, report = read(file)
    assert [tuple(record.values()) for _, record in found] == rows
    assert report.lines == file.read_bytes().count(b"\n")


@given(data=st.text('a,"\n\r \t', max_size=60))
def test_the_counts_of_any_csv_add_up_to_its_lines(tmp_path_factory, data):
    file = written(tmp_path_factory.mktemp("csv"), "a.csv", CSV + data.encode())
    unfinished = data != "" and not data.endswith("\n")
    assert read(file)[1].lines == 1 + data.count("\n") + unfinished
