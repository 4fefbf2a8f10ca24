"""A reader that asks in a loop while another process switches."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from index_case import Indexes
from search_case import TEXTS

from twotower import config
from twotower.search import versions
from twotower.search.live import LiveSearcher
from twotower.search.opening import Request

OTHERS = {doc: f"another text about {doc} and a file" for doc in ("x1", "x2", "x3")}
SWITCHER = """
import sys, time
from pathlib import Path
from twotower.search import versions
root = Path(sys.argv[1])
for number in range(50):
    versions.switch(root, "docs", ("v0002", "v0001")[number % 2])
    time.sleep(0.02)
"""


@pytest.fixture
def made(tmp_path: Path) -> Indexes:
    """Two versions of an index, which share no document; their source is gone, so cannot have changed."""
    indexes = Indexes(tmp_path)
    indexes.build()
    indexes.write(OTHERS)
    indexes.build()
    (tmp_path / "docs.jsonl").unlink()
    return indexes


def request(indexes: Indexes, index: str = "docs") -> Request:
    case = indexes.case
    return Request(None, config.Stored(), case.cache_dir, case.load, case.said.append, index, indexes.root)


def ids(reader: LiveSearcher) -> set[str]:
    return {hit.doc_id for hit in reader.now().search("read a file", 10).hits}


def test_through_fifty_switches_every_answer_is_whole_and_of_one_version(made: Indexes) -> None:
    reader = LiveSearcher(request(made))
    command = [sys.executable, "-c", SWITCHER, str(made.root)]
    switcher = subprocess.Popen(command, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    seen, changes, last = 0, 0, ""
    while switcher.poll() is None or seen < 100:
        found = ids(reader)
        assert found in (set(TEXTS), set(OTHERS))
        assert found == (set(TEXTS) if reader.place.version == "v0001" else set(OTHERS))
        changes += reader.place.version != last
        seen, last = seen + 1, reader.place.version
    assert switcher.returncode == 0
    assert changes > 20
    assert versions.live(made.root, "docs") == "v0001" == reader.place.version


def test_an_answer_that_is_under_way_is_not_disturbed(made: Indexes) -> None:
    reader = LiveSearcher(request(made))
    before = reader.now()
    versions.switch(made.root, "docs", "v0002")
    assert ids(reader) == set(OTHERS)
    versions.prune(made.root, "docs", 1)
    versions.rollback(made.root, "docs")
    assert {hit.doc_id for hit in before.search("read a file", 10).hits} == set(TEXTS)


def test_a_deleted_version_goes_on_answering_who_has_it_open(made: Indexes) -> None:
    reader = LiveSearcher(request(made, "docs@v0001"))
    for _ in range(2):
        made.write(OTHERS)
        versions.switch(made.root, "docs", made.build().version)
        (made.folder / "docs.jsonl").unlink()
    assert "v0001" in versions.prune(made.root, "docs", 1)
    assert ids(reader) == set(TEXTS)


def test_a_version_that_is_named_is_not_left(made: Indexes) -> None:
    reader = LiveSearcher(request(made, "docs@v0001"))
    versions.switch(made.root, "docs", "v0002")
    assert ids(reader) == set(TEXTS)


def test_a_version_that_cannot_be_opened_is_said_once_and_the_one_before_answers(made: Indexes) -> None:
    reader = LiveSearcher(request(made))
    (made.root / "docs" / "v0002" / "vectors.npy").write_bytes(b"damaged")
    versions.switch(made.root, "docs", "v0002")
    made.case.said.clear()
    assert ids(reader) == ids(reader) == set(TEXTS)
    (said,) = made.case.said
    assert said.endswith("docs@v0001 goes on answering")
    assert "vectors.npy: damaged" in said
    versions.rollback(made.root, "docs")
    assert ids(reader) == set(TEXTS)


def test_asking_what_is_live_takes_no_time(made: Indexes) -> None:
    reader = LiveSearcher(request(made))
    start = time.perf_counter()
    for _ in range(1000):
        reader.now()
    assert time.perf_counter() - start < 0.5
