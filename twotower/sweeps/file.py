"""A sweep file in W&B's own format, and the same file as a W&B server gets it.

    method: bayes                                    Sweep(method=bayes,
    metric: {name: mrr_10, goal: maximize}                 metric=Metric("mrr_10", maximised=True),
    parameters:                                            parameters={
      query_tower:                              ->           "query_tower.dropout": Range(0.0, 0.5),
        parameters: {dropout: {min: 0.0, max: 0.5}}          "epochs": Choice([20])},
      epochs: {value: 20}                                  early=Hyperband(min_iter=3), run_cap=40)
    early_terminate: {type: hyperband, min_iter: 3}
    run_cap: 40

Nested blocks become dotted names. Numbers such as 1e-3, which YAML 1.1 takes for texts, are numbers here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from twotower import compose, knobs
from twotower.sweeps import plain, spec
from twotower.sweeps.space import Parameter, Steps

COMMAND = ("${env}", "${interpreter}", "-m", "twotower", "train", "${args_no_hyphens}")
"""What a W&B agent runs for each trial, where the file does not say."""

_KEYS = (
    *(
        "method",
        "metric",
        "parameters",
        "early_terminate",
        "run_cap",
        "name",
        "description",
        "project",
        "entity",
    ),
    *("program", "command", "apiVersion", "kind", "controller", "imports", "settings", "job", "image_uri"),
)
_METRIC = ("name", "goal", "target", "impute", "impute_while_running")
_EARLY = ("type", "min_iter", "max_iter", "s", "eta", "strict")


class Method(StrEnum):
    """How points are chosen."""

    grid = "grid"
    random = "random"
    bayes = "bayes"


@dataclass(frozen=True)
class Metric:
    """What the trials are ranked by, in the words of a run's history."""

    name: str
    maximised: bool
    target: float | None = None
    """The sweep ends once a trial is as good as this."""


@dataclass(frozen=True)
class Hyperband:
    """When trials are stopped early: at each band, counted in evaluations, only the best 1/eta go on."""

    min_iter: int = 0
    """The first band; 0 where `max_iter` and `s` say it instead."""
    max_iter: int = 0
    s: int = 0
    """How many bands there are below `max_iter`."""
    eta: float = 3.0
    strict: bool = True
    """Whether a trial must be among the best 1/eta at each band, not only be better than their worst."""

    def bands(self, most: int) -> list[int]:
        """The evaluations, `most` at the latest, after which a trial may be stopped; as W&B computes them.

        >>> Hyperband(min_iter=3).bands(30), Hyperband(max_iter=27, s=2).bands(30)
        ([3, 9, 27], [3, 9])
        """
        if self.min_iter:
            found = [self.min_iter * self.eta**power for power in range(64)]
        else:
            found = [self.max_iter / self.eta**power for power in range(self.s, 0, -1)]
        return sorted({int(band) for band in found if 1 <= band <= most})


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read; where it has `faults`, what they concern is left out of the rest."""

    path: Path
    text: str
    """The file to the letter."""
    content: Mapping[str, Any]
    """The file as plain types."""
    name: str
    """As the file says, else the file's own."""
    method: Method
    metric: Metric | None
    parameters: Mapping[str, Parameter]
    """By dotted name, in the file's order."""
    early: Hyperband | None
    run_cap: int
    """Trials at most; 0 where the file does not say."""
    remarks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """What is wrong, a line each: `where: what, and what to write instead`."""


def find(name: str) -> Path:
    """The sweep file of that path, or the one of that name that comes with the package.

    Raises FileNotFoundError, naming those that come with it.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = compose.conf_dir() / "sweep"
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if path.parent.as_posix() in (".", "conf/sweep") and path.stem in known and path.suffix in ("", ".yaml"):
        return known[path.stem]
    near = knobs.nearest(path.stem, known)
    raise FileNotFoundError(f"{name}: no such sweep file{near} (the package has {', '.join(known)})")


def read(path: Path) -> Sweep:
    """The sweep that a file describes, its faults collected.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML, or no mapping.
    """
    try:
        text = path.read_bytes().decode()
        content, remarks = plain.load(text)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text in UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: not a sweep file, want method: and parameters:")
    faults = list(_strange("", content, _KEYS))
    if "scheduler" in content:
        faults.append("scheduler: needs code of its own; want method: grid, random or bayes")
    return Sweep(
        path=path,
        text=text,
        content=content,
        name=str(content.get("name") or path.stem),
        method=_method(content.get("method"), faults),
        metric=_metric(content.get("metric"), faults),
        parameters=_parameters(content.get("parameters"), faults),
        early=_early(content.get("early_terminate"), faults),
        run_cap=_whole("", content, "run_cap", faults),
        remarks=tuple(remarks),
        faults=tuple(faults),
    )


def written(sweep: Sweep) -> dict[str, Any]:
    """The file as a W&B server should get it: plain types, dotted names, numbers as numbers, a `command`.

    A grid's steps are written out as values, for the server would leave out the last one.
    """
    made = {key: value for key, value in sweep.content.items() if key != "parameters"}
    entries = dict(_flat(sweep.content.get("parameters") or {}))
    for name, parameter in sweep.parameters.items():
        if isinstance(parameter, Steps) and sweep.method is Method.grid:
            entries[name] = {"values": parameter.grid()}
        elif isinstance(parameter, Steps) and not parameter.even:
            entries[name] = {**entries[name], "q": parameter.q}
    return {
        **made,
        "name": sweep.name,
        "program": made.get("program") or "twotower",
        "command": list(made.get("command") or COMMAND),
        "parameters": entries,
    }


def _flat(entries: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Entries of `parameters` by dotted name."""
    for key, content in entries.items():
        if isinstance(content, Mapping) and isinstance(content.get("parameters"), Mapping):
            yield from _flat(content["parameters"], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", content


def _parameters(entries: Any, faults: list[str]) -> dict[str, Parameter]:
    if not isinstance(entries, Mapping) or not entries:
        faults.append("parameters: missing; write parameters: and below it each knob with its values")
        return {}
    made: dict[str, Parameter] = {}
    names: list[str] = []
    for name, content in _flat(entries):
        try:
            if name in names:
                raise ValueError("stands twice, nested and with dots; want one of them gone")
            names.append(name)
            made[name] = spec.parameter(name, content)
        except ValueError as error:
            faults.append(f"parameters.{name}: {error}")
    return made


def _method(got: Any, faults: list[str]) -> Method:
    words = [method.value for method in Method]
    if got not in words:
        near = knobs.nearest(str(got), words)
        what = "missing" if got is None else f"got {got!r}"
        faults.append(f"method: {what}, want {' or '.join(words)}{near}")
        return Method.random
    return Method(got)


def _metric(got: Any, faults: list[str]) -> Metric | None:
    if got is None:
        return None
    if not isinstance(got, Mapping) or not isinstance(got.get("name"), str):
        faults.append(f"metric: got {got!r}; write metric: {{name: mrr_10, goal: maximize}}")
        return None
    faults += _strange("metric.", got, _METRIC)
    goal, target = got.get("goal"), got.get("target")
    if goal is None:
        faults.append("metric.goal: missing, and W&B would minimise; write goal: maximize or goal: minimize")
    elif goal not in ("maximize", "minimize"):
        near = knobs.nearest(str(goal), ("maximize", "minimize"))
        faults.append(f"metric.goal: got {goal!r}, want maximize or minimize{near}")
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        faults.append(f"metric.target: got {target!r}, want a number")
        target = None
    return Metric(got["name"], goal == "maximize", target)


def _early(got: Any, faults: list[str]) -> Hyperband | None:
    if got is None:
        return None
    where = "early_terminate"
    if not isinstance(got, Mapping) or got.get("type") != "hyperband":
        faults.append(f"{where}: got {got!r}; write {where}: {{type: hyperband, min_iter: 3}}")
        return None
    faults += _strange(f"{where}.", got, _EARLY)
    if "min_iter" not in got and not {"max_iter", "s"} <= got.keys():
        faults.append(f"{where}: neither min_iter nor max_iter and s; write min_iter: 3, the first band")
    eta, strict = got.get("eta", 3), got.get("strict", True)
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not eta > 1:
        faults.append(f"{where}.eta: got {eta!r}, want a number above 1, such as 3")
        eta = 3
    if not isinstance(strict, bool):
        faults.append(f"{where}.strict: got {strict!r}, want true or false")
    low, high, s = (_whole(f"{where}.", got, key, faults) for key in ("min_iter", "max_iter", "s"))
    return Hyperband(low, high, s, eta, bool(strict))


def _whole(where: str, content: Mapping[Any, Any], key: str, faults: list[str]) -> int:
    """A count, or 0 where there is none."""
    got = content.get(key)
    if got is None or (type(got) is int and got > 0):
        return got or 0
    faults.append(f"{where}{key}: got {got!r}, want a whole number from 1 on")
    return 0


def _strange(where: str, got: Mapping[Any, Any], known: tuple[str, ...]) -> Iterator[str]:
    for key in got:
        if key not in known:
            near = knobs.nearest(str(key), known) or f", which has {', '.join(known)}"
            yield f"{where}{key}: no key of a sweep file{near}"
