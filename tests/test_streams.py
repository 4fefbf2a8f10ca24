import gzip
import os
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, terminal

from twotower.text import streams
from twotower.text.streams import Place

CONTENT = b"a\r\nb\n\nc"


@pytest.fixture
def packed(tmp_path: Path) -> dict[str, Place]:
    """The same content plain, gzipped, and in a zip archive, stored and deflated."""
    (tmp_path / "plain").write_bytes(CONTENT)
    (tmp_path / "gzipped").write_bytes(gzip.compress(CONTENT))
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("in/stored", CONTENT)
        archive.writestr("deflated", CONTENT, zipfile.ZIP_DEFLATED)
    return {
        "plain": Place(tmp_path / "plain"),
        "gzipped": Place(tmp_path / "gzipped"),
        "stored": Place(tmp_path / "archive", "in/stored"),
        "deflated": Place(tmp_path / "archive", "deflated"),
    }


@pytest.mark.parametrize("how", ["plain", "gzipped", "stored", "deflated"])
def test_packing_changes_nothing(packed: dict[str, Place], how: str) -> None:
    place = packed[how]
    assert b"".join(streams.blocks(place)) == CONTENT
    assert list(streams.lines(place)) == [b"a\r", b"b", b"", b"c"]
    assert streams.head(place, 3) == b"a\r\n"
    with streams.on_disk(place) as path:
        assert path.read_bytes() == CONTENT
        assert (path == place.path) == (how == "plain")
    assert place.path.exists()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_size_of_a_block_changes_nothing(
    packed: dict[str, Place], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK", size)
    for place in packed.values():
        assert list(streams.lines(place)) == [b"a\r", b"b", b"", b"c"]


def test_a_last_line_feed_begins_no_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\n")
    assert list(streams.lines(Place(tmp_path / "x"))) == [b"a"]


def test_a_line_without_an_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST", 1000)
    monkeypatch.setattr(streams, "BLOCK", 100)
    (tmp_path / "x").write_bytes(b"a\n" + bytes(5000))
    lines = streams.lines(Place(tmp_path / "x"))
    assert next(lines) == b"a"
    with pytest.raises(ValueError, match=r"x:2: a line of over 1,000 bytes, want word vectors$"):
        next(lines)


def test_what_is_unpacked_is_removed(packed: dict[str, Place]) -> None:
    with pytest.raises(KeyboardInterrupt), streams.on_disk(packed["gzipped"]) as path:
        raise KeyboardInterrupt
    assert not path.parent.exists()


def test_a_damaged_member_is_named(packed: dict[str, Place]) -> None:
    archive = packed["stored"].path
    archive.write_bytes(archive.read_bytes().replace(CONTENT, CONTENT.upper(), 1))
    with pytest.raises(ValueError, match=r"archive!in/stored: broken zip archive \(Bad CRC"):
        list(streams.blocks(packed["stored"]))
    assert b"".join(streams.blocks(packed["deflated"])) == CONTENT


def test_members_are_those_of_an_archive_alone(packed: dict[str, Place]) -> None:
    assert streams.members(packed["stored"].path) == ["in/stored", "deflated"]
    assert streams.members(packed["plain"].path) is None
    path = packed["stored"].path
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"archive: broken .*want a whole file"):
        streams.members(path)


def test_a_bar_is_shown_on_a_terminal_alone(
    packed: dict[str, Place], capsys: pytest.CaptureFixture[str]
) -> None:
    list(streams.blocks(packed["plain"]))
    assert capsys.readouterr() == ("", "")
    code = (
        "import fcntl, struct, termios; fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('4H', 24, 80, 0, 0)); "
        "from pathlib import Path; from twotower.text import streams; "
        f"list(streams.blocks(streams.Place(Path({str(packed['deflated'].path)!r}), 'deflated')))"
    )
    shown = terminal(code, {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}, timeout=30)
    assert "deflated:" in shown
