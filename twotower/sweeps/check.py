"""Everything that can be wrong with a sweep, found before its first trial and said at once.

    parameters: {batchsize: {values: [64]}, learning_rate: {min: 0.1, max: 0.01}}
    -> mlp.yaml: parameters.batchsize: no such knob; did you mean batch_size? (...)
       mlp.yaml: parameters.learning_rate: min 0.1 is above max 0.01; write min: 0.01 and max: 0.1

Names and values are put to `twotower train` itself, under every choice of tower, loss and data that is swept;
then whole points, all of a grid or a sample, for what does not go together.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np

from twotower import compose, knobs, show
from twotower.config import GROUPS, Train
from twotower.sweeps import file, measure, space
from twotower.sweeps.file import Method, Sweep
from twotower.sweeps.space import Choice, Parameter, Point, Steps
from twotower.training import runs

POINTS = 1_000
"""Points of a grid that are looked at, each; of a larger one, and of other methods, a sample."""
SAMPLE = 200

_OWN = {
    "name": "each trial has its own",
    "sweep": "each trial has this one",
    "resume": "a trial that was killed is continued by `twotower sweep resume=NAME`",
    "project": "want project: at the top of the file",
    **{
        knob: f"want `twotower sweep FILE {knob}=...`"
        for knob in ("checkpoint_dir", "cache_dir", "tracking", "threads")
    },
}
"""Knobs that the sweep sets for its trials."""

_DORMANT: Mapping[str, tuple[str, Sequence[str]]] = {
    "step_size": ("scheduler", ["step"]),
    "gamma": ("scheduler", ["step", "plateau"]),
    "plateau_patience": ("scheduler", ["plateau"]),
    "beta2": ("optimizer", ["adamw", "adam"]),
    "vectors_dim": ("vectors", ["random", "train"]),
    **dict.fromkeys(("vectors_algorithm", "vectors_epochs", "vectors_window"), ("vectors", ["train"])),
}
"""Knobs that count under some values of another only."""


def opened(name: str, run_cap: int = 0) -> Sweep:
    """The sweep file of that name or path, found to be right; `run_cap` goes before the file's own.

    Remarks are said. Raises ValueError, after a line for each fault where there are several.
    """
    sweep = file.read(file.find(name))
    sweep = replace(sweep, run_cap=run_cap or sweep.run_cap)
    faults = list(faults_of(sweep))
    if len(faults) == 1:
        raise ValueError(f"{sweep.path}: {faults[0]}")
    for fault in faults:
        show.error(f"{sweep.path}: {fault}")
    if faults:
        raise ValueError(f"{sweep.path}: {len(faults)} faults, nothing was started")
    for remark in remarks_of(sweep):
        show.talk(f"{sweep.path}: {remark}")
    return sweep


def faults_of(sweep: Sweep) -> Iterator[str]:
    """Everything that is wrong, a line each: `where: what, and what to write instead`."""
    found = [*sweep.faults, *measure.faults_of(sweep), *_parameters(sweep)]
    yield from found
    if not found:
        yield from _points(sweep)


def remarks_of(sweep: Sweep) -> Iterator[str]:
    """What the user should know of a sweep without faults."""
    yield from sweep.remarks
    yield from measure.remarks_of(sweep)
    configs = [(point, _config(point)) for point in _some(sweep)]
    different = {_key(cfg) for _, cfg in configs}
    if sweep.method is Method.grid and len(configs) == _size(sweep) > len(different):
        yield f"{len(configs):,} points are {len(different):,} different configurations, and each runs once"
    for name, parameter in sweep.parameters.items():
        if len(parameter.ends()) > 1 and not _tells(parameter, [point for point, _ in configs[:8]]):
            yield f"parameters.{name}: changes nothing under the other choices"
        elif asleep := _asleep(name, [cfg for _, cfg in configs]):
            yield f"parameters.{name}: {asleep}"
        if len(parameter.ends()) > 1 and (name.startswith("data") or name in ("candidates", "min_grade")):
            yield f"parameters.{name}: trials that differ in it have protocols of their own, ranked apart"
    yield from _judged(sweep, configs[0][1])


def _judged(sweep: Sweep, cfg: Train) -> Iterator[str]:
    if sweep.early and not sweep.early.bands(cfg.epochs):
        yield f"early_terminate: no trial is stopped early, the first band lies beyond epochs={cfg.epochs}"
    ranked = sweep.metric and sweep.metric.name not in (measure.LOSS, measure.ACCURACY)
    if sweep.metric and ranked and sweep.metric.name != cfg.select and "select" not in sweep.parameters:
        name = sweep.metric.name
        yield f"metric.name: a trial keeps its best {cfg.select}; for {name} write select: {{value: {name}}}"


def _parameters(sweep: Sweep) -> Iterator[str]:
    """What is wrong with single names and values."""
    groups = {name: one for name, one in sweep.parameters.items() if name in GROUPS}
    unusable = {name: fault for name, one in groups.items() if (fault := _group(name, one))}
    yield from unusable.values()
    chosen = {name: one.ends() for name, one in groups.items() if name not in unusable}
    for name, parameter in sweep.parameters.items():
        if name in GROUPS:
            continue
        try:
            _check_name(name, parameter)
            for words in product(*chosen.values()):
                _check_values(parameter, dict(zip(chosen, words, strict=True)))
        except ValueError as error:
            yield f"parameters.{name}: {error}"
    if sweep.method is Method.grid:
        try:
            space.count(sweep.parameters)
        except ValueError as error:
            yield str(error)


def _group(name: str, parameter: Parameter) -> str:
    """What is wrong with a parameter that chooses a tower, a loss or the data."""
    words = [word for word in GROUPS[name] if word != "stored"]
    bad = (
        [one for one in parameter.ends() if one not in words]
        if isinstance(parameter, Choice)
        else ["a range"]
    )
    near = knobs.nearest(str(bad[0]), words) if bad else ""
    return f"parameters.{name}: got {bad[0]!r}, want {' or '.join(words)}{near}" if bad else ""


def _check_name(name: str, parameter: Parameter) -> None:
    """Raises ValueError for a name that is no knob's, or that a sweep must not set."""
    known = list(dict.fromkeys(_known()))
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", name):
        plain = re.sub(r"\W+", ".", name.replace("-", "_"))
        near = knobs.nearest(plain, known) or knobs.nearest(plain.rpartition(".")[2], known)
        raise ValueError(f"no such knob{near} (`twotower train --help` lists them)")
    if name in _OWN:
        raise ValueError(f"not to be set in a sweep file: {_OWN[name]}")
    alike = {*runs.WITHOUT_EFFECT, *runs.LAST_BITS} - {"data.path"}
    if name in alike and len(parameter.ends()) > 1:
        raise ValueError(f"changes nothing in what a run learns; write value: {parameter.ends()[0]}")


def _known() -> Iterator[str]:
    yield from GROUPS
    yield from knobs.types_of(Train)
    for group, choices in GROUPS.items():
        for kind in choices.values():
            for name in knobs.types_of(kind):
                yield from (name, f"{group}.{name}")


def _check_values(parameter: Parameter, chosen: Mapping[str, str]) -> None:
    """Raises ValueError for the first value that `train` refuses under the choices."""
    base = {**chosen, **_needed(chosen)}
    for value in parameter.ends():
        try:
            _composed({**base, parameter.name: value})
        except ValueError as error:
            raise ValueError(_said(parameter, str(error), chosen)) from None


def _needed(chosen: Mapping[str, str]) -> dict[str, str]:
    """Something for each knob without a default, so that one parameter can be looked at alone."""
    kinds = ((group, GROUPS[group][word]) for group, word in chosen.items())
    return {
        f"{group}.{one.name}": "x" for group, kind in kinds for one in fields(kind) if knobs.is_required(one)
    }


def _said(parameter: Parameter, error: str, chosen: Mapping[str, str]) -> str:
    """What `train` says, with what it means for a sweep file."""
    end = parameter.name.rpartition(".")[2]
    text = re.sub(rf"^([\w.]*\.)?{end}: ", "", error).replace("--help", "`twotower train --help`")
    if "want a whole number" in text and not isinstance(parameter, Choice):
        text += "; write distribution: int_uniform, or one with q: 1"
    elif found := re.match(r"got '(\d+)\.0', want a whole number", text):
        text += f"; write {found[1]}"
    elif text.startswith("belongs to data="):
        text += "; write data: {value: ...} beside it"
    elif text.startswith("belongs to "):
        text += f"; write {end}, which counts where a choice has it"
    elif isinstance(parameter, Steps) and parameter.value(parameter.shape().low) == 0:
        text += f"; q: {parameter.q} makes it 0"
    under = " ".join(f"{group}={word}" for group, word in chosen.items())
    return f"{text} (with {under})" if under else text


def _composed(point: Point) -> compose.Composed:
    return compose.composed("train", space.words(point))


def _config(point: Point) -> Train:
    """The knobs of a point as its run would record them; ValueError for what does not go together."""
    from twotower.training.setup import settled  # torch, a second and a half, after all that needs it not

    return settled(_composed(point).cfg)


def _size(sweep: Sweep) -> int:
    return space.count(sweep.parameters) if sweep.method is Method.grid else 0


def _some(sweep: Sweep) -> list[dict[str, Any]]:
    """Every point of a small grid; else a sample, always the same."""
    if 0 < _size(sweep) <= POINTS:
        return list(space.grid(sweep.parameters))
    rng = np.random.default_rng(0)
    return [space.sample(sweep.parameters, rng) for _ in range(SAMPLE)]


def _points(sweep: Sweep) -> Iterator[str]:
    """What is wrong with whole points: what does not go together, a metric that they do not log."""
    points = _some(sweep)
    impossible: list[str] = []
    for point in points:
        try:
            cfg = _config(point)
        except ValueError as error:
            impossible.append(f"{error} (with {_short(point)})")
            continue
        if sweep.metric and (fault := measure.unlogged(sweep.metric, cfg)):
            yield fault
            return
        if sweep.early and not cfg.eval_every_epoch:
            yield "early_terminate: nothing to go by with eval_every_epoch=false; want it true, or this gone"
            return
    if impossible:
        kind = "points" if _size(sweep) == len(points) else "sampled points"
        share = f"{len(impossible):,} of {len(points):,} {kind}"
        yield f"parameters: {share} are impossible, the first: {impossible[0]}"


def _short(point: Point) -> str:
    return " ".join(space.words(point))


def _key(cfg: Train) -> str:
    return json.dumps(knobs.plain(cfg), sort_keys=True)


def _tells(parameter: Parameter, points: Sequence[Point]) -> bool:
    """Whether the run's knobs depend on the parameter, in any of the points."""
    ends = parameter.ends()
    return any(
        _key(_config({**point, parameter.name: ends[0]}))
        != _key(_config({**point, parameter.name: ends[-1]}))
        for point in points
    )


def _asleep(name: str, configs: Sequence[Train]) -> str:
    """Why a knob counts in none of the configs; empty if it does in some."""
    other, values = _DORMANT.get(name, ("", ()))
    have = {str(getattr(cfg, other)) for cfg in configs} if other else set()
    if not other or any(value in one for one in have for value in values):
        return ""
    return (
        f"has no effect, it counts with {other}={' or '.join(values)} and there is {', '.join(sorted(have))}"
    )
