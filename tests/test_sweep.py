import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Command

from tests.sweep_case import RATES, content, knobs, written
from tests.training_case import write_beir
from twotower import config
from twotower.commands import sweep
from twotower.data.collection import Collection


@pytest.fixture
def data(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


@pytest.fixture
def file(data: Path, tmp_path: Path) -> Path:
    return written(tmp_path / "six.yaml", content(data))


def words(home: Path) -> list[str]:
    return [
        *("engine=local", "name=weekend", "jobs=2", "tracking=none"),
        *(f"checkpoint_dir={home / 'checkpoints'}", f"cache_dir={home / 'cache'}"),
    ]


def ended(home: Path) -> dict[float, str]:
    """How each run of the sweep ended, by its learning rate; each rate has one run that came to its end."""
    found: dict[float, str] = {}
    for path in (home / "checkpoints" / "runs").glob("*/run.json"):
        said = json.loads(path.read_text())
        rate = said["knobs"]["learning_rate"]
        assert rate not in found or not said["ended"]
        found[rate] = said["ended"]
    return found


def test_a_sweep_says_what_came_of_it_and_what_to_do_next(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.run(knobs(tmp_path, jobs=2), str(file)) == 0
    said = capsys.readouterr()
    assert Path(said.out.strip()).is_file()
    assert "sweep weekend: 6 of 6 done" in said.err
    assert said.err.count("done, MRR@10") == 6
    assert f"next: twotower leaderboard sweep=weekend checkpoint_dir={tmp_path}/checkpoints" in said.err
    assert "next: for seed in 1 2 3; do twotower train data=beir" in said.err


def test_the_result_as_json(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = knobs(tmp_path, jobs=2, run_cap=2, format=config.AnswerFormat.json)
    assert sweep.run(cfg, str(file)) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [trial["point"]["learning_rate"] for trial in said["trials"]] == RATES[:2]
    assert Path(said["best"]["checkpoint"]).is_file()
    assert (said["metric"], said["goal"]) == ("mrr_10", "maximize")


def test_a_file_is_only_checked_if_that_is_wanted(file: Path, tmp_path: Path) -> None:
    assert sweep.run(knobs(tmp_path, check=True), str(file)) == 0
    assert not (tmp_path / "checkpoints").exists()


def test_mistakes_start_nothing(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="want one FILE, or resume=NAME"):
        sweep.run(knobs(tmp_path))
    with pytest.raises(ValueError, match="want one FILE, or resume=NAME"):
        sweep.run(knobs(tmp_path, resume="weekend"), str(file))
    with pytest.raises(FileNotFoundError, match="resume: no sweep weekend"):
        sweep.run(knobs(tmp_path, resume="weekend"))
    with pytest.raises(FileNotFoundError, match="no such sweep file"):
        sweep.run(knobs(tmp_path), "sevn")
    assert not (tmp_path / "checkpoints").exists()


def test_a_failed_trial_makes_the_exit_code_1(
    data: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = {
        "data.path": {"values": [str(data), str(tmp_path / "nowhere")]},
        "learning_rate": {"value": 0.01},
    }
    bad = written(tmp_path / "bad.yaml", content(data, parameters=swept))
    assert sweep.run(knobs(tmp_path), str(bad)) == 1
    said = capsys.readouterr().err
    assert "trial 1 failed: " in said
    assert "nowhere" in said
    assert "1 of 2 done, 1 failed" in said
    with pytest.raises(ValueError, match=r"there is a sweep weekend .* resume=weekend"):
        sweep.run(knobs(tmp_path), str(bad))


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """`twotower` in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "twotower", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def alive(home: Path) -> list[str]:
    """Processes that work on anything in `home`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            if str(home) in os.readlink(path):
                found.append(path.parts[2])
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_sweep_that_is_killed_twice_runs_every_configuration_to_its_end_once(
    data: Path, tmp_path: Path
) -> None:
    swept = {"epochs": {"value": 60}, "resume_steps": {"value": 1}}
    file = written(tmp_path / "six.yaml", content(data, parameters=swept))
    trials = tmp_path / "checkpoints" / "sweeps" / "weekend" / "trials"
    first = ["sweep", str(file), *words(tmp_path)]
    again = ["sweep", "resume=weekend", f"checkpoint_dir={tmp_path / 'checkpoints'}"]
    for command, results, delay in ((first, 1, 0.3), (again, 3, 0.2)):
        with started(*command) as process:
            while len(list(trials.glob("*/result.json"))) < results:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.02)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        time.sleep(0.5)
        assert alive(tmp_path) == []  # the trials ended with their sweep
    with started(*again) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert "go on from where they were" in said
    assert ended(tmp_path) == dict.fromkeys(RATES, "done")
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 6
    logs = [(trials / str(number) / "log.txt").read_text() for number in range(6)]
    assert any("goes on at epoch" in log for log in logs)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_says_how_to_go_on(
    number: signal.Signals, code: int, data: Path, tmp_path: Path, command: Command
) -> None:
    file = written(tmp_path / "six.yaml", content(data, parameters={"epochs": {"value": 300}}))
    trials = tmp_path / "checkpoints" / "sweeps" / "weekend" / "trials"
    with started("sweep", str(file), *words(tmp_path)) as process:
        while len(list(trials.glob("*/run"))) < 2:
            time.sleep(0.02)
        time.sleep(1)
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == code, said
    assert "continue: twotower sweep resume=weekend" in said
    assert len(list((tmp_path / "checkpoints" / "runs").glob("*/resume.pt"))) == 2
    assert alive(tmp_path) == []


@pytest.mark.bench
def test_what_a_sweep_costs_beside_its_training(data: Path, tmp_path: Path) -> None:
    rates = [round(0.001 + 0.0001 * place, 5) for place in range(50)]
    swept = {
        "learning_rate": {"values": rates},
        "epochs": {"value": 230},  # two seconds
        "eval_every_epoch": {"value": False},
    }
    file = written(tmp_path / "fifty.yaml", content(data, parameters=swept))
    began = time.monotonic()
    with started("sweep", str(file), *words(tmp_path)) as process:
        process.communicate()  # all that it says, or it would wait for us
    wall = time.monotonic() - began
    assert process.returncode == 0
    spent = [
        json.loads(path.read_text())["cost"]["seconds"]
        for path in (tmp_path / "checkpoints").glob("training_history_*.json")
    ]
    assert len(spent) == 50
    ratio = wall / (sum(spent) / 2)
    assert ratio <= 1.3, f"{wall:.1f} s for 50 trials of {sum(spent) / 50:.2f} s, 2 at a time: {ratio:.2f}"
