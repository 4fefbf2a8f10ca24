"""Names of checkpoints: `@best`, `@latest`, `@mrr_10`, a run's name, a path; from sidecars alone.

`hf://user/name` is one on the Hugging Face hub (`twotower.model.remote`).

A sidecar that cannot be read is not an error here: `listing` says which and why.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from twotower.evaluation.metrics import canonical
from twotower.evaluation.protocol import Protocol
from twotower.model import remote, sidecar


@dataclass(frozen=True, eq=False)
class Entry:
    """A checkpoint of a folder with what its sidecar says."""

    path: Path
    content: Mapping[str, Any]

    @property
    def run(self) -> str:
        return str(self.content.get("run", self.path.stem))

    @property
    def created(self) -> str:
        """ISO 8601 time at which the run began."""
        return str(self.content.get("created", ""))

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Metrics of the kept weights, empty where they were never evaluated."""
        return _numbers("eval_results", self.part("eval_results"))

    @cached_property
    def floors(self) -> dict[str, dict[str, float]]:
        """Metrics of the floors that were scored beside it."""
        return {name: _numbers(f"floors: {name}", metrics) for name, metrics in self.part("floors").items()}

    @cached_property
    def protocol(self) -> Protocol | None:
        """What the metrics were measured on."""
        stored = self.part("protocol")
        return Protocol.from_dict(stored) if stored else None

    def part(self, key: str) -> Mapping[str, Any]:
        """An object within the sidecar, empty where there is none; ValueError where something else is."""
        return _object(key, self.content.get(key) or {})

    def check(self) -> "Entry":
        """The entry itself; raises ValueError for a sidecar whose parts are not what they should be."""
        for key in ("training_stats", "cost", "file"):
            self.part(key)
        self.metrics, self.floors, self.protocol  # noqa: B018  - read for their errors
        return self

    def fits(self, *, source: Mapping[str, Any] | None = None, split: str = "", candidates: str = "") -> bool:
        """Whether it was measured on the collection read from `source`, on `split`, ranking `candidates`.

        The last is full or own; what is left out may be any.
        """
        own, protocol = self.part("data").get("source") or {}, self.protocol
        same = all(own.get(key) == value for key, value in (source or {}).items())
        said = (protocol.split, protocol.kind) if protocol else ("", "")
        return same and split in ("", said[0]) and candidates in ("", said[1])

    def place(self, metric: str) -> tuple[float, str, str]:
        """Sorts entries best first; of equals the earlier run."""
        return -self.metrics[metric], self.created, self.run


def _object(what: str, stored: Any) -> Mapping[str, Any]:
    if not isinstance(stored, Mapping):
        raise ValueError(f"{what}: got {type(stored).__name__}, want a JSON object")
    return stored


def _numbers(what: str, stored: Any) -> dict[str, float]:
    """`stored` itself, if it is numbers by name."""
    for name, value in _object(what, stored).items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"{what}: {name} is {value!r}, want a number")
    return dict(stored)


def label(protocol: Protocol) -> str:
    """A protocol in a line of text; its key tells apart what the title does not."""
    return f"{protocol} ({protocol.key})"


@dataclass(frozen=True, eq=False)
class Listing:
    """The checkpoints of a folder, and (file name, why) for those that cannot be used."""

    folder: Path
    entries: list[Entry]
    problems: list[tuple[str, str]]
    others: int = 0
    """Files of further weights that `keep=` left, which only their paths name."""

    def remarks(self) -> list[str]:
        """What is to be said of what is not listed."""
        said = f"{self.others} files of further epochs stand aside, each run's best alone is ranked"
        return [f"{said}; a path names one of them"] if self.others else []


def listing(folder: Path) -> Listing:
    """The checkpoints of `folder`, of each run its best; raises as `sidecar.checkpoints` does."""
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    paths = sidecar.checkpoints(folder)
    ranked = [path for path in paths if sidecar.kind_of(path) == sidecar.BEST]
    for path in ranked:
        try:
            entries.append(Entry(path, sidecar.read(path)).check())
        except (ValueError, OSError) as error:
            problems.append((path.name, " ".join(str(error).split())))
    return Listing(folder, entries, problems, len(paths) - len(ranked))


def find(
    name: str,
    folder: Path,
    *,
    source: Mapping[str, Any] | None = None,
    split: str = "",
    candidates: str = "",
) -> Path:
    """The checkpoint file that `name` means.

    Where `@best` would compare several protocols, those of the collection read from `source`, of `split` and
    of `candidates` (full or own) are chosen among, if there are any.

    Raises:
        FileNotFoundError: no such file, run or folder, or no checkpoint to choose from.
        ValueError: several runs have that name, or `@best` would compare several protocols.
    """
    if not name.startswith("@"):
        return _by_path(name, folder)
    found = listing(folder)
    if not found.entries:
        why = "".join(f"; {file}: {reason}" for file, reason in found.problems[:3])
        raise FileNotFoundError(
            f"checkpoint={name}: no checkpoint in {folder}{why}; `twotower train` makes one"
        )
    if name == "@latest":
        return max(found.entries, key=lambda entry: (entry.created, entry.path.name)).path
    metric = canonical("mrr_10" if name == "@best" else name[1:])
    scored = [entry for entry in found.entries if metric in entry.metrics and entry.protocol]
    if not scored:
        raise FileNotFoundError(f"checkpoint={name}: no checkpoint in {folder} has {metric}")
    for wanted in ({"source": source}, {"split": split}, {"candidates": candidates}):
        if len(_protocols(scored)) > 1:
            scored = [entry for entry in scored if entry.fits(**wanted)] or scored
    if len(protocols := _protocols(scored)) > 1:
        titles = "; ".join(label(protocol) for protocol in protocols.values())
        raise ValueError(
            f"checkpoint={name}: {len(protocols)} protocols, whose numbers do not compare: {titles}; "
            "name a run, or say data=..."
        )
    return min(scored, key=lambda entry: entry.place(metric)).path


def _protocols(entries: Iterable[Entry]) -> dict[str, Protocol]:
    return {entry.protocol.key: entry.protocol for entry in entries if entry.protocol}


def _by_path(name: str, folder: Path) -> Path:
    if name.startswith(remote.PREFIX):
        return remote.fetch(name)
    path = Path(name)
    for place in (path, folder / path):
        if place.is_file():
            return place
    entries = listing(folder).entries if folder.is_dir() else []
    matches = [entry for entry in entries if entry.run == name]
    matches = matches or [entry for entry in entries if entry.run.rsplit("-", 1)[0] == name]
    if len(matches) > 1:
        runs = ", ".join(entry.run for entry in matches[:5])
        raise ValueError(f"checkpoint: {len(matches)} runs are named {name!r}; say which: {runs}")
    if not matches and path.is_dir():
        raise IsADirectoryError(
            f"checkpoint: {path}: a folder, want a checkpoint file, a run's name or @best"
        )
    if not matches:
        raise FileNotFoundError(f"checkpoint: {name}: no such file, and no run of that name in {folder}")
    return matches[0].path
