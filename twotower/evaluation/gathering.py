"""Rows of the leaderboard, by protocol: what a folder's sidecars, kept evaluations and floors say; no torch.

    sidecar       first-3fa2b1, dev                                    its training's own evaluation
    evaluations/  first-3fa2b1-<dev>-....json, first-3fa2b1-<test>-....json
    ->  {dev: [Row(first-3fa2b1), ...], test: [Row(first-3fa2b1), ...]}

A checkpoint is one row under a protocol however often it was evaluated; a kept evaluation counts only while
the checkpoint is still the file that was evaluated, by its SHA-256.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.evaluation import floor_rows, results
from twotower.evaluation.names import Entry, label, listing
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.results import FOLDER, Measured
from twotower.evaluation.row import Kept, Row, config_of, measured_row, numbers, objects, part, per_query
from twotower.model import sidecar


@dataclass(frozen=True, eq=False)
class Gathered:
    """All that a folder has to compare."""

    found: int
    """Checkpoints, readable or not."""
    rows: Mapping[str, list[Row]]
    """By the protocol's key; none of them a floor."""
    floors: Mapping[str, list[Row]]
    """The floors of the same protocols, each once."""
    left_out: list[tuple[str, str]]
    """(file, why it is in no table)."""
    alarms: list[str]


def gather(folder: Path, metric: str, *, sweep: str = "", cache_dir: Path | None = None) -> Gathered:
    """Rows of a folder of checkpoints that have `metric`; of runs only those of `sweep`, if it is named.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no run is of that sweep.
    """
    found = listing(folder)
    kept, problems = results.listing(folder / FOLDER)
    problems = [(f"{FOLDER}/{name}", why) for name, why in problems]
    chosen = _of_sweep(found.entries, sweep)
    matched, outdated = _matched(folder, found.entries, [one for one in kept if one[1].kind == "checkpoint"])
    rows: dict[str, list[Row]] = {}
    left_out = [*found.problems, *problems]
    best = {entry.path.name for entry in found.entries}
    further = [entry for entry, _ in matched.values() if entry.path.name not in best]
    for entry in [*chosen, *(entry for entry in further if sweep in ("", _sweep_of(entry)))]:
        _, evaluations = matched.get(entry.path.name, (entry, []))
        made = _checkpoint_rows(entry, evaluations, metric)
        if not made:
            left_out.append((entry.path.name, _why(entry, metric)))
        for row in made:
            rows.setdefault(row.protocol.key, []).append(row)
    for row in _external_rows(kept, metric, left_out):
        rows.setdefault(row.protocol.key, []).append(row)
    floors = {key: floor_rows.known(key, found.entries, kept, metric, cache_dir) for key in rows}
    alarms = found.remarks() + ([_stale(outdated)] if outdated else [])
    return Gathered(len(found.entries) + len(found.problems), rows, floors, left_out, alarms)


def _sweep_of(entry: Entry) -> str:
    return str(config_of(entry.content).get("sweep") or "")


def _of_sweep(entries: Sequence[Entry], sweep: str) -> list[Entry]:
    if not sweep:
        return list(entries)
    chosen = [entry for entry in entries if _sweep_of(entry) == sweep]
    if not chosen:
        known = ", ".join(sorted({_sweep_of(entry) for entry in entries} - {""})) or "none"
        raise ValueError(f"sweep: no run here is of {sweep!r}; sweeps of the runs here: {known}")
    return chosen


def _matched(
    folder: Path, entries: Sequence[Entry], kept: Sequence[Kept]
) -> tuple[dict[str, tuple[Entry, list[Kept]]], list[Kept]]:
    """Kept evaluations by their checkpoint's file name, and those whose checkpoint is not there as it was."""
    named = {entry.path.name: entry for entry in entries}
    hashed = {str(entry.part("file").get("sha256")): entry for entry in entries}
    matched: dict[str, tuple[Entry, list[Kept]]] = {}
    outdated: list[Kept] = []
    for one in sorted(kept, key=lambda one: one[1].created):
        entry = named.get(one[1].checkpoint) or _further(folder / one[1].checkpoint)
        if entry is None or entry.part("file").get("sha256") != one[1].identity:
            entry = hashed.get(one[1].identity)
        if entry is None:
            outdated.append(one)
        else:
            matched.setdefault(entry.path.name, (entry, []))[1].append(one)
    return matched, outdated


def _further(path: Path) -> Entry | None:
    """Weights beside a run's best (`keep=`), or from elsewhere: in the table once evaluated by their path."""
    if not path.is_file():
        return None
    try:
        return Entry(path, sidecar.read(path)).check()
    except (ValueError, OSError):
        return None


def _stale(outdated: Sequence[Kept]) -> str:
    names = ", ".join(f"{one.name} ({one.protocol.split})" for _, one in outdated[:3])
    more = f" and {len(outdated) - 3} more" if len(outdated) > 3 else ""
    return (
        f"kept evaluations that are outdated and left out, as their checkpoint has changed or is gone: "
        f"{names}{more}; `twotower evaluate` makes them anew"
    )


def _checkpoint_rows(entry: Entry, kept: Sequence[Kept], metric: str) -> list[Row]:
    """A checkpoint's row under each protocol in which it has the metric; `kept` oldest first."""
    protocols = {one.protocol.key: one.protocol for _, one in kept}
    if entry.protocol:
        protocols[entry.protocol.key] = entry.protocol
    rows = (_checkpoint_row(entry, kept, protocol, metric) for protocol in protocols.values())
    return [row for row in rows if row]


def _checkpoint_row(entry: Entry, kept: Sequence[Kept], protocol: Protocol, metric: str) -> Row | None:
    """The newest evaluation that has the metric decides; training's own stands behind it."""
    here = [(path, one) for path, one in kept if one.protocol.key == protocol.key]
    own = entry.protocol is not None and entry.protocol.key == protocol.key
    metrics = dict(entry.metrics) if own else {}
    values_at = sidecar.per_query_of(entry.path)
    for path, one in here:
        metrics |= one.metrics
        values_at = path if metric in one.metrics else values_at
    if metric not in metrics:
        return None
    newest = here[-1][1] if here else None
    history = objects(entry.part("training_stats").get("evaluation_stats"))
    return Row(
        name=_name(entry),
        kind="checkpoint",
        protocol=protocol,
        metrics=metrics,
        checkpoint=str(entry.path),
        identity=str(entry.part("file").get("sha256") or ""),
        cost=_cost(entry, newest),
        geometry=newest.geometry if newest and newest.geometry else _geometry(history, entry) if own else {},
        leak=newest.leak if newest else {},
        slices=newest.slices if newest else {},
        more=_more(entry),
        content=entry.content,
        epochs=max(1, sum(metric in row for row in history)) if own else 1,
        own=own,
        intervals={name: ends for _, one in here for name, ends in one.intervals.items()},
        **per_query(values_at, metric, metrics[metric]),
    )


def _name(entry: Entry) -> str:
    kind = sidecar.kind_of(entry.path)
    return entry.run if kind == sidecar.BEST else f"{entry.run} {kind}"


def _cost(entry: Entry, measured: Measured | None) -> dict[str, float]:
    """Training's figures stand before those of evaluating, which also knows its own peak of memory."""
    size = numbers(entry.part("file")).get("bytes", 0.0)
    evaluating = measured.cost if measured else {}
    return {**numbers(evaluating), **numbers(entry.part("cost")), "checkpoint_mb": round(size / 1e6, 2)}


def _geometry(history: Sequence[Mapping[str, Any]], entry: Entry) -> dict[str, float]:
    """As training measured it at the kept epoch."""
    kept = next((row for row in history if row.get("epoch") == entry.content.get("epoch")), {})
    named = {name.removeprefix("geometry_"): v for name, v in kept.items() if name.startswith("geometry_")}
    return numbers(named)


def _more(entry: Entry) -> dict[str, Any]:
    config = config_of(entry.content)
    kinds = [str(part(config, key).get("kind", "?")) for key in ("query_tower", "doc_tower")]
    return {
        "created": entry.created,
        "sweep": config.get("sweep") or None,
        "epoch": entry.content.get("epoch"),
        "history": entry.content.get("history_file"),
        "towers": f"{kinds[0]}, tied" if config.get("tied") else "/".join(kinds),
    }


def _why(entry: Entry, metric: str) -> str:
    """Why a checkpoint stands in no table."""
    if not entry.metrics:
        return "was never evaluated"
    if metric not in entry.metrics:
        return f"has no {metric}"
    return (
        f"its {metric} of {entry.metrics[metric]:.4f} has no protocol, so it compares with nothing; "
        "`twotower evaluate` measures it"
    )


def _external_rows(kept: Sequence[Kept], metric: str, left_out: list[tuple[str, str]]) -> list[Row]:
    """Run files and vectors, each content once under a protocol; those without the metric are left out."""
    newest: dict[tuple[str, str], Row] = {}
    for path, one in sorted(kept, key=lambda one: one[1].created):
        if one.kind not in ("run", "vectors"):
            continue
        if metric in one.metrics:
            newest[one.identity, one.protocol.key] = measured_row(path, one, metric)
        else:
            left_out.append((f"{FOLDER}/{path.name}", f"has no {metric} ({label(one.protocol)})"))
    return list(newest.values())
