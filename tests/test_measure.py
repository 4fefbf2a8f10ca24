import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from twotower import compose
from twotower.config import Train
from twotower.sweeps import file, measure
from twotower.sweeps.file import Metric, Sweep


def made(path: Path, **content: Any) -> Sweep:
    entries = {"method": "grid", "parameters": {"epochs": {"value": 1}}, **content}
    path.joinpath("x.yaml").write_text(yaml.safe_dump(entries))
    return file.read(path / "x.yaml")


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("val/MRR@10", "mrr_10"),
        ("val_loss", "dev_loss"),
        ("train_loss", "dev_loss"),
        ("loss", "dev_loss"),
        ("val/accuracy", "dev_accuracy"),
        ("dev_mrr_10", "mrr_10"),
        ("accuracy_1", "success_1"),
        ("hit_rate@5", "success_5"),
        ("ndgc_10", "ndcg_10"),
        ("Recall-100", "recall_100"),
        ("best_score", "mrr_10"),
    ],
)
def test_a_metric_that_is_never_logged_is_refused_with_the_nearest_that_is(
    name: str, want: str, tmp_path: Path
) -> None:
    faults = list(measure.faults_of(made(tmp_path, metric={"name": name, "goal": "maximize"})))
    assert faults == [f"metric.name: {name!r} is not what a run logs; write {want}"]


@pytest.mark.parametrize(
    ("name", "goal", "says"),
    [
        ("mrr_10", "maximize", []),
        ("mrr", "maximize", []),
        ("dev_accuracy", "maximize", []),
        ("dev_loss", "minimize", []),
        ("mrr_10", "minimize", ["metric.goal: mrr_10 would be minimised; write goal: maximize"]),
        ("dev_loss", "maximize", ["metric.goal: dev_loss would be maximised; write goal: minimize"]),
    ],
)
def test_a_goal_fits_its_metric(name: str, goal: str, says: list[str], tmp_path: Path) -> None:
    assert list(measure.faults_of(made(tmp_path, metric={"name": name, "goal": goal}))) == says


def test_what_needs_a_metric_says_so(tmp_path: Path) -> None:
    want = "metric: missing, {} needs it; write metric: {{name: mrr_10, goal: maximize}}"
    assert list(measure.faults_of(made(tmp_path, method="bayes", run_cap=3))) == [
        want.format("method: bayes")
    ]
    early = made(tmp_path, early_terminate={"type": "hyperband", "min_iter": 3})
    assert list(measure.faults_of(early)) == [want.format("early_terminate")]


def test_a_search_without_an_end_wants_a_cap(tmp_path: Path) -> None:
    says = "run_cap: missing, method: random has no end of its own; write run_cap: 20"
    assert list(measure.faults_of(made(tmp_path, method="random"))) == [says]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("python", "command: want a list of words; leave it out, and `twotower train` is put in"),
        (
            ["${program}", "${args}"],
            "command: ${args} writes --name=value; write ${args_no_hyphens}, or leave",
        ),
        (["twotower", "train"], "command: no trial would get its knobs; write ${args_no_hyphens}, or leave"),
    ],
)
def test_a_command_that_could_not_start_a_trial_is_refused(command: Any, says: str, tmp_path: Path) -> None:
    (fault,) = measure.faults_of(made(tmp_path, command=command))
    assert fault.startswith(says)


def test_a_knob_in_the_command_is_not_seen_here(tmp_path: Path) -> None:
    words = ["${interpreter}", "-m", "twotower", "train", "data=beir", "${args_no_hyphens}"]
    *_, remark = measure.remarks_of(made(tmp_path, command=words))
    assert remark == ("command: engine=local does not see data=beir; want data: {value: beir} as a parameter")


def test_the_size_of_a_grid_is_said_and_what_a_cap_leaves_of_it(tmp_path: Path) -> None:
    parameters = {"dim": {"values": [8, 16]}, "seed": {"min": 0, "max": 9}}
    assert list(measure.remarks_of(made(tmp_path, parameters=parameters))) == ["a grid of 20 points"]
    (capped,) = measure.remarks_of(made(tmp_path, parameters=parameters, run_cap=5))
    assert capped == "a grid of 20 points, of which run_cap=5 lets 5 run"


def test_losses_of_different_losses_are_not_compared(tmp_path: Path) -> None:
    parameters = {"loss": {"values": ["contrastive", "triplet"]}}
    metric = {"name": "dev_loss", "goal": "minimize"}
    *_, remark = measure.remarks_of(made(tmp_path, metric=metric, parameters=parameters))
    assert remark == "metric.name: dev_loss of trials that differ in loss is not comparable; want mrr_10"


def test_a_cut_off_that_is_not_in_k_is_never_logged() -> None:
    cfg = compose.load("train", ["k=[1,5,20]"])[1]
    assert isinstance(cfg, Train)
    assert measure.unlogged(Metric("recall_10", maximised=True), cfg) == (
        "metric.name: recall_10 is never logged, for k is 1,5,20; write recall_5, or k: {value: [1,5,20,10]}"
    )
    for name in ("recall_5", "mrr", "dev_loss"):
        assert measure.unlogged(Metric(name, maximised=True), cfg) == ""


def test_every_metric_that_a_run_logs_is_taken(tmp_path: Path) -> None:
    from twotower.evaluation.metrics import NAMES, WHOLE

    for name in (*WHOLE, *(f"{one}_10" for one in NAMES)):
        assert not list(measure.faults_of(made(tmp_path, metric={"name": name, "goal": "maximize"})))
    assert re.fullmatch(r"\w+", measure.ACCURACY)
