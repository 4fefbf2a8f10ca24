import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from twotower.text import cache

ARRAYS = {"ids": np.arange(1000, dtype=np.int32), "offsets": np.zeros(0, dtype=np.int64)}
WORDS = ("a", "b\nc", "")


def whole(folder):
    arrays, words = cache.load(folder, ARRAYS)
    return words == WORDS and all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_an_entry_comes_back_as_it_was(tmp_path):
    cache.save(tmp_path / "deep" / "entry", ARRAYS, WORDS)
    arrays, words = cache.load(tmp_path / "deep" / "entry", ARRAYS)
    assert words == WORDS
    assert arrays["ids"].dtype == np.int32
    assert whole(tmp_path / "deep" / "entry")


def test_what_is_not_there_is_none(tmp_path):
    assert cache.load(tmp_path / "entry", ARRAYS) is None


def test_an_entry_of_other_arrays_is_none(tmp_path):
    cache.save(tmp_path / "entry", ARRAYS, WORDS)
    assert cache.load(tmp_path / "entry", ["ids"]) is None
    assert cache.load(tmp_path / "entry", ["ids", "offsets", "more"]) is None


def test_a_whole_entry_is_left_alone(tmp_path):
    cache.save(tmp_path / "entry", ARRAYS, WORDS)
    before = (tmp_path / "entry" / "ids.npy").stat().st_ino
    cache.save(tmp_path / "entry", ARRAYS, WORDS)
    assert (tmp_path / "entry" / "ids.npy").stat().st_ino == before


def test_a_file_in_the_place_of_an_entry_is_replaced(tmp_path):
    (tmp_path / "entry").write_text("no folder")
    cache.save(tmp_path / "entry", ARRAYS, WORDS)
    assert whole(tmp_path / "entry")
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_many_writers_and_readers_share_one_entry(tmp_path):
    folder = tmp_path / "entry"
    folder.mkdir()
    (folder / "ids.npy").write_bytes(b"damaged")

    def write_and_read(_):
        cache.save(folder, ARRAYS, WORDS)
        entry = cache.load(folder, ARRAYS)
        return entry is None or (entry[1] == WORDS and np.array_equal(entry[0]["ids"], ARRAYS["ids"]))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(write_and_read, range(64)))
    assert whole(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_a_writer_that_comes_second_leaves_the_other_entry(tmp_path, monkeypatch):
    rival, folder, rename = tmp_path / "rival", tmp_path / "entry", Path.rename
    cache.save(rival, ARRAYS, ["rival"])

    def overtaken(self, target):
        if target == folder:
            rename(rival, folder)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    cache.save(folder, ARRAYS, WORDS)
    assert cache.load(folder, ARRAYS)[1] == ("rival",)
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_an_entry_that_cannot_be_put_in_place_is_an_error(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError("refused")

    monkeypatch.setattr(cache, "_replace", refused)
    with pytest.raises(PermissionError, match="refused"):
        cache.save(tmp_path / "entry", ARRAYS, WORDS)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_writers_are_swept_after_a_day(tmp_path):
    old, young, foreign = tmp_path / ".entry.1.aaaaaaaa", tmp_path / ".entry.2.bbbbbbbb", tmp_path / ".venv"
    for folder in (old, young, foreign):
        folder.mkdir()
    for folder in (old, foreign):
        os.utime(folder, (time.time() - 2 * cache.STALE,) * 2)
    cache.save(tmp_path / "entry", ARRAYS, WORDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".entry.2.bbbbbbbb", ".venv", "entry"]


def test_other_files_are_part_of_the_entry(tmp_path):
    folder = tmp_path / "entry"
    cache.save(folder, ARRAYS, WORDS, {"manifest.json": {"format": 1}})
    assert cache.load(folder, ARRAYS, ["manifest.json"])[1] == WORDS
    assert cache.load(folder, ARRAYS) is None
    cache.save(folder, ARRAYS, WORDS, {"manifest.json": {"format": 2}})
    assert json.loads((folder / "manifest.json").read_text()) == {"format": 2}
    (folder / "manifest.json").write_text("{}")
    assert cache.load(folder, ARRAYS, ["manifest.json"]) is None


def test_a_cache_that_is_a_file_is_an_os_error(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError, match="cache"):
        cache.save(tmp_path / "cache" / "entry", ARRAYS, WORDS)


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        cache.save(tmp_path / "entry", {"ids": np.array([object()])}, WORDS)
    assert list(tmp_path.iterdir()) == []
