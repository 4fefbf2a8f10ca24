"""What a sweep came to: counts, the best trials, which knobs mattered, and what to do next."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twotower import knobs, show
from twotower.sweeps import live, outcome
from twotower.sweeps.folder import Folder, Result
from twotower.sweeps.live import shown_metric
from twotower.sweeps.outcome import Goal
from twotower.sweeps.space import Parameter, Point
from twotower.training import runs

TOP = 5
"""Trials in the table."""
SEEDS = (1, 2, 3)
"""With which the best configuration is to be trained again."""


@dataclass(frozen=True)
class Summary:
    """A sweep that has ended, or was stopped."""

    folder: Folder
    goal: Goal
    results: Mapping[int, Result]
    importance: Mapping[str, float]
    swept: Mapping[str, Parameter]
    total: int

    @property
    def best(self) -> Result | None:
        return outcome.best(self.results.values(), maximised=self.goal.maximised)

    @property
    def points(self) -> dict[int, Point]:
        """What each trial was, by its number."""
        return {trial.number: trial.point for trial in self.folder.planned()}

    @property
    def failed(self) -> list[Result]:
        """Trials that came to nothing."""
        return [result for result in self.results.values() if result.status in ("failed", "killed")]


def checkpoint_of(summary: Summary, result: Result) -> Path:
    """The best checkpoint of a trial."""
    folder = summary.folder.path.parents[1]
    return runs.read(folder / "runs" / result.run / "run.json").run.checkpoint


def document(summary: Summary) -> dict[str, Any]:
    """Everything, as one JSON document."""
    best, points = summary.best, summary.points
    return {
        "sweep": summary.folder.name,
        "folder": str(summary.folder.path),
        "metric": summary.goal.metric,
        "goal": "maximize" if summary.goal.maximised else "minimize",
        "best": None if best is None else _described(summary, best, points),
        "importance": dict(summary.importance),
        "trials": [_described(summary, result, points) for result in summary.results.values()],
    }


def _described(summary: Summary, result: Result, points: Mapping[int, Point]) -> dict[str, Any]:
    kept = result.status in ("done", "pruned")
    checkpoint = str(checkpoint_of(summary, result)) if kept else None
    return {**asdict(result), "point": dict(points[result.number]), "checkpoint": checkpoint}


def say(summary: Summary) -> None:
    """Tell it: talk on stderr, the path of the best checkpoint on stdout."""
    for result in summary.failed:
        log = summary.folder.log(result.number)
        show.talk(f"trial {result.number} {result.status}: {result.why} ({log})")
    show.talk(f"sweep {summary.folder.name}: {live.counts(summary.results.values(), summary.total)}")
    best = summary.best
    if best is None:
        show.talk("no trial came to its end")
        return
    for line in (*_table(summary), *_mattered(summary.importance)):
        show.talk(line)
    show.result(str(checkpoint_of(summary, best)))
    for command in next_commands(summary, best):
        show.talk(f"next: {command}")


def _table(summary: Summary) -> list[str]:
    """The best trials, a line each."""
    sign = -1 if summary.goal.maximised else 1
    done = [one for one in summary.results.values() if one.status == "done" and one.value is not None]
    ranked = sorted(done, key=lambda one: (sign * (one.value or 0.0), one.number))[:TOP]
    points, metric = summary.points, shown_metric(summary.goal.metric)
    lines = [
        f"  {one.value:.4f}  trial {one.number}  {live.knobs_of(points[one.number], summary.swept)}"
        for one in ranked
    ]
    luck = f"; the best of {len(done)} owes something to luck" if len(done) > 1 else ""
    return [f"best on dev by {metric}{luck}:", *lines]


def _mattered(importance: Mapping[str, float]) -> list[str]:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in importance.items())
    return [f"what told the best tenth from the rest: {shares}"] if importance else []


def next_commands(summary: Summary, best: Result) -> list[str]:
    """What trains the winner with more seeds, and what ranks the sweep's checkpoints."""
    home = summary.folder.path.parents[1].as_posix()
    where = [] if home == "checkpoints" else [f"checkpoint_dir={shlex.quote(home)}"]
    name = summary.folder.name
    point = {knob: value for knob, value in summary.points[best.number].items() if knob != "seed"}
    words = [shlex.quote(f"{knob}={knobs.shown(value)}") for knob, value in point.items()]
    seeds = " ".join(map(str, SEEDS))
    train = " ".join(["twotower train", *words, *where, f"name={name}-best", "seed=$seed"])
    return [
        f"for seed in {seeds}; do {train}; done",
        " ".join(["twotower leaderboard", f"sweep={name}", *where]),
    ]
