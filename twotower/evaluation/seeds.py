"""Several seeds of one configuration are one row: their mean, and the spread across seeds.

    mlp-3fa2b1 seed 0   0.281
    mlp-77ab02 seed 1   0.289    ->    mlp (3 seeds)   0.285, spread 0.004
    mlp-c0ffee seed 2   0.285

The difference between two seeds is luck that comes on top of the luck of the queries: a row of several seeds
has less of it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from twotower.evaluation.row import Row, config_of, part, ranked
from twotower.model.sidecar import BEST

NOT_LEARNT = {
    *(
        "seed",
        "name",
        "sweep",
        "checkpoint_dir",
        "cache_dir",
        "keep",
        "resume",
        "resume_minutes",
        "resume_steps",
    ),
    *("tracking", "project", "artifact", "device", "threads", "num_workers", "floors", "k"),
}
"""Knobs that say where a run goes and what is kept of it, not what it learns."""


def configuration(content: Mapping[str, Any]) -> str | None:
    """What two runs of one configuration share, from a sidecar's content; None where that is not known.

    Every knob but the seed and `NOT_LEARNT`, and the collection by its content, not by its folder.
    """
    config = config_of(content)
    if not isinstance(config.get("seed"), int) or content.get("kept", BEST) != BEST:
        return None
    knobs = {name: value for name, value in config.items() if name not in NOT_LEARNT}
    data, stored = knobs.get("data"), part(content, "data")
    if isinstance(data, Mapping) and stored.get("hash"):
        knobs["data"] = {name: value for name, value in data.items() if name != "path"} | {
            "hash": stored["hash"]
        }
    return json.dumps(knobs, sort_keys=True, default=str)


def join(rows: Sequence[Row], metric: str) -> list[Row]:
    """The rows of a group, several seeds of a configuration joined; others as they are.

    Of two runs with the same seed the later one counts, the other stands alone.
    """
    groups: dict[str, dict[int | None, Row]] = {}
    alone: list[Row] = []
    for row in sorted(rows, key=lambda row: str(row.more.get("created") or "")):
        key = configuration(row.content) if row.kind == "checkpoint" else None
        if key is None:
            alone.append(row)
            continue
        group = groups.setdefault(key, {})
        alone += [group[seed_of(row)]] if seed_of(row) in group else []
        group[seed_of(row)] = row
    several = [ranked(group.values(), metric) for group in groups.values() if len(group) > 1]
    alone += [row for group in groups.values() if len(group) == 1 for row in group.values()]
    stems = Counter(_stem(members) for members in several)
    return alone + [mean(members, _name(members, stems)) for members in several]


def seed_of(row: Row) -> int | None:
    """The seed that a checkpoint was trained with, None where its sidecar does not say."""
    seed = config_of(row.content).get("seed")
    return seed if isinstance(seed, int) else None


def mean(members: Sequence[Row], name: str) -> Row:
    """One row for the seeds `members`, the best first, whose checkpoint stands for it.

    Slices are shown of single seeds only.
    """
    metrics = [row.metrics for row in members]
    return replace(
        members[0],
        name=name,
        metrics=_means(metrics),
        cost=_means([row.cost for row in members]),
        geometry=_means([row.geometry for row in members]),
        leak=_leak(members),
        slices={},
        more={**members[0].more, "epoch": None},
        epochs=sum(row.epochs for row in members) if members[0].own else 1,
        intervals={},
        **_values(members),
        seeds=tuple(members),
        spread={name: stdev(each[name] for each in metrics) for name in _shared(metrics)},
    )


def _means(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(each[name] for each in several) for name in _shared(several)}


def _shared(several: Sequence[Mapping[str, float]]) -> list[str]:
    return [name for name in several[0] if all(name in each for each in several)]


def _leak(members: Sequence[Row]) -> dict[str, Any]:
    """What training has seen, if all seeds have seen the same; scores are means over the seeds."""
    parts = ("clean", "seen")
    counts = [{name: value for name, value in row.leak.items() if name not in parts} for row in members]
    if not counts[0] or any(each != counts[0] for each in counts):
        return {}
    return counts[0] | {part: _means([row.leak.get(part) or {} for row in members]) for part in parts}


def _values(members: Sequence[Row]) -> dict[str, Any]:
    """Each query's mean over the seeds; none unless all seeds have values of the same queries."""
    problem = next((row.problem for row in members if row.problem), "")
    first = members[0]
    if first.ids is None or first.values is None:
        return {"ids": None, "values": None, "problem": problem}
    order = np.argsort(first.ids)
    total = np.zeros(len(first.values))
    for row in members:
        if row.ids is None or row.values is None:
            return {"ids": None, "values": None, "problem": problem}
        other = np.argsort(row.ids)
        if not np.array_equal(row.ids[other], first.ids[order]):
            return {"ids": None, "values": None, "problem": f"{row.name}: another seed has other queries"}
        total[order] += row.values[other]
    return {"values": total / len(members), "problem": ""}


def _stem(members: Iterable[Row]) -> str:
    """What the names of the seeds' runs share: their own name, if all have one."""
    names = {row.name.rpartition("-")[0] or row.name for row in members}
    return names.pop() if len(names) == 1 else ""


def _name(members: Sequence[Row], stems: Mapping[str, int]) -> str:
    stem = _stem(members)
    if stem and stems[stem] == 1:
        return f"{stem} ({len(members)} seeds)"
    others = len(members) - 1
    return f"{members[0].name} and {others} more seed{'s' if others > 1 else ''}"
