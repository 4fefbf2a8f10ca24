import json
import os
from pathlib import Path

import pytest

from twotower.search import sealed

HOUR = 3600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files and a folder with one, an hour old, and their manifest."""
    for name in ("a.npy", "b.npy", "inner/c.npy"):
        file = tmp_path / "sealed" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(name.encode() * 100)
    sealed.close(tmp_path / "sealed", {"format": 2})
    return tmp_path / "sealed"


def check(folder: Path, *, fully: bool = False) -> None:
    sealed.check(folder, sealed.read(folder), fully=fully)


def test_a_whole_folder_passes_and_says_its_files(folder: Path) -> None:
    check(folder)
    assert sealed.read(folder)["files"].keys() == {"a.npy", "b.npy", "inner/c.npy"}


@pytest.mark.parametrize("name", ["a.npy", "inner/c.npy"])
@pytest.mark.parametrize(
    ("damage", "says"), [("flipped", "checksum"), ("cut", "bytes, want"), ("gone", "missing")]
)
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str, says: str) -> None:
    file = folder / name
    content = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            file.write_bytes(content[:10])
        case _:
            file.unlink()
    with pytest.raises(ValueError, match=f"{name}: .*{says}") as error:
        check(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not an index, it has no manifest.json"),
        ("{", "damaged"),
        ("[]", "no files in it, so not of this version"),
        ('{"format": 1}', "no files in it, so not of this version"),
        ('{"format": 2, "files": {}, "seal": 1}', "changed since it was written"),
    ],
)
def test_a_bad_manifest_is_one_line(folder: Path, content: str | None, says: str) -> None:
    if content is None:
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=says) as error:
        check(folder)
    assert "\n" not in str(error.value)


def test_a_changed_word_of_the_manifest_is_noticed(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"format": 2', '"format": 3'))
    with pytest.raises(ValueError, match="changed since"):
        sealed.read(folder)


def test_what_was_checked_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SETTLED", -1.0)
    check(folder)
    monkeypatch.setattr(sealed, "_sum", None)
    check(folder)
    with pytest.raises(TypeError):
        check(folder, fully=True)


def test_only_what_was_touched_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SETTLED", -1.0)
    check(folder)
    os.utime(folder / "a.npy", ns=(HOUR, HOUR))
    read, before = [], sealed._sum
    monkeypatch.setattr(sealed, "_sum", lambda file: read.append(file.name) or before(file))
    check(folder)
    check(folder)
    assert read == ["a.npy"]


def test_a_file_that_was_changed_this_instant_is_not_trusted(folder: Path) -> None:
    sealed.check(folder, sealed.read(folder))
    assert not (folder / "verified.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a.npy": 3}'])
def test_damaged_notes_cost_a_second_look_and_nothing_else(folder: Path, content: str) -> None:
    (folder / "verified.json").write_text(content)
    (folder / "stamps.json").write_text(content)
    check(folder)
    assert sealed.stamps(folder) in ([], ["a.npy"])
    sealed.add_stamp(folder, "new")
    assert "new" in sealed.stamps(folder)


def test_the_last_stamps_are_kept_each_once(folder: Path) -> None:
    for stamp in "abcdefghija":
        sealed.add_stamp(folder, stamp)
    assert sealed.stamps(folder) == list("defghija")


def test_a_folder_that_cannot_be_written_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(sealed, "SETTLED", -1.0)
    monkeypatch.setattr(sealed.sidecar, "write_aside", refused)
    check(folder)
    sealed.add_stamp(folder, "new")
    assert json.loads((folder / "manifest.json").read_text())["format"] == 2
