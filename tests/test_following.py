import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.sweep_case import content, knobs, written
from tests.training_case import small, write_beir
from twotower import config
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.sweeps import check, following
from twotower.sweeps import folder as folders
from twotower.sweeps.folder import Folder
from twotower.sweeps.following import Agent, Following
from twotower.sweeps.outcome import Goal

LOG = """wandb: Starting wandb agent
2026-11-23 23:29:42,353 - wandb.wandb_agent - INFO - Agent starting run with config:
\tlearning_rate: 0.01
first trial
twotower: lost: no such file
2026-11-23 23:30:07,430 - wandb.wandb_agent - INFO - Cleaning up finished run: one
2026-11-23 23:30:07,512 - wandb.wandb_agent - INFO - Agent starting run with config:
\tlearning_rate: 0.02
second trial
wandb: Run summary
"""


@pytest.fixture
def place(tiny: Collection, tmp_path: Path) -> tuple[Following, Folder, config.Sweep]:
    """A sweep of two learning rates, about to be followed."""
    data = write_beir(tiny, tmp_path / "tiny")
    values = {"learning_rate": {"values": [0.01, 0.02]}}
    path = written(tmp_path / "s.yaml", content(data, parameters=values))
    cfg = knobs(tmp_path)
    sweep = check.opened(str(path))
    folder = folders.create(cfg, sweep.name, sweep.text)
    return Following(sweep, cfg, folder, Goal("mrr_10"), 2), folder, cfg


def agent(folder: Folder, **rates: float) -> Agent:
    """An agent that was told to run these, by W&B's ids of the runs, and has ended."""
    home = folder.path / "agents" / "1"
    where = home / "wandb" / "sweep-abc"
    where.mkdir(parents=True)
    for second, (name, rate) in enumerate(rates.items()):
        path = where / f"config-{name}.yaml"
        path.write_text(f"wandb_version: 1\n\nlearning_rate:\n  desc: null\n  value: {rate}\n")
        os.utime(path, (second, second))
    (home / "log.txt").write_text(LOG)
    process = subprocess.Popen(["true"])
    process.wait()
    return Agent(home, process)


def trained(cfg: config.Sweep, tmp_path: Path, key: str, **more: Any) -> str:
    """A run that W&B knows by `key`; its name."""
    train.run(small(tmp_path / "tiny", tmp_path, **more))
    (path,) = (Path(cfg.checkpoint_dir) / "runs").iterdir()
    (path / "wandb" / f"offline-run-20261123_233042-{key}").mkdir(parents=True)
    return path.name


def test_each_trial_ends_with_the_record_of_its_run(
    place: tuple[Following, Folder, config.Sweep], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, folder, cfg = place
    run = trained(cfg, tmp_path, "two")
    seen.until_all_end([agent(folder, one=0.01, two=0.02)])
    results = folder.results()
    assert (results[0].status, results[0].why) == ("failed", "twotower: lost: no such file")
    assert (results[1].status, results[1].run, results[1].epochs) == ("done", run, 2)
    assert results[1].value
    assert folder.run_of(1) == run
    assert [dict(trial.point) for trial in folder.planned()] == [
        {"learning_rate": 0.01},
        {"learning_rate": 0.02},
    ]
    assert "first trial" in folder.log(0).read_text()
    assert "second trial" not in folder.log(0).read_text()
    assert "second trial" in folder.log(1).read_text()
    err = capsys.readouterr().err
    assert "[1 of 2] trial 0 failed: twotower: lost: no such file in " in err
    assert "[2 of 2] trial 1 done, MRR@10 " in err
    summary = seen.summary()
    assert [result.number for result in summary.failed] == [0]
    assert summary.best == results[1]
    assert list(summary.swept) == ["learning_rate"]


def test_an_interrupted_trial_may_go_on(
    place: tuple[Following, Folder, config.Sweep], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, folder, cfg = place
    run = trained(cfg, tmp_path, "one")
    record = Path(cfg.checkpoint_dir) / "runs" / run / "run.json"
    record.write_text(record.read_text().replace('"ended": "done"', '"ended": ""'))
    seen.interrupted = True
    seen.until_all_end([agent(folder, one=0.01)])
    assert (folder.results()[0].status, folder.results()[0].why) == ("killed", "interrupted")
    capsys.readouterr()
    following.say_interrupted(folder, cfg)
    err = capsys.readouterr().err
    assert err == f"trial 0 was interrupted: twotower train resume={run}{following.where(cfg)}\n"
    record.write_text(record.read_text().replace('"ended": ""', '"ended": "done"'))


def test_too_many_failures_stop_the_agents(place: tuple[Following, Folder, config.Sweep]) -> None:
    seen, folder, cfg = place
    seen._cfg = config.Sweep(checkpoint_dir=cfg.checkpoint_dir, max_failures=1)
    ended = agent(folder, one=0.01)
    shutil.copytree(ended.place, folder.path / "agents" / "2", ignore=shutil.ignore_patterns("config-*"))
    going = Agent(folder.path / "agents" / "2", subprocess.Popen(["sleep", "60"]))
    seen.until_all_end([ended, going])
    assert going.process.returncode == -15


def test_a_file_that_is_being_written_is_left_alone(place: tuple[Following, Folder, config.Sweep]) -> None:
    _, folder, _ = place
    ended = agent(folder, one=0.01, two=0.02)
    latest = ended.told()[1]
    os.utime(latest)
    going = Agent(ended.place, subprocess.Popen(["sleep", "60"]))
    assert [path.stem for path in going.told()] == ["config-one"]
    going.kill()
    assert [path.stem for path in going.told()] == ["config-one", "config-two"]


def test_where_says_only_what_is_not_the_default() -> None:
    assert following.where(config.Sweep()) == ""
    assert following.where(config.Sweep(checkpoint_dir="a b")) == " checkpoint_dir='a b'"
