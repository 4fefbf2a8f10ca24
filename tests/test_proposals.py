import json
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.sweep_case import written
from twotower.sweeps import file
from twotower.sweeps.file import Sweep
from twotower.sweeps.proposals import Place, Proposals

RATE = {"min": 1e-5, "max": 1.0, "distribution": "log_uniform_values"}


def sweep(folder: Path, method: str, parameters: Mapping[str, Any], **more: Any) -> Sweep:
    metric = {"name": "mrr_10", "goal": "maximize"}
    content = {"method": method, "metric": metric, "run_cap": 100, "parameters": parameters, **more}
    read = file.read(written(folder / "sweep.yaml", content))
    assert read.faults == ()
    return read


def key(point: Mapping[str, Any]) -> str:
    return json.dumps(point)


def proposals(sweep: Sweep, folder: Path, worker: str = "here-1", seed: int = 0) -> Proposals:
    return Proposals(sweep, Place(str(folder / "study.journal"), "weekend", worker, seed), key)


def points(made: Proposals, worth: Callable[[Mapping[str, Any]], float] = lambda _: 0.5) -> list[Any]:
    """What is proposed to the end, each trial coming to what `worth` says."""
    found = []
    while trial := made.next():
        made.done(trial.number, worth(trial.point))
        found.append(dict(trial.point))
    return found


def test_a_grid_is_every_point_once_in_the_files_order(tmp_path: Path) -> None:
    grid = {"dim": {"values": [64, 128]}, "epochs": {"value": 3}, "tied": {"values": [False, True]}}
    assert points(proposals(sweep(tmp_path, "grid", grid), tmp_path)) == [
        {"dim": 64, "epochs": 3, "tied": False},
        {"dim": 64, "epochs": 3, "tied": True},
        {"dim": 128, "epochs": 3, "tied": False},
        {"dim": 128, "epochs": 3, "tied": True},
    ]


def test_one_seed_decides_what_is_drawn(tmp_path: Path) -> None:
    made = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        read = sweep(tmp_path, "random", {"learning_rate": RATE}, run_cap=5)
        made[name] = points(proposals(read, tmp_path / name, seed=seed))
    assert made["a"] == made["b"] != made["c"]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_sweep_that_is_continued_proposes_what_it_would_have(tmp_path: Path, method: str) -> None:
    def worth(point: Mapping[str, Any]) -> float:
        return -abs(math.log10(point["learning_rate"]) + 2)

    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    read = sweep(tmp_path, method, {"learning_rate": RATE, "dropout": {"min": 0.0, "max": 0.5}}, run_cap=16)
    whole = points(proposals(read, tmp_path / "whole"), worth)
    parts = []
    for _ in range(4):
        made = proposals(read, tmp_path / "parts")  # as after a kill
        for _ in range(4):
            trial = made.next()
            assert trial
            made.done(trial.number, worth(trial.point))
            parts.append(dict(trial.point))
    assert parts == whole
    assert proposals(read, tmp_path / "parts").next() is None


def test_two_workers_share_a_study_and_no_configuration(tmp_path: Path) -> None:
    read = sweep(tmp_path, "grid", {"dim": {"values": list(range(1, 13))}})
    one, other = (proposals(read, tmp_path, worker) for worker in ("a-1", "b-1"))
    found = []
    while (trial := one.next()) and (beside := other.next()):
        found += [trial.point["dim"], beside.point["dim"]]
        one.done(trial.number, 0.1)
        other.done(beside.number, 0.2)
    assert sorted(found) == list(range(1, 13))


def test_of_two_that_claim_at_once_none_runs(tmp_path: Path) -> None:
    read = sweep(tmp_path, "grid", {"dim": {"values": [1, 2]}})
    one, other = (proposals(read, tmp_path, worker) for worker in ("a-1", "b-1"))
    first = one.next()
    assert first
    one.study.sampler = other.study.sampler = one._given({"dim": 1})
    late = other.study.ask(other._distributions)
    assert not other._claimed(late, first.key)
    assert [trial.number for trial in other.trials()] == [first.number]


def test_a_small_space_is_exhausted_and_no_configuration_is_run_twice(tmp_path: Path) -> None:
    swept = {"dim": {"values": [1, 2, 3]}, "tied": {"values": [True, False]}}
    for method in ("random", "bayes"):
        (tmp_path / method).mkdir()
        found = points(proposals(sweep(tmp_path, method, swept), tmp_path / method))
        assert sorted(map(key, found)) == sorted({key(point) for point in found})
        assert len(found) == 6


def test_every_distribution_is_proposed_within_its_ends(tmp_path: Path) -> None:
    parameters = {
        "a": RATE,
        "b": {"min": 16, "max": 512, "q": 16, "distribution": "q_log_uniform_values"},
        "c": {"mu": 0.0, "sigma": 2.0, "distribution": "normal"},
        "d": {"mu": 1.0, "sigma": 1.0, "q": 0.5, "distribution": "q_log_normal"},
        "e": {"values": ["x", [1, 2], True], "probabilities": [0.5, 0.25, 0.25]},
        "f": {"min": 1, "max": 9},
        "g": {"a": 2.0, "b": 3.0, "distribution": "beta"},
    }
    for method in ("random", "bayes"):
        (tmp_path / method).mkdir()
        read = sweep(tmp_path, method, parameters, run_cap=30)
        for point in points(proposals(read, tmp_path / method), lambda point: point["a"]):
            for name in "abcdfg":
                low, high = read.parameters[name].ends()[0], read.parameters[name].ends()[-1]
                assert low <= point[name] <= high
            assert point["e"] in ["x", [1, 2], True]


def test_a_trial_that_goes_on_tells_again_without_harm(tmp_path: Path) -> None:
    read = sweep(
        tmp_path, "grid", {"dim": {"values": [1, 2]}}, early_terminate={"type": "hyperband", "min_iter": 2}
    )
    made = proposals(read, tmp_path)
    first = made.next()
    assert first
    assert [made.report(first.number, step, 0.5) for step in (1, 2)] == [False, False]
    again = proposals(read, tmp_path)
    assert again.mine() == [first.number]
    again.take_up(first.number)
    assert [again.report(first.number, step, 0.5) for step in (1, 2, 3)] == [False, False, False]
    again.done(first.number, 0.5)
    second = again.next()
    assert second
    assert [again.report(second.number, step, 0.4) for step in (1, 2)] == [False, True]
    again.pruned(second.number)
    assert again.mine() == []


def test_importance_finds_the_knob_that_matters(tmp_path: Path) -> None:
    read = sweep(tmp_path, "random", {"learning_rate": RATE, "dropout": {"min": 0.0, "max": 0.5}}, run_cap=40)
    made = proposals(read, tmp_path)
    points(made, lambda point: -abs(math.log10(point["learning_rate"]) + 2))
    shares = made.importance()
    assert next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 0.8
    few = proposals(sweep(tmp_path, "random", {"learning_rate": RATE}, run_cap=3), tmp_path)
    assert few.importance() == {}


def needed(folder: Path, method: str, seed: int) -> int:
    """Trials until one is within 5 % of the optimum, 1, of a function with an interaction and a log scale."""

    def worth(point: Mapping[str, Any]) -> float:
        rate = (math.log10(point["learning_rate"]) + 2.5) / 5
        return (
            1 - 4 * rate**2 - 3 * (point["dropout"] - 0.2 - rate) ** 2 - 0.1 * (point["optimizer"] != "adam")
        )

    swept = {
        "learning_rate": RATE,
        "dropout": {"min": 0.0, "max": 0.9},
        "optimizer": {"values": ["adamw", "adam", "sgd"]},
    }
    folder.mkdir()
    made = proposals(sweep(folder, method, swept, run_cap=200), folder, seed=seed)
    for count in range(1, 201):
        trial = made.next()
        assert trial
        value = worth(trial.point)
        made.done(trial.number, value)
        if value >= 0.95:
            return count
    return 200


@pytest.mark.slow
def test_bayes_needs_fewer_trials_than_random(tmp_path: Path) -> None:
    counts = {
        method: [needed(tmp_path / f"{method}{seed}", method, seed) for seed in range(20)]
        for method in ("bayes", "random")
    }
    assert statistics.median(counts["bayes"]) < statistics.median(counts["random"]), counts
