"""Runs on disk, the ended and those to be continued: who they are and with what knobs; read without torch.

checkpoints/runs/first-3fa2b1/run.json       name, time, knobs, hashes of the data, how it ended
checkpoints/runs/first-3fa2b1/resume.pt      the state to resume from, deleted when the run ends
checkpoints/runs/first-3fa2b1/metrics.jsonl  its history
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from twotower import knobs
from twotower.config import Scheduler, Train
from twotower.model import sidecar
from twotower.model.sidecar import Run

try:
    import fcntl
except ImportError:  # Windows has none; two processes there may continue one run
    fcntl = None  # type: ignore[assignment]

LATEST = "@latest"
PRUNED = "pruned"
"""How the word on the end of a run begins that its sweep has stopped for good."""
WITHOUT_EFFECT = (
    *("checkpoint_dir", "cache_dir", "data.path", "name", "resume", "resume_minutes", "resume_steps"),
    *("judgements", "keep", "tracking", "project", "artifact", "num_workers", "threads"),
)
"""Knobs that change nothing in what a run learns: collection and judgements are compared by hash, and
the threads by how many there are in the end."""
LAST_BITS = ("device",)
"""Knobs that change the order of sums, and with it the last bits of a result."""


@dataclass(frozen=True)
class Known:
    """A run that began here before."""

    run: Run
    knobs: Mapping[str, Any]
    """In plain types, as `knobs.plain` gives them."""
    data: Mapping[str, str]
    """Content hashes of what it is trained on."""
    ended: str
    """How it ended; empty while it may be continued."""


def file_of(run: Run) -> Path:
    """The run's own record."""
    return run.scratch / "run.json"


def state_of(run: Run) -> Path:
    """The state to continue from."""
    return run.scratch / "resume.pt"


def write(known: Known) -> None:
    """Write, or replace, a run's record."""
    run = known.run
    content = {
        "run": run.name,
        "began": run.began.isoformat(),
        "knobs": known.knobs,
        "data": known.data,
        "ended": known.ended,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    sidecar.write_aside(file_of(run), lambda file: file.write(text.encode()))


def read(path: Path) -> Known:
    """The record of a run; ValueError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        began = datetime.fromisoformat(content["began"])
        run = Run(path.parents[2], str(content["run"]), began)
        return Known(run, dict(content["knobs"]), dict(content["data"]), str(content["ended"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a run's record ({type(error).__name__}: {error})") from None


def find(folder: Path, name: str) -> Known:
    """The run to continue: by its whole name, by the one it was given, or the latest that has not ended.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it has ended, its record is damaged, or several have that name.
    """
    paths = {path.parent.name: path for path in sorted((folder / "runs").glob("*/run.json"))}
    if name in paths:
        return _going(read(paths[name]))
    found = [known for known in map(_readable, paths.values()) if known]
    open_ones = [known for known in found if not known.ended]
    if name == LATEST:
        if not open_ones:
            raise FileNotFoundError(f"resume: no run in {folder} is left to continue")
        return max(open_ones, key=lambda known: known.run.began)
    fitting = [known for known in found if known.run.name.rsplit("-", 1)[0] == name]
    going = [known for known in fitting if not known.ended]
    if len(going) > 1:
        runs = ", ".join(known.run.name for known in going[:5])
        raise ValueError(f"resume: {len(going)} runs are named {name!r}; say which: {runs}")
    if not fitting:
        known_names = [known.run.name for known in open_ones or found]
        hint = knobs.nearest(name, [*known_names, *(one.rsplit("-", 1)[0] for one in known_names)])
        raise FileNotFoundError(f"resume: no run {name} in {folder}{hint}")
    return _going((going or fitting)[-1])


def _readable(path: Path) -> Known | None:
    try:
        return read(path)
    except (ValueError, OSError):
        return None


def _going(known: Known) -> Known:
    """The run itself; raises ValueError if it has ended."""
    if known.ended:
        raise ValueError(
            f"resume: {known.run.name} has ended ({known.ended}); its checkpoint is {known.run.checkpoint}"
        )
    return known


def stored(words: Sequence[str]) -> knobs.Stored | None:
    """The knobs of the run that `words` want to continue, None if they want none.

    The run is looked for in `checkpoint_dir`, wherever that was when it began. Raises as `find` does.
    """
    typed = knobs.split(words)[1]
    if not typed.get("resume"):
        return None
    known = find(Path(typed.get("checkpoint_dir", Train.checkpoint_dir)), typed["resume"])
    try:
        kept = knobs.stored(Train, known.knobs)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file_of(known.run)}: {error}; the version that wrote it continues it") from None
    return knobs.Stored(
        kept.groups, {name: value for name, value in kept.values.items() if name != "checkpoint_dir"}
    )


@dataclass(frozen=True)
class Changes:
    """Knobs that are others than in the run so far, a line each."""

    course: Sequence[str] = ()
    """Those that may change what the run ends with."""
    harmless: Sequence[str] = ()


def agree(known: Known, cfg: Train) -> Changes:
    """How `cfg` differs from the knobs of the run that it continues.

    Raises ValueError naming every knob that makes it another run.
    """
    changed = _changed(knobs.flat(known.knobs), knobs.flat(knobs.plain(cfg)))
    more = cfg.epochs > int(known.knobs.get("epochs", cfg.epochs))
    epochs = changed.pop("epochs") if more else ""
    refused = [line for name, line in changed.items() if name not in (*WITHOUT_EFFECT, *LAST_BITS)]
    if refused:
        raise ValueError(
            f"resume: {known.run.name} has other knobs: {'; '.join(refused)}; leave them out or start anew"
        )
    course = [line for name, line in changed.items() if name in LAST_BITS]
    course += [f"{epochs} ({_meaning(cfg)})"] if epochs else []
    return Changes(course, [line for name, line in changed.items() if name in WITHOUT_EFFECT])


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """What was and what is, by knob; without knobs of a choice that is itself another."""
    names = [name for name in now if name != "resume" and name in then and then[name] != now[name]]
    choices = tuple(name.removesuffix("kind") for name in names if name.endswith(".kind"))
    return {
        name: f"{name.removesuffix('.kind')}: {knobs.shown(then[name])} -> {knobs.shown(now[name])}"
        for name in names
        if name.endswith(".kind") or not name.startswith(choices)
    }


def same_data(known: Known, data: Mapping[str, str]) -> None:
    """Raises ValueError where the run was trained on other data."""
    for name, then in known.data.items():
        if then != data.get(name):
            raise ValueError(
                f"resume: {known.run.name}: the {name} is no longer what it was ({then[:12]}, now "
                f"{str(data.get(name))[:12]}); bring that back, or start a new run"
            )


def end(known: Known, how: str) -> None:
    """The run has ended: say how in its record, and delete its state."""
    write(replace(known, ended=how))  # first: a run without either would start over
    state_of(known.run).unlink(missing_ok=True)


def _meaning(cfg: Train) -> str:
    """What more epochs than at the start mean for the run."""
    if cfg.scheduler in (Scheduler.cosine, Scheduler.linear) or cfg.warmup:
        return f"from here on the learning rate is that of a run of {cfg.epochs} epochs"
    return "as if they had been asked for at the start"


@contextmanager
def held(run: Run, wanted: bool = True) -> Iterator[None]:
    """Let no other process work on the run meanwhile; the system ends this with the process.

    Nothing happens unless it is `wanted`. Raises ValueError if another process does.
    """
    if not wanted:
        yield
        return
    with (run.scratch / "lock").open("a+", encoding="utf-8") as file:
        if not _locked(file):
            file.seek(0)
            raise ValueError(f"resume: {run.name} is still going on, as process {file.read().strip()}")
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _locked(file: IO[str]) -> bool:
    """Lock an open file; False if another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network drive without locks
        return True
    return True
