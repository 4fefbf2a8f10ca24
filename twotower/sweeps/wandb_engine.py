"""The engine of W&B: its server proposes, its agents start the trials, here and on other machines.

    sweep file -> wandb.yaml -> `wandb sweep` -> me/twotower/8fk2x1aq -> `wandb agent` -> `twotower train`

    checkpoints/sweeps/weekend/wandb.yaml                               the file as the server gets it
    checkpoints/sweeps/weekend/wandb.json                               which sweep of the server it is
    checkpoints/sweeps/weekend/agents/1/log.txt                         what an agent and its trials said
    checkpoints/sweeps/weekend/agents/1/wandb/sweep-8fk2x1aq/config-*   what the server told it to run

The client is W&B's own, in processes of its own. Which run is a trial's is seen by the id that W&B gives it.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # OmegaConf reads with it too

from twotower import config, show
from twotower.config import Engine
from twotower.model import sidecar
from twotower.sweeps import file, folder, following, space
from twotower.sweeps.file import Method, Sweep
from twotower.sweeps.folder import Folder
from twotower.sweeps.following import Agent, Following
from twotower.sweeps.local import threads as threads_of
from twotower.sweeps.outcome import Goal
from twotower.sweeps.summary import Summary
from twotower.training import tracking

ANSWER = 90
"""Seconds in which a server must take the sweep."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TYPED = ("checkpoint_dir", "cache_dir", "threads")
"""Knobs of the sweep that its trials get where they are not the default."""


def engine_of(cfg: config.Sweep) -> Engine:
    """Who proposes: as `cfg` says, else W&B where the user is logged in and nothing is local only.

    Raises ValueError where W&B is wanted and cannot be.
    """
    if cfg.engine is Engine.local:
        return Engine.local
    silent = cfg.tracking is config.Tracking.none
    if cfg.engine is Engine.auto:
        return Engine.wandb if not (silent or cfg.storage) and tracking.logged_in() else Engine.local
    if silent:
        raise ValueError("tracking: none leaves W&B nothing to propose by; want auto, or engine=local")
    if cfg.storage:
        raise ValueError("storage: belongs to engine=local, W&B keeps its own; leave it out")
    if not tracking.logged_in():
        mode = os.environ.get("WANDB_MODE", "").strip()
        way = f"WANDB_MODE={mode} forbids it" if mode else "`wandb login` first"
        raise ValueError(f"engine: wandb needs a server, {way}; or take engine=local")
    return Engine.wandb


def is_here(home: Folder) -> bool:
    """Whether the sweep of a folder is one of W&B's."""
    return _record(home).is_file()


def run(sweep: Sweep, cfg: config.Sweep, home: Folder) -> Summary | None:
    """Create the sweep on the server, or go on with it, and see its agents here to their end.

    None where none of what runs can be seen here: `agents=0`, or a `command` of the user's own.

    Raises:
        KeyboardInterrupt: the user stopped it; how to go on is said.
        ValueError: the server refused the sweep, or another process works on it.
    """
    written = content(sweep, cfg, home)
    path = _known(home) or _created(written, sweep, cfg, home)
    count = cfg.jobs if cfg.agents < 0 else cfg.agents
    if not count:
        show.talk("on each machine that is to run trials:")
        show.result(f"wandb agent {path}")
        return None
    show.talk(f"more agents, here or on other machines: wandb agent {path}")
    following.say_interrupted(home, cfg)
    with folder.held(home, shared=False):
        agents = [_started(path, cfg, home) for _ in range(count)]
        goal = Goal(sweep.metric.name, sweep.metric.maximised) if sweep.metric else Goal(config.Train.select)
        seen = Following(sweep, cfg, home, goal, _total(sweep))
        try:
            seen.until_all_end(agents)
        except KeyboardInterrupt as interrupt:
            _interrupt(agents, seen, interrupt)
            show.talk(f"continue: twotower sweep resume={home.name}{following.where(cfg)}")
            raise
        finally:
            for agent in agents:
                agent.kill()
    return seen.summary() if "twotower" in written["command"] else None


def content(sweep: Sweep, cfg: config.Sweep, home: Folder) -> dict[str, Any]:
    """The file as the server gets it, its command with the knobs that the sweep has for its trials.

    A command of the user's own stays as it is.
    """
    made = file.written(sweep)
    made["parameters"] = {name: _unambiguous(entry) for name, entry in made["parameters"].items()}
    if sweep.run_cap:
        made["run_cap"] = sweep.run_cap
    if "command" not in sweep.content:
        default = config.Sweep()
        typed = {knob: getattr(cfg, knob) for knob in _TYPED if getattr(cfg, knob) != getattr(default, knob)}
        words = {"name": home.name, "sweep": home.name, "project": _project(sweep, cfg), **typed}
        made["command"] = [*made["command"], *space.words(words)]
    return made


def _unambiguous(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `parameters`; of {min: 0, max: 0.5} alone the client would not know what it is."""
    bounds = [entry.get("min"), entry.get("max")]
    mixed = "distribution" not in entry and {type(bound) for bound in bounds} == {int, float}
    return {**entry, "distribution": "uniform"} if mixed else dict(entry)


def _project(sweep: Sweep, cfg: config.Sweep) -> str:
    return cfg.project or str(sweep.content.get("project") or config.Train.project)


def _total(sweep: Sweep) -> int:
    """How many trials there will be; 0 where nobody knows."""
    points = space.count(sweep.parameters) if sweep.method is Method.grid else 0
    return min(points, sweep.run_cap) if points and sweep.run_cap else points or sweep.run_cap


def _record(home: Folder) -> Path:
    return home.path / "wandb.json"


def _known(home: Folder) -> str:
    """The server's name of the sweep; empty where it has none yet."""
    if not is_here(home):
        return ""
    try:
        return str(json.loads(_record(home).read_text(encoding="utf-8"))["sweep"])
    except (ValueError, KeyError, TypeError) as error:
        want = '{"sweep": "ENTITY/PROJECT/ID"}'
        raise ValueError(f"{_record(home)}: damaged ({error}); want {want}") from None


def _created(written: Mapping[str, Any], sweep: Sweep, cfg: config.Sweep, home: Folder) -> str:
    """Give the sweep to the server; its name there, `entity/project/id`."""
    path = home.path / "wandb.yaml"
    text = yaml.safe_dump(dict(written), sort_keys=False, allow_unicode=True)
    sidecar.write_aside(path, lambda out: out.write(text.encode()))
    words = [sys.executable, "-m", "wandb", "sweep", "--project", _project(sweep, cfg), str(path)]
    env = {**os.environ, "WANDB_DIR": str(home.path.resolve())}
    how: dict[str, Any] = {"env": env, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(words, **how, timeout=ANSWER, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"engine: no answer from W&B within {ANSWER} s; engine=local needs none") from None
    said = _COLOUR.sub("", done.stdout + done.stderr)
    found = re.search(r"wandb agent (.+)", said)
    if done.returncode or not found:
        lines = [line.removeprefix("wandb: ") for line in said.splitlines() if line.strip()]
        raise ValueError(f"{path}: W&B refused the sweep: {' '.join(lines[-3:])[-300:] or 'it said nothing'}")
    if seen := re.search(r"View sweep at: (\S+)", said):
        show.talk(f"W&B: {seen[1]}")
    name = found[1].strip().strip("'\"")
    sidecar.write_aside(_record(home), lambda out: out.write(json.dumps({"sweep": name}).encode()))
    return name


def _started(path: str, cfg: config.Sweep, home: Folder) -> Agent:
    """One agent, in a session of its own, so that Ctrl-C reaches it through us alone."""
    number = len(list((home.path / "agents").glob("*"))) + 1
    place = home.path / "agents" / str(number)
    place.mkdir(parents=True)
    threads = str(threads_of(cfg))
    libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    env = {
        **os.environ,
        **dict.fromkeys(libraries, threads),
        # `python` of the trials is then this one, whatever is activated
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "WANDB_DIR": str(place.resolve()),
        # it would give up after three trials that fail early; how many may fail is `max_failures`
        "WANDB_AGENT_DISABLE_FLAPPING": "true",
        "WANDB_AGENT_MAX_INITIAL_FAILURES": str(10**9),
    }
    with (place / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "wandb", "agent", "--forward-signals", path],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Agent(place, process)


def _interrupt(agents: list[Agent], seen: Following, interrupt: KeyboardInterrupt) -> None:
    """Pass the signal on, which the agents pass on to their trials; a second one stops them at once."""
    number = signal.SIGTERM if interrupt.args == ("SIGTERM",) else signal.SIGINT
    seen.interrupted = True
    for _ in range(2):
        for agent in agents:
            agent.signal(number)
        try:
            seen.until_all_end(agents, following.PATIENCE)
            return
        except KeyboardInterrupt:
            show.talk("once more, and they stop at once")
