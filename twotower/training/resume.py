"""The state of a run, written so that it can be continued to the same last bit, and read back.

    checkpoints/runs/<run>/resume.pt = model, objective, optimizer, best weights and what they are worth,
                                       where in which epoch, history, random generators of every process

`torch.load(weights_only=True)` opens it. It is written aside and renamed: a kill leaves the one before.
"""

import hashlib
import pickle
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twotower import show
from twotower.evaluation.evaluate import Result
from twotower.model import sidecar
from twotower.training.record import environment
from twotower.training.runs import state_of
from twotower.training.session import Best, Pace, Progress, Session
from twotower.training.setup import Setup
from twotower.training.step import Sums

FORMAT = 1
"""Of the states written here; others are refused."""
EXACT = ("twotower", "commit", "torch", "numpy", "platform", "device", "threads")
"""What must be as it was for a continued run to end with the same last bits."""
SHARE = 0.02
"""Of the time of the steps, what writing states may cost; the first is written whatever it costs."""


class Saver:
    """Writes a session's state when it is due and paid for, and when the run is asked to stop."""

    def __init__(self, session: Session, pace: Pace | None = None) -> None:
        self.session, self.pace = session, pace
        self._mark = self._written = time.perf_counter()
        self._steps = 0
        self._dearest = 0.0
        self._fails = False

    def begin(self) -> None:
        """Steps follow."""
        self._mark = time.perf_counter()

    def after(self) -> None:
        """A step was taken; raises KeyboardInterrupt, the state being written, if the run is to stop."""
        self._tick()
        self._steps += 1
        cfg = self.session.cfg
        wanted = bool(cfg.resume_steps) and self._steps % cfg.resume_steps == 0
        minutes = (self._mark - self._written) / 60
        self._turn(wanted or (0 < cfg.resume_minutes <= minutes and self._paid()))
        self._mark = time.perf_counter()

    def between(self) -> None:
        """An epoch is over, its evaluation too; as `after`."""
        # before the first step a run starts over as fast, after the last little is left
        self._turn(1 < self.session.progress.epoch <= self.session.cfg.epochs and self._paid())

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """An evaluation goes on within; its time is in the estimate."""
        started = time.perf_counter()
        yield
        if self.pace:
            self.pace.evaluation = time.perf_counter() - started

    def write(self) -> None:
        """Write the state now, on all processes together; a disk that refuses is said once."""
        started = time.perf_counter()
        content = state(self.session)  # every process gives its random generator
        if self.session.group.leads:
            try:
                sidecar.write_aside(state_of(self.session.run), lambda file: torch.save(content, file))
            except OSError as error:
                if not self._fails:
                    show.talk(f"{error.filename}: not written ({error.strerror}); the state before it stays")
                self._fails = True
        self._written = time.perf_counter()
        cost = self._written - started
        self._dearest = max(self._dearest, cost)
        self.session.progress.saving += cost

    def _tick(self) -> None:
        now = time.perf_counter()
        self.session.progress.count(now - self._mark)
        self._mark = now
        if self.pace and self.session.group.leads and (line := self.pace.step()):
            show.talk(line)

    def _paid(self) -> bool:
        progress = self.session.progress
        return not self._dearest or progress.saving + self._dearest <= SHARE * progress.seconds

    def _turn(self, due: bool) -> None:
        """Write if it is `due`, or any process is asked to stop; the clock of the leader counts."""
        group, stop = self.session.group, self.session.stop
        if not group.any(bool(stop.asked) or (due and group.leads)):
            return
        asked = group.any(bool(stop.asked))
        if asked:
            stop.check(asked)  # the command writes the state, wherever a clean stop came from
        self.write()


def state(session: Session) -> dict[str, Any]:
    """Everything that continuing needs and that the knobs and the collection do not give; plain types."""
    progress, best = session.progress, session.best
    model = session.work.retriever.two_tower.state_dict()
    fresh = best.result is not None and _is_now(session)
    return {
        "format": FORMAT,
        "run": session.run.name,
        "processes": session.group.size,
        "environment": environment(),
        "generators": _generators(session),
        "progress": asdict(progress),
        "model": model,
        "stepper": session.stepper.state(),
        "best": model if fresh else best.weights,  # one tensor twice is stored once
        "result": None if best.result is None else _plain(best.result),
        "wandb_id": session.wandb_id,
    }


def _is_now(session: Session) -> bool:
    """Whether the weights of the model are the best: no step was taken since."""
    weights = session.work.retriever.two_tower.state_dict()
    best = session.best.weights
    return all(torch.equal(value, best[name]) for name, value in weights.items())


def restore(session: Session, content: Mapping[str, Any]) -> None:
    """Put a state that was read back into a session that was built with the same knobs.

    Raises ValueError where it is of another run or of another number of processes.
    """
    group = session.group
    if (content["run"], content["processes"]) != (session.run.name, group.size):
        raise ValueError(
            f"{state_of(session.run)}: of run {content['run']} on {content['processes']} processes, "
            f"want {session.run.name} on {group.size}"
        )
    session.work.retriever.two_tower.load_state_dict(content["model"])
    session.stepper.restore(content["stepper"])
    said = dict(content["progress"])
    session.progress = Progress(**(said | {"sums": Sums(**said["sums"])}))
    # clones: they may share their storage with the model's
    device = device_of(session)
    weights = {name: value.to(device, copy=True) for name, value in content["best"].items()}
    result = content["result"]
    session.best = Best(weights, None if result is None else _result(result))
    session.wandb_id = content["wandb_id"]
    session.progress.changes += _elsewhere(content["environment"])
    _seed(content["generators"], session)


def _elsewhere(then: Mapping[str, Any]) -> list[str]:
    """What is another about the machine or the program, by which the last bits may differ."""
    now = environment()
    changed = [name for name in EXACT if then.get(name) != now.get(name)]
    return [f"{name}: {then.get(name)} -> {now.get(name)}" for name in changed]


def device_of(session: Session) -> torch.device:
    """Where the model lies."""
    return next(session.work.retriever.two_tower.parameters()).device


def read(path: Path) -> dict[str, Any]:
    """A state's content, every checksum verified, nothing in it executed.

    Raises ValueError where it is damaged, foreign or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(
                f"{path}: damaged, the checksum of {damaged} does not match; delete it to start over"
            )
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path}: not a whole state ({error}); delete it to start over") from None
    except (pickle.UnpicklingError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: refused, nothing in it was executed: {reason}") from None
    got = content.get("format") if isinstance(content, dict) else None
    if got != FORMAT:
        raise ValueError(
            f"{path}: format {got}, want {FORMAT}; delete it to start over, or take the version before"
        )
    return dict(content)


def data_of(work: Setup) -> dict[str, str]:
    """Hashes of what a run is trained on: collection and vocabulary."""
    words = hashlib.sha256("\n".join(work.retriever.vocab.words).encode())
    return {"collection": work.collection.hash, "vocabulary": words.hexdigest()}


def _plain(result: Result) -> dict[str, Any]:
    return {
        "metrics": dict(result.metrics),
        "per_query": {name: torch.from_numpy(values) for name, values in result.per_query.items()},
        "query_rows": torch.from_numpy(result.query_rows),
        "queries": result.queries,
        "judged": result.judged,
    }


def _result(said: Mapping[str, Any]) -> Result:
    return Result(
        metrics=dict(said["metrics"]),
        per_query={name: values.numpy() for name, values in said["per_query"].items()},
        query_rows=said["query_rows"].numpy(),
        queries=said["queries"],
        judged=said["judged"],
    )


def _generators(session: Session) -> dict[str, Tensor]:
    """States of torch's generators, a row a process."""
    group, own = session.group, {"cpu": torch.get_rng_state()}
    match device_of(session).type:
        case "cuda":
            own["cuda"] = torch.cuda.get_rng_state(device_of(session))
        case "mps":
            own["mps"] = torch.mps.get_rng_state()
    return {name: group.gather(state[None].to(group.device), group.size).cpu() for name, state in own.items()}


def _seed(states: Mapping[str, Tensor], session: Session) -> None:
    """Put each generator back that this device has."""
    own, device = session.group.rank, device_of(session)
    torch.set_rng_state(states["cpu"][own].clone())
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"][own].clone(), device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"][own].clone())
