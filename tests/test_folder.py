import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweep_case import knobs
from twotower.sweeps import folder
from twotower.sweeps.folder import Folder, Result, Trial

TRIAL = Trial(7, {"dim": 8, "data.packages": ["numpy"]}, "5f0c")


def made(home: Path) -> Folder:
    return folder.create(knobs(home), "mlp", "method: grid\n")


def test_what_is_written_down_is_read_back(tmp_path: Path) -> None:
    home = made(tmp_path)
    result = Result(7, "done", 0.27, "weekend-7-3fa2b1", 4, 3, 2.5, 1.5)
    home.plan(TRIAL)
    home.name_run(7, "weekend-7-3fa2b1")
    home.end(result)
    assert (home.planned(), home.run_of(7), home.results()) == ([TRIAL], "weekend-7-3fa2b1", {7: result})
    assert home.run_of(8) == ""
    assert home.file.read_text() == "method: grid\n"


def test_a_sweep_without_a_name_gets_one_that_nobody_has(tmp_path: Path) -> None:
    cfg = knobs(tmp_path, name="")
    names = {folder.create(cfg, "mlp", "").name for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"mlp-[0-9a-f]{6}", name) for name in names)


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(ValueError, match=r"there is a sweep weekend .* go on with it by resume=weekend"):
        made(tmp_path)
    with pytest.raises(ValueError, match="name: got 'a/b'"):
        folder.create(knobs(tmp_path, name="a/b"), "mlp", "")


def test_a_shared_storage_is_joined_by_the_same_file_alone(tmp_path: Path) -> None:
    cfg = knobs(tmp_path, storage=str(tmp_path / "study"))
    first = folder.create(cfg, "mlp", "method: grid\n")
    assert folder.create(cfg, "mlp", "method: grid\n") == first
    with pytest.raises(ValueError, match="weekend is the sweep of another file"):
        folder.create(cfg, "mlp", "method: random\n")


def test_what_goes_on_keeps_its_settings_where_nothing_else_is_typed(tmp_path: Path) -> None:
    cfg = knobs(tmp_path, jobs=3, storage="sqlite:///x.db", threads=0)
    home = folder.create(cfg, "mlp", "")
    again = home.settings(replace(knobs(tmp_path, name=""), jobs=5, resume="weekend"))
    assert (again.jobs, again.storage, again.name) == (5, "sqlite:///x.db", "weekend")
    (home.path / "settings.json").write_text("{}")
    with pytest.raises(ValueError, match="not the settings of a sweep"):
        home.settings(cfg)


def test_a_sweep_is_found_by_name(tmp_path: Path) -> None:
    home = made(tmp_path)
    assert folder.find(knobs(tmp_path, resume="weekend")) == home
    with pytest.raises(FileNotFoundError, match=r"no sweep weekedn in .*did you mean weekend"):
        folder.find(knobs(tmp_path, resume="weekedn"))


def test_one_worker_alone_but_with_a_shared_storage(tmp_path: Path) -> None:
    home = made(tmp_path)
    with (
        folder.held(home, shared=False) as worker,
        pytest.raises(ValueError, match="still going on, as process"),
        folder.held(home, shared=False),
    ):
        pass
    assert worker == "here-1"
    with folder.held(home, shared=True) as one, folder.held(home, shared=True) as other:
        assert one.endswith("-1")
        assert other.endswith("-2")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    home = made(tmp_path)
    home.plan(TRIAL)
    path = home.of(7) / "point.json"
    path.write_text('{"number": 7}')
    with pytest.raises(ValueError, match=re.escape(f"{path}: damaged (KeyError")):
        home.planned()
