import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from twotower.search import versions
from twotower.search.sealed import MANIFEST


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "indexes"


def made(root: Path, count: int, *, live: bool = True, name: str = "docs") -> None:
    for number in range(count):
        with versions.locked(root, name):
            folder = versions.work_folder(root, name, f"key{number}")
            (folder / MANIFEST).write_text(str(number))
            versions.publish(root, name, folder, live=live)


def pointer(root: Path) -> dict[str, object]:
    return json.loads((root / "docs" / "live.json").read_text())


def test_a_version_published_live_answers_and_a_staged_one_waits(root: Path) -> None:
    made(root, 2)
    made(root, 1, live=False)
    assert versions.versions(root, "docs") == ["v0001", "v0002", "v0003"]
    assert versions.live(root, "docs") == "v0002"
    place = versions.resolve(root, "docs")
    assert (place.version, place.folder, str(place)) == ("v0002", root / "docs" / "v0002", "docs@v0002")
    assert versions.resolve(root, "docs@v0003").version == "v0003"
    assert versions.names(root) == ["docs"]


def test_switch_takes_the_newest_and_rollback_leads_back(root: Path) -> None:
    made(root, 2)
    made(root, 1, live=False)
    assert versions.switch(root, "docs").version == "v0003"
    assert versions.rollback(root, "docs").version == "v0002"
    assert versions.rollback(root, "docs").version == "v0001"
    with pytest.raises(ValueError, match="no version was live before v0001"):
        versions.rollback(root, "docs")
    assert versions.switch(root, "docs", "v0003").version == "v0003"
    assert versions.rollback(root, "docs").version == "v0001"
    with pytest.raises(ValueError, match="v0001 is live already"):
        versions.switch(root, "docs", "v0001")


def test_pruning_spares_the_live_one_and_the_way_back_and_gives_no_number_twice(root: Path) -> None:
    made(root, 5)
    versions.switch(root, "docs", "v0002")
    assert versions.prune(root, "docs", 1) == ["v0001", "v0003", "v0004"]
    assert versions.prune(root, "docs", 0) == []
    assert pointer(root)["history"] == ["v0002", "v0005"]
    versions.rollback(root, "docs")
    versions.prune(root, "docs", 1)
    assert versions.versions(root, "docs") == ["v0005"]
    made(root, 1)
    assert versions.live(root, "docs") == "v0006"


def test_pruning_deletes_what_killed_builds_left_for_a_day(root: Path) -> None:
    made(root, 1)
    old, new = (versions.work_folder(root, "docs", key) for key in ("old", "new"))
    os.utime(old, (0, 0))
    versions.prune(root, "docs", 1)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("name", ["", ".x", "-x", "a/b", "a@b", "a b", "ü", "x" * 101, "..", "a\n"])
def test_names_that_are_none_are_refused(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        versions.check_name(name)


def test_what_is_not_there_is_said_with_the_way_out(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`twotower index build docs` makes it"):
        versions.resolve(root, "docs")
    made(root, 2)
    with pytest.raises(FileNotFoundError, match="did you mean docs"):
        versions.resolve(root, "dosc")
    with pytest.raises(FileNotFoundError, match="no version 'v9', want one of v0001, v0002"):
        versions.resolve(root, "docs@v9")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        versions.resolve(root, "./docs")
    for switched in ("docs", "none"):
        with pytest.raises(FileNotFoundError):
            versions.switch(root, switched, "v0009")


def test_a_folder_is_its_own_place(root: Path, tmp_path: Path) -> None:
    made(root, 1)
    found = versions.resolve(root, str(root / "docs" / "v0001"))
    assert (found.root, found.name, found.version) == (root, "docs", "v0001")
    (tmp_path / "copied").mkdir()
    found = versions.resolve(root, str(tmp_path / "copied"))
    assert (found.name, found.version, found.folder) == ("copied", "", tmp_path / "copied")
    assert versions.live(found.root, found.name) == ""


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"live": "v0002"}', '{"live": "v7", "history": [], "last": 1}']
)
def test_a_pointer_that_is_lost_or_damaged_is_set_anew(root: Path, content: str) -> None:
    made(root, 2)
    (root / "docs" / "live.json").write_text(content)
    with pytest.raises(ValueError, match="`twotower index switch docs@v0002` says which") as caught:
        versions.resolve(root, "docs")
    assert "\n" not in str(caught.value)
    assert versions.switch(root, "docs", "v0002").version == "v0002"
    (root / "docs" / "live.json").unlink()
    with pytest.raises(ValueError, match="missing; `twotower index switch docs@v0002`"):
        versions.live(root, "docs")


def test_the_only_version_is_live_even_if_nobody_said_so(root: Path) -> None:
    made(root, 1, live=False)
    assert versions.resolve(root, "docs").version == "v0001"
    made(root, 1)
    assert versions.rollback(root, "docs").version == "v0001"


def test_a_first_version_stays_live_though_its_maker_was_killed_before_saying_so(root: Path) -> None:
    made(root, 1)
    (root / "docs" / "live.json").unlink()
    made(root, 1, live=False)
    assert versions.versions(root, "docs") == ["v0001", "v0002"]
    assert versions.live(root, "docs") == "v0001"
    assert versions.switch(root, "docs").version == "v0002"
    assert versions.rollback(root, "docs").version == "v0001"


def test_one_at_a_time_changes_an_index(root: Path) -> None:
    made(root, 2)
    with versions.locked(root, "docs"):
        for change in (versions.switch, versions.rollback):
            with pytest.raises(ValueError, match="another process is changing it"):
                change(root, "docs")
        with versions.locked(root, "other"):
            pass
    versions.rollback(root, "docs")


BUSY = """
import sys
from pathlib import Path
from twotower.search import versions
root = Path(sys.argv[1])
print("begun", flush=True)
while True:
    versions.switch(root, "docs", "v0001")
    versions.switch(root, "docs", "v0002")
    versions.rollback(root, "docs")
    versions.switch(root, "docs", "v0003")
"""


def killed(root: Path, moment: float) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(root)], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout
    process.stdout.readline()
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_kill_leaves_exactly_one_version_live(root: Path, times: int) -> None:
    made(root, 3)
    draw = random.Random(0)
    for _ in range(times):
        killed(root, draw.uniform(0.0, 0.1))
        place = versions.resolve(root, "docs")
        assert place.folder.is_dir()
        assert pointer(root)["live"] == place.version
        assert versions.versions(root, "docs") == ["v0001", "v0002", "v0003"]
        with versions.locked(root, "docs"):  # the dead hold no lock
            pass
