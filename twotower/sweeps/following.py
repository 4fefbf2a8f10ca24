"""W&B's agents of this machine as they work: which trials they began, and how each of them ended.

An agent says neither, but writes down what it is told to run, one trial after the other, and each trial's run
keeps a record of its own.
"""

import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from twotower import config, show
from twotower.sweeps import live, outcome, plain
from twotower.sweeps.file import Sweep
from twotower.sweeps.folder import Folder, Result, Trial
from twotower.sweeps.live import Live, Shown, State
from twotower.sweeps.outcome import Goal
from twotower.sweeps.summary import Summary

PATIENCE = 60.0
"""Seconds that interrupted trials have to write down where they are."""
_SETTLED = 1.0
"""Seconds after which a file that an agent writes is taken to be whole."""
_START = b"Agent starting run with config:"
"""Where in an agent's log a trial begins."""
_OTHERS = re.compile(r"\t|wandb: |\d{4}-\d\d-\d\d [\d:,]+ - wandb|\s*$")
"""Lines of a log that are the agent's, and not the trial's."""


@dataclass(frozen=True)
class Begun:
    """A trial that an agent has begun."""

    trial: Trial
    """Its `key` is W&B's id of the run."""
    began: float


@dataclass(eq=False)
class Agent:
    """One agent, and the trials that it has begun so far."""

    place: Path
    process: "subprocess.Popen[bytes]"
    begun: list[Begun] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What it and its trials say."""
        return self.place / "log.txt"

    @property
    def works(self) -> bool:
        return self.process.poll() is None

    def told(self) -> list[Path]:
        """What the server told it to run, the first first."""
        files = [path for path in self.place.glob("wandb/sweep-*/config-*.yaml") if path.is_file()]
        whole = [path for path in files if not self.works or _age(path) > _SETTLED]
        return sorted(whole, key=lambda path: path.stat().st_mtime_ns)

    def said(self) -> bytes:
        """What the latest trial that is known to have begun said, with what the agent says to it."""
        _, *parts = self.log.read_bytes().split(_START)
        place = len(self.begun) - 1
        return parts[place] if place < len(parts) else self.log.read_bytes()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """Leave no agent behind; it has had its time to end its trial."""
        if self.works:
            self.process.kill()
        self.process.wait()


class Following:
    """The agents of one sweep, followed."""

    def __init__(self, sweep: Sweep, cfg: config.Sweep, folder: Folder, goal: Goal, total: int) -> None:
        self._cfg, self._folder, self._goal, self._total = cfg, folder, goal, total
        self._swept = {name: one for name, one in sweep.parameters.items() if len(one.ends()) > 1}
        self._results = folder.results()
        self._failures = 0
        self.interrupted = False
        """Whether the user stopped the sweep."""

    def until_all_end(self, agents: Iterable[Agent], patience: float | None = None) -> None:
        """Follow the agents to their end, `patience` seconds at the longest; stop them if too much fails."""
        until = None if patience is None else time.monotonic() + patience
        with Live(self._goal, self._swept) as board:
            while True:
                working = [agent for agent in agents if agent.works]
                for agent in agents:
                    self._look(agent, board)
                board.draw(self._state(working))
                if not working or (until is not None and time.monotonic() > until):
                    return
                if 0 < self._cfg.max_failures <= self._failures and until is None:
                    show.talk(
                        f"stopped: {self._failures} trials failed, max_failures={self._cfg.max_failures}"
                    )
                    until = time.monotonic() + PATIENCE
                    for agent in working:
                        agent.signal(signal.SIGTERM)
                time.sleep(live.EVERY)

    def summary(self) -> Summary:
        """What it all came to, as far as it came about here."""
        return Summary(self._folder, self._goal, self._results, {}, self._swept, self._total)

    def _look(self, agent: Agent, board: Live) -> None:
        """Trials that began since, and those that ended by that; the last ends with its agent."""
        works = agent.works
        for path in agent.told()[len(agent.begun) :]:
            if agent.begun:
                self._end(agent, board)
            self._begin(agent, path)
        if not works and agent.begun:
            self._end(agent, board)

    def _begin(self, agent: Agent, path: Path) -> None:
        told, _ = plain.load(path.read_text(encoding="utf-8"))
        point = {knob: one["value"] for knob, one in told.items() if isinstance(one, dict) and "value" in one}
        number = len(self._folder.planned())
        key = path.stem.removeprefix("config-")
        self._folder.plan(trial := Trial(number, point, key))
        agent.begun.append(Begun(trial, time.monotonic() - _age(path)))

    def _end(self, agent: Agent, board: Live) -> None:
        """The latest trial of an agent has ended, if that is news."""
        begun = agent.begun[-1]
        number = begun.trial.number
        if number in self._results:
            return
        said = agent.said()
        self._folder.log(number).write_bytes(said)
        found = self._recorded(begun)
        if found.run:
            self._folder.name_run(number, found.run)
        if not found.ended and not self.interrupted:
            lines = [line for line in said.decode(errors="replace").splitlines() if not _OTHERS.match(line)]
            found = replace(found, status="failed", why=lines[-1].strip() if lines else "it said nothing")
        elif not found.ended:
            found = replace(found, why="interrupted")
        found = replace(found, seconds=round(time.monotonic() - begun.began, 2))
        self._failures += found.status == "failed"
        self._folder.end(found)
        self._results[number] = found
        board.tell(found, begun.trial.point, self._state([]))

    def _recorded(self, begun: Begun) -> Result:
        """What the record of a trial's run says."""
        home = Path(self._cfg.checkpoint_dir)
        tracked = next(home.glob(f"runs/*/wandb/*run-*-{begun.trial.key}"), None)
        run = tracked.parents[1].name if tracked else ""
        return outcome.recorded(begun.trial.number, home, run, self._goal)

    def _state(self, working: Iterable[Agent]) -> State:
        latest = [agent.begun[-1] for agent in working if agent.begun]
        going = [self._shown(one) for one in latest if one.trial.number not in self._results]
        return State(self._folder.name, self._total, going, list(self._results.values()), None)

    def _shown(self, begun: Begun) -> Shown:
        found, point = self._recorded(begun), begun.trial.point
        epochs = int(point.get("epochs", config.Train.epochs))
        return Shown(found.number, found.epochs if found.run else None, epochs, None, found.value, point)


def say_interrupted(folder: Folder, cfg: config.Sweep) -> None:
    """The trials that can be continued: to the server their points are done."""
    for result in folder.results().values():
        if not result.ended and result.run:
            show.talk(
                f"trial {result.number} was interrupted: twotower train resume={result.run}{where(cfg)}"
            )


def where(cfg: config.Sweep) -> str:
    """What a command needs to find the sweep's files."""
    folder = cfg.checkpoint_dir
    return "" if folder == "checkpoints" else f" checkpoint_dir={shlex.quote(folder)}"


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
