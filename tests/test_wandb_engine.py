"""The real `wandb sweep` and `wandb agent`, over a W&B server on this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from tests.sweep_case import RATES, content, knobs, swept, written
from tests.training_case import write_beir
from tests.wandb_case import Logged, Server, running
from twotower import compose, config
from twotower.data.collection import Collection
from twotower.knobs import flat
from twotower.sweeps import check, file, wandb_engine
from twotower.sweeps import folder as folders
from twotower.sweeps.file import Sweep
from twotower.sweeps.folder import Folder
from twotower.sweeps.local import key_of
from twotower.training import runs, tracking

KNOWN = "0.31."
"""The client whose private requests the server here knows."""
real = pytest.mark.skipif(
    not version("wandb").startswith(KNOWN), reason=f"the server here talks to wandb {KNOWN}* alone"
)
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def data(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as made:
        yield made
        assert made.unknown == []


@pytest.fixture
def start(server: Server, workplace: Path, tmp_path: Path) -> Start:
    """`twotower sweep`, logged in, in a session of its own."""
    home = tmp_path / "home"
    home.mkdir()

    def started(*words: str) -> "subprocess.Popen[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
        return subprocess.Popen(
            [sys.executable, "-m", "twotower", "sweep", *words],
            cwd=workplace,
            env={**clean, **server.environment(home), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    return started


def ended(process: "subprocess.Popen[str]", code: int) -> tuple[str, str]:
    """What a sweep said, once it ended with `code`."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    return out, err


def keys(home: Path) -> set[str]:
    """Hashes of the resolved configurations of all runs below a folder of checkpoints."""
    records = [runs.read(path) for path in home.glob("runs/*/run.json")]
    assert {record.knobs["sweep"] for record in records} == {"weekend"}
    return {key_of(point(flat(record.knobs))) for record in records}


def point(flat: dict[str, Any]) -> dict[str, Any]:
    """A resolved configuration, as a point of a sweep."""
    return {name.removesuffix(".kind"): value for name, value in flat.items() if value != ""}


@real
@pytest.mark.slow
@pytest.mark.service
def test_a_grid_runs_through_the_real_agents_as_it_does_here(
    data: Path, tmp_path: Path, workplace: Path, server: Server, start: Start
) -> None:
    path = written(tmp_path / "s.yaml", content(data, project="mine", method="grid"))
    swept(path, knobs(tmp_path))
    out, err = ended(start(str(path), "name=weekend", "jobs=2", "threads=1"), 0)
    assert "[6 of 6] trial " in err
    assert (workplace / out.strip()).is_file()
    assert (server.agents, server.project, server.points) == (2, "mine", [])
    assert len(server.runs) == 6
    assert {run.exitcode for run in server.runs.values()} == {0}
    arrived = [point({name: run.config[name] for name in names(run)}) for run in server.runs.values()]
    assert {key_of(one) for one in arrived} == keys(tmp_path / "checkpoints")
    assert keys(workplace / "checkpoints") == keys(tmp_path / "checkpoints")
    for run in server.runs.values():
        assert run.sweep == "sweep1"
        assert run.display.startswith("weekend-")
        assert [row["epoch"] for row in run.history] == [0, 1, 2]
        assert run.summary["mrr_10"] == max(row["mrr_10"] for row in run.history)
    results = Folder(workplace / "checkpoints" / "sweeps" / "weekend").results()
    best = {run.config["learning_rate"]: run.summary["mrr_10"] for run in server.runs.values()}
    assert sorted(best) == RATES
    assert sorted(result.value or 0 for result in results.values()) == sorted(best.values())
    assert [item.name for item in workplace.iterdir() if item.name not in ("checkpoints", "data")] == []


def names(run: Logged) -> list[str]:
    """The knobs of a run's resolved configuration, without the names under which they were swept."""
    return [name for name in run.config if f"{name}.kind" not in run.config and name not in SHORT]


SHORT = ("hidden_dim", "num_layers")
"""Short names for knobs of both towers in the sweep file."""


@real
@pytest.mark.slow
@pytest.mark.service
def test_one_stopped_by_the_server_is_kept_and_one_that_fails_stops_no_other(
    data: Path, tmp_path: Path, workplace: Path, server: Server, start: Start
) -> None:
    server.stop_at = lambda run: len(run.history) > 3 and run.config["epochs"] > 100
    lost = tmp_path / "lost"
    lost.mkdir()
    parameters = {
        "learning_rate": {"value": 0.01},
        "data.path": {"values": [str(lost), str(data)]},
        "epochs": {"values": [2000, 2]},
    }
    path = written(tmp_path / "s.yaml", content(data, parameters=parameters))
    _, err = ended(start(str(path), "name=weekend"), 1)
    assert "sweep weekend: 1 of 4 done, 1 pruned, 2 failed" in err
    assert server.points == []
    results = Folder(workplace / "checkpoints" / "sweeps" / "weekend").results()
    assert [results[number].status for number in range(4)] == ["failed", "failed", "pruned", "done"]
    assert str(lost) in results[0].why
    stopped = server.runs["trial2"]
    assert stopped.exitcode == 0
    assert 3 < len(stopped.history) < 2000
    assert stopped.summary["mrr_10"] == max(row["mrr_10"] for row in stopped.history)
    run = results[2].run
    assert runs.read(workplace / "checkpoints" / "runs" / run / "run.json").ended == "pruned by sweep weekend"
    assert not (workplace / "checkpoints" / "runs" / run / "resume.pt").exists()
    assert list((workplace / "checkpoints").glob(f"two_tower_best_{run}_*.pt"))


@real
@pytest.mark.slow
@pytest.mark.service
def test_ctrl_c_reaches_the_trials_and_the_sweep_goes_on_by_its_name(
    data: Path, tmp_path: Path, workplace: Path, server: Server, start: Start
) -> None:
    parameters = {"learning_rate": {"value": 0.01}, "epochs": {"values": [5000, 2, 3]}}
    path = written(tmp_path / "s.yaml", content(data, parameters=parameters))
    process = start(str(path), "name=weekend")
    until = time.monotonic() + 60
    while not server.runs or len(server.runs["trial0"].history) < 3:
        assert time.monotonic() < until
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = ended(process, 130)
    assert "continue: twotower sweep resume=weekend" in err
    assert [run.history[-1]["epoch"] < 5000 for run in server.runs.values()] == [True]
    folder = Folder(workplace / "checkpoints" / "sweeps" / "weekend")
    (result,) = folder.results().values()
    assert (result.status, result.why) == ("killed", "interrupted")
    assert (workplace / "checkpoints" / "runs" / result.run / "resume.pt").is_file()
    _, err = ended(start("resume=weekend"), 1)
    assert f"trial 0 was interrupted: twotower train resume={result.run}" in err
    assert "sweep weekend: 2 of 3 done, 1 killed" in err
    assert server.asked.count("UpsertSweep") == 1


# without the client


@pytest.fixture
def home(data: Path, tmp_path: Path) -> tuple[Sweep, config.Sweep, Folder]:
    """A sweep that is about to go to the server."""
    cfg = knobs(tmp_path, tracking=config.Tracking.auto, engine=config.Engine.wandb, agents=0)
    sweep = check.opened(str(written(tmp_path / "s.yaml", content(data))))
    return sweep, cfg, folders.create(cfg, sweep.name, sweep.text)


def client(monkeypatch: pytest.MonkeyPatch, said: str, code: int = 0) -> list[list[str]]:
    """`wandb sweep` says this; the commands that it got."""
    asked: list[list[str]] = []

    def run(words: list[str], **how: Any) -> "subprocess.CompletedProcess[str]":
        asked.append(words)
        return subprocess.CompletedProcess(words, code, "", said)

    monkeypatch.setattr(wandb_engine.subprocess, "run", run)
    return asked


AGENT = "wandb: Run sweep agent with: \x1b[33mwandb agent me/twotower/abc\x1b[0m\n"


def test_without_agents_here_their_command_is_printed(
    home: tuple[Sweep, config.Sweep, Folder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = client(monkeypatch, AGENT)
    for _ in range(2):  # the second time it is known already
        assert wandb_engine.run(*home) is None
        assert capsys.readouterr().out == "wandb agent me/twotower/abc\n"
    ((*_, flag, project, sent),) = asked
    assert (flag, project) == ("--project", "twotower")
    assert yaml.safe_load(Path(sent).read_text()) == wandb_engine.content(*home)
    assert wandb_engine.is_here(home[2])


@pytest.mark.parametrize(("said", "code"), [("wandb: ERROR no such project\n", 1), ("wandb: odd\n", 0)])
def test_what_the_server_says_against_a_sweep_is_said(
    said: str, code: int, home: tuple[Sweep, config.Sweep, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    client(monkeypatch, said, code)
    with pytest.raises(ValueError, match=f"W&B refused the sweep: {said.strip().removeprefix('wandb: ')}"):
        wandb_engine.run(*home)
    assert not wandb_engine.is_here(home[2])


def test_trials_get_the_knobs_of_the_sweep(home: tuple[Sweep, config.Sweep, Folder], tmp_path: Path) -> None:
    command = wandb_engine.content(*home)["command"]
    assert command[:6] == list(file.COMMAND)
    assert command[6:] == [
        "name=weekend",
        "sweep=weekend",
        "project=twotower",
        f"checkpoint_dir={tmp_path / 'checkpoints'}",
        f"cache_dir={tmp_path / 'cache'}",
        "threads=1",
    ]
    words = [word for word in command[6:] if "_dir" not in word]
    assert compose.composed("train", words).cfg.sweep == "weekend"


def test_a_command_of_the_users_own_and_a_smaller_cap_are_kept(data: Path, tmp_path: Path) -> None:
    own = ["${env}", "torchrun", "-m", "twotower", "train", "${args_no_hyphens}"]
    sweep = check.opened(str(written(tmp_path / "s.yaml", content(data, command=own))), 4)
    made = wandb_engine.content(sweep, knobs(tmp_path), Folder(tmp_path))
    assert (made["command"], made["run_cap"]) == (own, 4)


@pytest.mark.parametrize(
    ("more", "mode", "engine"),
    [
        ({"engine": "local"}, "online", "local"),
        ({"engine": "wandb"}, "online", "wandb"),
        ({"engine": "auto"}, "online", "wandb"),
        ({"engine": "auto"}, "offline", "local"),
        ({"engine": "auto"}, "disabled", "local"),
        ({"engine": "auto", "tracking": "none"}, "online", "local"),
        ({"engine": "auto", "storage": "study.journal"}, "online", "local"),
        ({"engine": "wandb", "tracking": "none"}, "online", "tracking: none leaves"),
        ({"engine": "wandb", "storage": "study.journal"}, "online", "storage: belongs to engine=local"),
        ({"engine": "wandb"}, "disabled", "engine: wandb needs a server, WANDB_MODE=disabled forbids it"),
    ],
)
def test_who_proposes(more: dict[str, str], mode: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    cfg = compose.composed("sweep", [f"{name}={value}" for name, value in more.items()]).cfg
    if ":" in engine:
        with pytest.raises(ValueError, match=engine):
            wandb_engine.engine_of(cfg)
    else:
        assert wandb_engine.engine_of(cfg) is config.Engine[engine]


def test_without_a_login_w_and_b_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(tracking, "logged_in", lambda: False)
    with pytest.raises(ValueError, match="`wandb login` first"):
        wandb_engine.engine_of(config.Sweep(engine=config.Engine.wandb))
    assert wandb_engine.engine_of(config.Sweep()) is config.Engine.local


@pytest.mark.parametrize(
    ("bounds", "sent"),
    [
        ({"min": 0, "max": 0.5}, {"min": 0, "max": 0.5, "distribution": "uniform"}),
        ({"min": 0.0, "max": 0.5}, {"min": 0.0, "max": 0.5}),
        (
            {"min": 0, "max": 0.5, "distribution": "uniform"},
            {"min": 0, "max": 0.5, "distribution": "uniform"},
        ),
    ],
)
def test_bounds_that_the_client_finds_ambiguous_are_not_sent(
    bounds: dict[str, Any], sent: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    more = content(data, method="random", run_cap=2, parameters={"query_tower.dropout": bounds})
    sweep = check.opened(str(written(tmp_path / "s.yaml", more)))
    made = wandb_engine.content(sweep, knobs(tmp_path), Folder(tmp_path))
    assert made["parameters"]["query_tower.dropout"] == sent
