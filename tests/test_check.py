from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from twotower import compose
from twotower.sweeps import check, file, space
from twotower.sweeps.file import Sweep

PACKAGED = sorted((compose.conf_dir() / "sweep").glob("*.yaml"))
METRIC = {"name": "mrr_10", "goal": "maximize"}

Made = Callable[..., Sweep]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A sweep of parameters: a list stands for values, anything but a dict for a value."""

    def make(parameters: dict[str, Any], **content: Any) -> Sweep:
        entries = {name: entry(one) for name, one in parameters.items()}
        whole = {"method": "grid", "metric": METRIC, "parameters": entries, **content}
        (tmp_path / "x.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
        return file.read(tmp_path / "x.yaml")

    return make


def entry(one: Any) -> Any:
    if isinstance(one, dict):
        return one
    return {"values": one} if isinstance(one, list) else {"value": one}


LOG = {"distribution": "log_uniform_values"}
FAULTY: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    # names
    (
        {"batchsize": [64]},
        {},
        "parameters.batchsize: no such knob; did you mean batch_size? (`twotower train",
    ),
    (
        {"batch-size": [64]},
        {},
        "parameters.batch-size: no such knob; did you mean batch_size? (`twotower tra",
    ),
    (
        {"loss.temprature": [0.1]},
        {},
        "parameters.loss.temprature: no such knob; did you mean loss.temperatur",
    ),
    ({"model/dim": [64]}, {}, "parameters.model/dim: no such knob; did you mean"),
    ({"qqqqqq": [1]}, {}, "parameters.qqqqqq: no such knob (`twotower train --help` lists them)"),
    ({"name": "x"}, {}, "parameters.name: not to be set in a sweep file: each trial has its own"),
    (
        {"checkpoint_dir": "x"},
        {},
        "parameters.checkpoint_dir: not to be set in a sweep file: want `twotower s",
    ),
    (
        {"resume": "x"},
        {},
        "parameters.resume: not to be set in a sweep file: a trial that was killed is cont",
    ),
    (
        {"keep": ["all", "best"]},
        {},
        "parameters.keep: changes nothing in what a run learns; write value: all",
    ),
    (
        {"loss.margin": 0.1},
        {},
        "parameters.loss.margin: belongs to loss=triplet or margin, the loss in force",
    ),
    (
        {"data.path": "x"},
        {},
        "parameters.data.path: belongs to data=beir or msmarco or triplets or pairs, the",
    ),
    # values
    ({"epochs": ["ten"]}, {}, "parameters.epochs: got 'ten', want a whole number"),
    ({"epochs": [10.0]}, {}, "parameters.epochs: got '10.0', want a whole number; write 10"),
    ({"tied": ["maybe"]}, {}, "parameters.tied: got 'maybe', want true or false"),
    (
        {"optimizer": ["adamm"]},
        {},
        "parameters.optimizer: got 'adamm', want adamw or adam or sgd; did you me",
    ),
    ({"query_tower": ["mlp", "lstm"]}, {}, "parameters.query_tower: got 'lstm', want mlp or gru"),
    (
        {"loss": {"min": 0, "max": 1}},
        {},
        "parameters.loss: got 'a range', want contrastive or triplet or mar",
    ),
    (
        {"data": ["stored"]},
        {},
        "parameters.data: got 'stored', want docstrings or beir or msmarco or triplet",
    ),
    ({"temperature": [0.1, 20]}, {}, "parameters.temperature: got 20.0, want above 0 and at most 10"),
    # ranges
    (
        {"dropout": {"min": 0.0, "max": 1.0}},
        {"method": "random", "run_cap": 3},
        "parameters.dropout: got 1.0, want at least 0 and below 1",
    ),
    (
        {"dim": {"min": 16, "max": 512, **LOG}},
        {"method": "random", "run_cap": 3},
        "parameters.dim: got '16.0', want a whole number; write distribution: int_uniform, or one with q: 1",
    ),
    (
        {"dim": {"min": 1, "max": 64, "q": 8, "distribution": "q_uniform"}},
        {},
        "parameters.dim: got 0, want at least 1; q: 8 makes it 0",
    ),
    (
        {"temperature": {"distribution": "normal", "mu": 0.1, "sigma": 0.1}},
        {"method": "random", "run_cap": 3},
        "parameters.temperature: got -0.19",
    ),
    (
        {"learning_rate": {"min": 0.1, "max": 0.01}},
        {"method": "random", "run_cap": 3},
        "parameters.learning_rate: min 0.1 is above max 0.01; write min: 0.01 and max: 0.1",
    ),
    (
        {"dropout": {"min": 0.0, "max": 0.5}},
        {},
        "parameters.dropout: a range has no grid; want values: [...]",
    ),
    (
        {"dim": {"min": 1, "distribution": "unifrom"}},
        {},
        "parameters.dim: distribution: got 'unifrom', want o",
    ),
    (
        {"num_layers": [0], "query_tower": ["gru"]},
        {},
        "parameters.num_layers: got 0, want at least 1 (with que",
    ),
    # points
    (
        {"scheduler": ["cosine", "plateau"], "eval_every_epoch": [True, False]},
        {},
        "parameters: 1 of 4 points are impossible, the first: scheduler: plateau follows the evaluations; "
        "want eval_every_epoch=true (with scheduler=plateau eval_every_epoch=False)",
    ),
    (
        {"select": ["mrr_7"]},
        {},
        "parameters: 1 of 1 points are impossible, the first: select: mrr_7 needs 7 in",
    ),
    (
        {"data": ["beir"]},
        {},
        "parameters: 1 of 1 points are impossible, the first: data.path: missing; write",
    ),
    # the rest
    (
        {"epochs": [1]},
        {"method": "gird"},
        "method: got 'gird', want grid or random or bayes; did you mean gri",
    ),
    (
        {"epochs": [1]},
        {"metric": {"name": "val/mrr", "goal": "maximize"}},
        "metric.name: 'val/mrr' is not wh",
    ),
    (
        {"k": [[1, 5]], "select": "mrr_5"},
        {},
        "metric.name: mrr_10 is never logged, for k is 1,5; write mrr_5, or k: {value: [1,",
    ),
    (
        {"eval_every_epoch": False},
        {"early_terminate": {"type": "hyperband", "min_iter": 1}},
        "early_terminate: nothing to go by with eval_every_epoch=false; want it true, or this gone",
    ),
    (
        {"epochs": [1]},
        {"method": "random"},
        "run_cap: missing, method: random has no end of its own; write run",
    ),
]


@pytest.mark.parametrize(("parameters", "content", "says"), FAULTY, ids=[says[:50] for *_, says in FAULTY])
def test_a_faulty_file_is_refused_with_a_line_that_names_the_fix(
    parameters: dict[str, Any], content: dict[str, Any], says: str, made: Made
) -> None:
    faults = list(check.faults_of(made(parameters, **content)))
    assert [fault[: len(says)] for fault in faults] in ([says], ["run_cap: missing", says])
    assert all("\n" not in fault for fault in faults)


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_every_file_of_the_package_is_right(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = check.opened(str(path))
    assert sweep.parameters
    remarks = capsys.readouterr().err.splitlines()
    assert all("a grid of" in remark for remark in remarks)


def test_the_files_of_the_package_have_these_sizes() -> None:
    grids = {path.stem: file.read(path) for path in PACKAGED if "grid" in path.read_text()}
    sizes = {name: space.count(sweep.parameters) for name, sweep in grids.items()}
    assert sizes == {"docstrings": 6, "negatives": 12, "seeds": 3, "towers": 8}


def test_all_faults_are_told_and_nothing_starts(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = made({"batchsize": [1], "tied": ["maybe"], "dim": 8}, method="gird")
    with pytest.raises(ValueError, match=r"x\.yaml: 3 faults, nothing was started$"):
        check.opened(str(sweep.path))
    lines = capsys.readouterr().err.splitlines()
    where = f"twotower: {sweep.path}: "
    assert [line.removeprefix(where).split(": ")[0] for line in lines] == [
        "method", "parameters.batchsize", "parameters.tied",
    ]  # fmt: skip


def test_one_fault_is_one_line(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = made({"tied": ["maybe"]})
    with pytest.raises(ValueError, match=r"x\.yaml: parameters\.tied: got 'maybe', want true or false$"):
        check.opened(str(sweep.path))
    assert capsys.readouterr().err == ""


def test_a_cap_that_is_typed_goes_before_the_file(made: Made) -> None:
    sweep = made({"seed": {"min": 0, "max": 9}}, method="random", run_cap=5)
    assert check.opened(str(sweep.path)).run_cap == 5
    assert check.opened(str(sweep.path), 2).run_cap == 2


EARLY = {"type": "hyperband", "min_iter": 5}


@pytest.mark.parametrize(
    ("parameters", "content", "says"),
    [
        ({"margin": [0.1, 0.2]}, {}, "parameters.margin: changes nothing under the other choices"),
        ({"margin": [0.1, 0.2]}, {}, "2 points are 1 different configurations, and each runs once"),
        (
            {"loss": ["contrastive", "triplet"], "margin": [0.1, 0.2]},
            {},
            "4 points are 3 different configurations, and each runs once",
        ),
        (
            {"tied": True, "doc_tower.dropout": [0.1, 0.2]},
            {},
            "parameters.doc_tower.dropout: changes nothing under the other choices",
        ),
        (
            {"gamma": [0.1, 0.2], "scheduler": ["cosine", "linear"]},
            {},
            "parameters.gamma: has no effect, it counts with scheduler=step or plateau and there is cosine, "
            "linear",
        ),
        (
            {"min_grade": [1, 2]},
            {},
            "parameters.min_grade: trials that differ in it have protocols of their own",
        ),
        (
            {"epochs": 3},
            {"early_terminate": EARLY},
            "early_terminate: no trial is stopped early, the first band",
        ),
        (
            {"epochs": 3},
            {"metric": {**METRIC, "name": "recall_10"}},
            "metric.name: a trial keeps its best mrr_10; for recall_10 write select: {value: recall_10}",
        ),
    ],
)
def test_what_is_of_no_use_is_remarked(
    parameters: dict[str, Any], content: dict[str, Any], says: str, made: Made
) -> None:
    sweep = made(parameters, **content)
    assert list(check.faults_of(sweep)) == []
    assert [remark for remark in check.remarks_of(sweep) if remark.startswith(says)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": ["contrastive", "triplet"], "margin": 0.2, "temperature": 0.1},
        {"gamma": [0.1, 0.2], "scheduler": ["cosine", "step"]},
        {"query_tower": ["mlp", "gru"], "pooling": "max", "hidden_dim": [32, 64]},
        {"data": "beir", "data.path": "somewhere"},
        {"data.packages": [["numpy"]], "k": ["1,10"]},
        {"device": "cpu", "keep": "all"},
    ],
)
def test_what_is_right_is_let_through_without_a_remark(parameters: dict[str, Any], made: Made) -> None:
    sweep = made(parameters)
    assert list(check.faults_of(sweep)) == []
    assert [remark for remark in check.remarks_of(sweep) if not remark.startswith("a grid of")] == []


def test_a_large_space_is_looked_at_in_a_sample(made: Made) -> None:
    sweep = made({"seed": {"min": 0, "max": 9_000}, "tied": [True, False]})
    assert list(check.faults_of(sweep)) == []
    assert next(check.remarks_of(sweep)) == "a grid of 18,002 points"


def test_what_a_sample_finds_impossible_is_counted(made: Made) -> None:
    parameters = {"loss": ["contrastive", "triplet", "margin"], "given_negatives": {"min": 0, "max": 1}}
    (fault,) = check.faults_of(made(parameters, method="random", run_cap=9))
    # one in six: about 33 of 200
    assert fault.startswith("parameters: ")
    assert 15 < int(fault.split()[1]) < 55
    assert "of 200 sampled points are impossible, the first: given_negatives: got 0, want at least 1" in fault
