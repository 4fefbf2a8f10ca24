import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import sweep_case
from tests.sweep_case import content, knobs, swept, written
from tests.training_case import write_beir
from twotower import config
from twotower.data.collection import Collection
from twotower.model import sidecar
from twotower.sweeps import folder, local, trial


@pytest.fixture
def data(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials go wrong at some learning rates."""
    monkeypatch.setattr(trial, "TRAIN", sweep_case.__name__)


def sidecars(home: Path) -> list[dict[str, object]]:
    return [
        dict(json.loads(path.read_text())["training_stats"]["config"])
        for path in (home / "checkpoints").glob("training_history_*.json")
    ]


def test_every_point_of_a_grid_is_run_once(data: Path, tmp_path: Path) -> None:
    found = swept(written(tmp_path / "s.yaml", content(data)), knobs(tmp_path, jobs=2))
    assert Counter(result.status for result in found.results.values()) == {"done": 6}
    assert sorted(cfg["learning_rate"] for cfg in sidecars(tmp_path)) == sweep_case.RATES
    assert {cfg["sweep"] for cfg in sidecars(tmp_path)} == {"weekend"}
    assert found.best is not None
    assert found.best.value == max(one.value or 0.0 for one in found.results.values())


def test_one_that_raises_is_killed_or_diverges_does_not_stop_the_others(
    data: Path, tmp_path: Path, wrong: None
) -> None:
    bad = [sweep_case.RAISES, sweep_case.KILLED, sweep_case.BREAKS, sweep_case.NOTHING]
    parameters = {"learning_rate": {"values": [*bad, 0.01, 0.02]}}
    file = written(tmp_path / "s.yaml", content(data, parameters=parameters))
    found = swept(file, knobs(tmp_path, jobs=2))
    assert [found.results[number].status for number in range(6)] == [
        "failed", "killed", "failed", "failed", "done", "done",
    ]  # fmt: skip
    whys = [found.results[number].why for number in range(4)]
    assert whys[0] == "learning_rate: this one is refused"
    assert whys[1] == "killed by SIGKILL; out of memory?"
    assert whys[2] == "RuntimeError: nobody expected this"
    assert whys[3].startswith("the loss became nan")
    assert "Traceback" in found.folder.log(2).read_text()


def test_a_sweep_stops_after_so_many_failures(data: Path, tmp_path: Path, wrong: None) -> None:
    values = [sweep_case.RAISES, sweep_case.BREAKS, 0.01, 0.02]
    file = written(tmp_path / "s.yaml", content(data, parameters={"learning_rate": {"values": values}}))
    found = swept(file, knobs(tmp_path, max_failures=2))
    assert [one.status for one in found.results.values()] == ["failed", "failed"]


def test_a_trial_that_is_behind_is_stopped_early_and_keeps_its_best(
    data: Path, tmp_path: Path, wrong: None
) -> None:
    rates = [0.05, sweep_case.SLOW]
    file = written(
        tmp_path / "s.yaml",
        content(
            data,
            early_terminate={"type": "hyperband", "min_iter": 3},
            parameters={"learning_rate": {"values": rates}, "epochs": {"value": 8}},
        ),
    )
    found = swept(file, knobs(tmp_path))
    good, pruned = found.results[0], found.results[1]
    assert (good.status, pruned.status) == ("done", "pruned")
    assert (good.epochs, pruned.epochs) == (8, 2)  # its third evaluation is that of epoch 2
    (path,) = (tmp_path / "checkpoints").glob(f"two_tower_best_{pruned.run}_*.pt")
    assert "pruned by sweep weekend" in json.dumps(sidecar.read(path))
    scratch = tmp_path / "checkpoints" / "runs" / pruned.run
    assert json.loads((scratch / "run.json").read_text())["ended"] == "pruned by sweep weekend"
    assert not (scratch / "resume.pt").exists()


def test_an_interrupted_sweep_goes_on_and_repeats_nothing(data: Path, tmp_path: Path, wrong: None) -> None:
    parameters = {"learning_rate": {"values": [0.01, sweep_case.SLOW, 0.02]}, "epochs": {"value": 6}}
    file = written(tmp_path / "s.yaml", content(data, parameters=parameters))
    cfg = knobs(tmp_path)
    sweep, home = sweep_case.begun(file, cfg)
    until(home.of(1) / "run", then=lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        local.run(sweep, cfg, home)
    assert [one.status for one in home.results().values()] == ["done"]
    first = home.run_of(1)
    assert (tmp_path / "checkpoints" / "runs" / first / "resume.pt").is_file()
    found = local.run(sweep, cfg, home)
    assert [one.status for one in found.results.values()] == ["done"] * 3
    assert home.run_of(1) == first
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 3
    assert "goes on at epoch" in home.log(1).read_text()
    local.run(sweep, cfg, home)  # there is nothing left
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 3


def until(path: Path, then: object) -> None:
    """Call `then` in this process soon after `path` is there."""

    def watch() -> None:
        while not path.exists():
            time.sleep(0.01)
        time.sleep(0.5)
        then()  # type: ignore[operator]

    threading.Thread(target=watch, daemon=True).start()


def test_a_killed_trial_goes_on_when_the_sweep_does(
    data: Path, tmp_path: Path, wrong: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"learning_rate": {"values": [sweep_case.KILLED, 0.02]}}
    file = written(tmp_path / "s.yaml", content(data, parameters=parameters))
    cfg = knobs(tmp_path)
    sweep, home = sweep_case.begun(file, cfg)
    assert [one.status for one in local.run(sweep, cfg, home).results.values()] == ["killed", "done"]
    monkeypatch.undo()
    found = local.run(sweep, cfg, home)
    assert [one.status for one in found.results.values()] == ["done", "done"]
    assert len(list((tmp_path / "checkpoints" / "runs").iterdir())) == 2


def test_a_random_sweep_ends_at_its_cap_or_its_target(data: Path, tmp_path: Path) -> None:
    parameters = {"learning_rate": {"min": 0.001, "max": 0.1, "distribution": "log_uniform_values"}}
    file = written(tmp_path / "s.yaml", content(data, method="random", run_cap=3, parameters=parameters))
    assert len(swept(file, knobs(tmp_path, jobs=2)).results) == 3
    easy = {"name": "mrr_10", "goal": "maximize", "target": 0.001}
    file = written(
        tmp_path / "t.yaml", content(data, method="random", run_cap=3, parameters=parameters, metric=easy)
    )
    assert len(swept(file, knobs(tmp_path, name="other")).results) == 1


def test_the_same_configuration_has_the_same_key() -> None:
    assert local.key_of({"dim": 8}) == local.key_of({"dim": 8, "threads": 2, "name": "x"})
    assert local.key_of({"dim": 8}) != local.key_of({"dim": 9})
    assert local.key_of({"data": "beir", "data.path": "a"}) != local.key_of(
        {"data": "beir", "data.path": "b"}
    )


def test_trials_are_what_their_words_say(data: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "s.yaml", content(data))
    cfg = knobs(tmp_path, project="mine")
    sweep, home = sweep_case.begun(file, cfg)
    engine = local.Local(sweep, cfg, home, "here-1")
    one = engine.proposals.next()
    assert one is not None
    made = engine._config(one)
    assert (made.learning_rate, made.name, made.sweep, made.project) == (
        0.001,
        "weekend-0",
        "weekend",
        "mine",
    )
    assert made.tracking is config.Tracking.none


def test_two_sweeps_of_one_name_do_not_run_at_once(data: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "s.yaml", content(data))
    cfg = knobs(tmp_path)
    sweep, home = sweep_case.begun(file, cfg)
    with (
        folder.held(home, shared=False),
        pytest.raises(ValueError, match="still going on, as process"),
    ):
        local.run(sweep, cfg, home)
