import gzip

import pytest

from twotower.config import OnBad
from twotower.data.ledger import BadLine, Ledger, Page, raw_chunks, raw_lines

BAD = BadLine("blank", "a blank line, want a record")


def page(tmp_path, data: bytes, on_bad=OnBad.skip) -> Page:
    (tmp_path / "a.tsv").write_bytes(data)
    return Page(tmp_path / "a.tsv", on_bad)


def test_a_bad_line_is_an_error_with_file_and_line(tmp_path):
    one = page(tmp_path, b"", OnBad.error)
    with pytest.raises(ValueError, match=r"a\.tsv:7: a blank line, want a record$"), one.line(7):
        raise BAD


def test_a_bad_line_is_counted_by_its_kind_and_the_first_is_kept(tmp_path):
    one = page(tmp_path, b"")
    for number, kind in ((2, "blank"), (3, ""), (4, "not JSON"), (5, "blank")):
        with one.line(number):
            if kind:
                raise BadLine(kind, f"it is {kind}")
    report = one.report()
    assert (report.kept, report.skipped, report.lines) == (1, {"blank": 2, "not JSON": 1}, 4)
    assert report.first == f"{tmp_path / 'a.tsv'}:2: it is blank"
    assert "skipped 3 of 4 lines (2 blank, 1 not JSON), the first: " in str(report)


def test_another_error_is_not_swallowed(tmp_path):
    one = page(tmp_path, b"")
    with pytest.raises(KeyError), one.line(1):
        raise KeyError("no such thing")
    assert one.report().lines == 0


def test_a_kept_line_can_be_taken_back(tmp_path):
    one = page(tmp_path, b"")
    with one.line(1):
        pass
    one.take_back(1, BAD)
    assert (one.kept, one.report().skipped) == (0, {"blank": 1})


def test_every_count_is_part_of_the_lines(tmp_path):
    one = page(tmp_path, b"")
    one.header, one.blank, one.kept, one.continued = 1, 20, 300, 4000
    one.refuse(9, BAD)
    assert one.report().lines == 4322


def test_a_ledger_reports_its_pages_in_order(tmp_path):
    ledger = Ledger(OnBad.skip)
    ledger.page(tmp_path / "a.tsv")
    ledger.page("hf://owner/name/train").header = 1
    assert [(one.file, one.lines) for one in ledger.reports()] == [
        (str(tmp_path / "a.tsv"), 0),
        ("hf://owner/name/train", 1),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_numbered_and_blank_ones_at_the_end_only_counted(tmp_path, packed):
    data = b"\xef\xbb\xbfone\r\n\n two\n \n\n"
    one = page(tmp_path, gzip.compress(data) if packed else data)
    assert list(one.lines()) == [(1, b"one"), (2, b""), (3, b" two")]
    assert one.blank == 2


@pytest.mark.parametrize("read", [lambda file: list(raw_lines(file)), lambda file: list(raw_chunks(file, 4))])
@pytest.mark.parametrize(
    ("name", "data", "error", "said"),
    [
        ("a.gz", b"plain", ValueError, "damaged or not gzip: it does not begin as gzip does"),
        (
            "a.gz",
            gzip.compress(b"x" * 99, mtime=0)[:-9],
            ValueError,
            "damaged or not gzip: Compressed file ended",
        ),
        ("a.tsv", "où".encode("utf-16"), ValueError, "UTF-16, want UTF-8"),
        ("a.tsv", None, FileNotFoundError, "no such file"),
        ("", None, FileNotFoundError, "a folder, want a file"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_an_error(tmp_path, read, name, data, error, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=said) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_chunks_put_together_are_the_file(tmp_path):
    (tmp_path / "a.json").write_bytes(gzip.compress(b"\xef\xbb\xbf[1, 2]", mtime=0))
    chunks = list(raw_chunks(tmp_path / "a.json", 4))
    assert (b"".join(chunks), max(map(len, chunks))) == (b"[1, 2]", 4)
