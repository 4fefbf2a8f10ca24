import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from twotower.text import tables
from twotower.text.streams import Place

TEXT = b"a 1 2\nb 3 4\n"


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.txt", content)
    return path


def test_an_archive_of_one_table_is_that_table(tmp_path: Path) -> None:
    place = Place(zipped(tmp_path / "g.zip", one=TEXT))
    assert list(tables.words_of(place)) == ["a", "b"]
    assert tables.rows_of(place, ["b"])[1].tolist() == [[3, 4]]


def test_one_of_several_is_named_after_the_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "g.zip", one=TEXT, two=b"c 5 6 7\n")
    with pytest.raises(ValueError, match=r"an archive of one.txt, two.txt, want one table; .*g.zip!one.txt$"):
        tables.words_of(Place(path))
    place = tables.found(f"{path}!two.txt")
    assert place == Place(path, "two.txt")
    assert tables.rows_of(place, ["c"])[1].tolist() == [[5, 6, 7]]
    assert tables.found(f"{path}!three.txt") is None
    assert "no such file in it, there is one.txt, two.txt" in str(tables.absent(f"{path}!three.txt", "x"))


def test_an_error_in_an_archive_names_the_line_within(tmp_path: Path) -> None:
    path = zipped(tmp_path / "g.zip", one=TEXT + b"c 1\n")
    with pytest.raises(ValueError, match=r"g.zip!one.txt:3: 1 numbers, want 2"):
        tables.rows_of(Place(path), [])


def test_a_name_with_an_exclamation_mark_is_a_file_first(tmp_path: Path) -> None:
    path = tmp_path / "a!b"
    path.write_bytes(TEXT)
    assert tables.found(str(path)) == Place(path)
    (tmp_path / "c").write_bytes(TEXT)
    assert tables.found(f"{tmp_path / 'c'}!b") is None
    assert "not an archive" in str(tables.absent(f"{tmp_path / 'c'}!b", "x"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty, want word vectors"),
        (gzip.compress(b"", mtime=0), "empty, want word vectors"),
        (
            (793_712_314).to_bytes(4, "little") + bytes(99),
            "fastText's own format, want its vectors; name the .vec",
        ),
        (b"\x00\x01\x02 \x00\x00", ":1: .*want word vectors as text"),
        (b"PK\x03\x04rest", "broken"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "v"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        tables.rows_of(Place(path), ["a"])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_archives_within_archives_are_refused(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "g.zip", one=TEXT).read_bytes()
    (tmp_path / "g.zip.gz").write_bytes(gzip.compress(inner))
    for path in (tmp_path / "g.zip.gz", zipped(tmp_path / "h.zip", g=inner)):
        with pytest.raises(ValueError, match="an archive within an archive"):
            tables.words_of(Place(path))
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.mkdir("folder")
    with pytest.raises(ValueError, match=r"none.zip: an archive of nothing, want one of a table"):
        tables.words_of(Place(tmp_path / "none.zip"))


def test_the_first_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", words=np.array(["a", "b"]), vectors=np.array([[1.0, 2], [3, 4]]))
    (tmp_path / "v.npz").rename(tmp_path / "v.txt")
    assert tables.rows_of(Place(tmp_path / "v.txt"), ["b"])[1].tolist() == [[3, 4]]
    (tmp_path / "v.npy").write_bytes(TEXT)
    assert tables.rows_of(Place(tmp_path / "v.npy"), ["b"])[1].tolist() == [[3, 4]]
