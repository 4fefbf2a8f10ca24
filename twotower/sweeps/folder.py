"""A sweep's folder: what it runs, with what settings, and what became of each trial.

checkpoints/sweeps/weekend/sweep.yaml              the file as it was read
checkpoints/sweeps/weekend/settings.json           the knobs of `twotower sweep`
checkpoints/sweeps/weekend/study.journal           Optuna's study, unless `storage` says where else
checkpoints/sweeps/weekend/trials/7/point.json     knobs and hash of a trial; written before it starts
checkpoints/sweeps/weekend/trials/7/run            name of its run; written before the run trains
checkpoints/sweeps/weekend/trials/7/log.txt        what it said
checkpoints/sweeps/weekend/trials/7/result.json    how it ended; a trial without goes on with `resume=weekend`
"""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

from twotower import config, knobs
from twotower.model import sidecar

KEPT = ("run_cap", "seed", "jobs", "threads", "max_failures", "storage", "cache_dir", "tracking", "project")
"""Knobs that a sweep which goes on keeps where nothing else is typed."""


@dataclass(frozen=True)
class Trial:
    """A configuration that a sweep runs."""

    number: int
    point: Mapping[str, Any]
    key: str
    """Hash of the resolved configuration."""


@dataclass(frozen=True)
class Result:
    """How a trial ended."""

    number: int
    status: str
    """`done`, `pruned`, `failed`, or `killed`: by the system, and may be continued."""
    value: float | None = None
    """The best that was evaluated."""
    run: str = ""
    evaluations: int = 0
    epochs: int = 0
    seconds: float = 0.0
    """From its start to its end, those before a kill left out."""
    training: float = 0.0
    """Seconds of its training steps."""
    why: str = ""
    """What went wrong."""

    @property
    def ended(self) -> bool:
        return self.status != "killed"


@dataclass(frozen=True)
class Folder:
    """The folder `checkpoints/sweeps/<name>` of one sweep."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def file(self) -> Path:
        """The sweep file as it was read."""
        return self.path / "sweep.yaml"

    @property
    def journal(self) -> Path:
        """Optuna's study."""
        return self.path / "study.journal"

    def of(self, number: int) -> Path:
        """The folder of a trial."""
        return self.path / "trials" / str(number)

    def log(self, number: int) -> Path:
        """What a trial said."""
        return self.of(number) / "log.txt"

    def plan(self, trial: Trial) -> None:
        """Write down a trial, which may then start."""
        _write(self.of(trial.number) / "point.json", asdict(trial))

    def planned(self) -> list[Trial]:
        """Every trial, in the order of their numbers."""
        found = [_read(path, Trial) for path in self.path.glob("trials/*/point.json")]
        return sorted(found, key=lambda trial: trial.number)

    def name_run(self, number: int, run: str) -> None:
        """Write down which run is a trial's."""
        sidecar.write_aside(self.of(number) / "run", lambda file: file.write(run.encode()))

    def run_of(self, number: int) -> str:
        """The name of a trial's run; empty where none has begun."""
        path = self.of(number) / "run"
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""

    def end(self, result: Result) -> None:
        """Write down how a trial ended."""
        _write(self.of(result.number) / "result.json", asdict(result))

    def results(self) -> dict[int, Result]:
        """How each trial ended that has, by number."""
        found = [_read(path, Result) for path in self.path.glob("trials/*/result.json")]
        return {result.number: result for result in sorted(found, key=lambda result: result.number)}

    def settings(self, cfg: config.Sweep) -> config.Sweep:
        """`cfg`, and what the sweep began with where `cfg` has a default."""
        path = self.path / "settings.json"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            types = knobs.types_of(config.Sweep)
            values = {name: knobs.convert(name, str(kept[name]), types[name]) for name in KEPT}
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: not the settings of a sweep ({error})") from None
        defaults = config.Sweep()
        same = [name for name in KEPT if getattr(cfg, name) == getattr(defaults, name)]
        return replace(cfg, name=self.name, **{name: values[name] for name in same})


def create(cfg: config.Sweep, name: str, text: str) -> Folder:
    """The new folder of a sweep, named as `cfg` says, else `name` and six random characters.

    With a `storage` that several machines share, the folder may be there already.

    Raises:
        ValueError: there is a sweep of that name, or the name cannot stand in a file's name.
    """
    sidecar.check_name(cfg.name or name)
    folder = Folder(_home(cfg) / (cfg.name or f"{name}-{secrets.token_hex(3)}"))
    try:
        folder.path.mkdir(parents=True)
    except FileExistsError:
        known = folder.file.is_file()
        if known and not cfg.storage:
            raise ValueError(
                f"name: there is a sweep {folder.name} in {folder.path.parent}; "
                f"go on with it by resume={folder.name}, or take another name"
            ) from None
        if known and folder.file.read_text(encoding="utf-8") != text:
            raise ValueError(f"name: {folder.name} is the sweep of another file, {folder.file}") from None
    plain = knobs.plain(cfg)
    _write(folder.path / "settings.json", {name: plain[name] for name in KEPT})
    sidecar.write_aside(folder.file, lambda file: file.write(text.encode()))
    return folder


def find(cfg: config.Sweep) -> Folder:
    """The folder of the sweep that `cfg` wants to go on with; FileNotFoundError, with the nearest name."""
    folder = Folder(_home(cfg) / cfg.resume)
    if not folder.file.is_file():
        known = [path.parent.name for path in sorted(_home(cfg).glob("*/sweep.yaml"))]
        have = f" (there is {', '.join(known[:5])})" if known else ""
        hint = knobs.nearest(cfg.resume, [*known, *(name.rpartition("-")[0] for name in known)])
        raise FileNotFoundError(f"resume: no sweep {cfg.resume} in {folder.path.parent}{hint}{have}")
    return folder


def _home(cfg: config.Sweep) -> Path:
    return Path(cfg.checkpoint_dir) / "sweeps"


@contextmanager
def held(folder: Folder, *, shared: bool) -> Iterator[str]:
    """Let no other process of this machine be the worker whose name is given; the system ends this.

    One process alone works on a sweep, unless its storage is `shared`.

    Raises ValueError where another does.
    """
    host = socket.gethostname() if shared else "here"
    owner = ""
    for count in range(1, 1000 if shared else 2):
        worker = f"{host}-{count}"
        path = folder.path / "workers" / worker
        path.parent.mkdir(exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            if not _locked(file):
                file.seek(0)
                owner = file.read().strip()
                continue
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield worker
            return
    raise ValueError(f"sweep {folder.name} is still going on, as process {owner}")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    sidecar.write_aside(path, lambda file: file.write(text.encode()))


def _read(path: Path, kind: Any) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return kind(**{field.name: content[field.name] for field in fields(kind)})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({type(error).__name__}: {error}); delete it") from None
