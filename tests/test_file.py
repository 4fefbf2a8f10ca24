import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from twotower import compose
from twotower.sweeps import file, space
from twotower.sweeps.file import Hyperband, Method, Metric, Sweep
from twotower.sweeps.space import Choice, Range

PACKAGED = sorted((compose.conf_dir() / "sweep").glob("*.yaml"))
WHOLE = """
method: bayes
name: first
description: a try
project: towers
entity: us
program: train.py
run_cap: 40
metric: {name: mrr_10, goal: maximize, target: 0.9}
early_terminate: {type: hyperband, min_iter: 3, eta: 2, strict: false}
parameters:
  epochs: {value: 20}
  query_tower:
    parameters:
      dropout: {min: 0.0, max: 0.5}
  doc_tower.dropout: {min: 0.0, max: 0.5}
"""


@pytest.fixture
def reading(tmp_path: Path) -> Any:
    def read(text: str) -> Sweep:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return file.read(path)

    return read


def test_a_sweep_file_is_read_to_the_last_key(reading: Any) -> None:
    sweep = reading(WHOLE)
    assert (sweep.method, sweep.name, sweep.run_cap) == (Method.bayes, "first", 40)
    assert sweep.metric == Metric("mrr_10", maximised=True, target=0.9)
    assert sweep.early == Hyperband(min_iter=3, eta=2, strict=False)
    assert (sweep.faults, sweep.remarks) == ((), ())
    assert sweep.text == WHOLE


def test_nested_blocks_become_dotted_names(reading: Any) -> None:
    assert reading(WHOLE).parameters == {
        "epochs": Choice(name="epochs", values=(20,)),
        "query_tower.dropout": Range(name="query_tower.dropout", low=0.0, high=0.5),
        "doc_tower.dropout": Range(name="doc_tower.dropout", low=0.0, high=0.5),
    }


def test_a_sweep_is_called_like_its_file_unless_it_says_otherwise(reading: Any) -> None:
    assert reading("{method: grid, parameters: {dim: {value: 8}}}").name == "mine"


def test_a_sweep_may_have_no_metric_no_early_stopping_and_no_cap(reading: Any) -> None:
    sweep = reading("{method: grid, parameters: {dim: {value: 8}}}")
    assert (sweep.metric, sweep.early, sweep.run_cap, sweep.faults) == (None, None, 0, ())


@pytest.mark.parametrize(
    ("band", "most", "bands"),
    [
        # min_iter times eta, again and again
        (Hyperband(min_iter=3), 30, [3, 9, 27]),
        (Hyperband(min_iter=1, eta=2), 8, [1, 2, 4, 8]),
        # 27/3 and 27/9
        (Hyperband(max_iter=27, s=2), 30, [3, 9]),
        # 10/3 = 3.3 and 10/9 = 1.1, cut to whole evaluations; 10/27 is none
        (Hyperband(max_iter=10, s=3), 30, [1, 3]),
        (Hyperband(min_iter=50), 30, []),
    ],
)
def test_bands_are_those_of_wandb(band: Hyperband, most: int, bands: list[int]) -> None:
    assert band.bands(most) == bands


FAULTY = [
    ("parameters: {dim: {value: 8}}", "method: missing, want grid or random or bayes"),
    ("method: gird", "method: got 'gird', want grid or random or bayes; did you mean grid?"),
    ("method: grid", "parameters: missing; write parameters: and below it each knob with its values"),
    ("{method: grid, parameters: [1]}", "parameters: missing; write parameters:"),
    ("{method: grid, paramters: {}}", "paramters: no key of a sweep file; did you mean parameters?"),
    ("{method: grid, xyzxyz: 1}", "xyzxyz: no key of a sweep file, which has method, metric, parameters, "),
    ("{method: grid, run_cap: 0}", "run_cap: got 0, want a whole number from 1 on"),
    ("{method: grid, run_cap: many}", "run_cap: got 'many', want a whole number from 1 on"),
    ("{method: grid, metric: mrr_10}", "metric: got 'mrr_10'; write metric: {name: mrr_10, goal: maximize}"),
    (
        "{method: grid, metric: {name: mrr_10}}",
        "metric.goal: missing, and W&B would minimise; write goal: max",
    ),
    (
        "{method: grid, metric: {name: mrr_10, goal: maximise}}",
        "metric.goal: got 'maximise', want maximize or minimize; did you mean maximize?",
    ),
    ("{method: grid, metric: {name: a, goal: minimize, target: x}}", "metric.target: got 'x', want a number"),
    (
        "{method: grid, metric: {name: a, gaol: minimize}}",
        "metric.gaol: no key of a sweep file; did you mean g",
    ),
    (
        "{method: grid, early_terminate: {type: median}}",
        "early_terminate: got {'type': 'median'}; write early",
    ),
    (
        "{method: grid, early_terminate: {type: hyperband}}",
        "early_terminate: neither min_iter nor max_iter and",
    ),
    (
        "{method: grid, early_terminate: {type: hyperband, min_iter: 0}}",
        "early_terminate.min_iter: got 0, want",
    ),
    (
        "{method: grid, early_terminate: {type: hyperband, eta: 1}}",
        "early_terminate.eta: got 1, want a number",
    ),
    (
        "{method: grid, early_terminate: {type: hyperband, strict: 1}}",
        "early_terminate.strict: got 1, want tr",
    ),
    (
        "{method: grid, scheduler: {engine: ax}}",
        "scheduler: needs code of its own; want method: grid, random",
    ),
    (
        "{method: grid, parameters: {a: {parameters: 3}}}",
        "parameters.a: got parameters; want value, values, ",
    ),
    (
        "{method: grid, parameters: {a.b: {value: 1}, a: {parameters: {b: {value: 2}}}}}",
        "parameters.a.b: stands twice, nested and with dots; want one of them gone",
    ),
    ("{method: grid, parameters: {dim: 8}}", "parameters.dim: got 8 alone; write value: 8"),
]


@pytest.mark.parametrize(("text", "says"), FAULTY, ids=[says[:40] for _, says in FAULTY])
def test_each_fault_is_a_line_that_says_what_to_write(text: str, says: str, reading: Any) -> None:
    assert [fault for fault in reading(text).faults if fault.startswith(says)]


def test_all_faults_are_found_at_once(reading: Any) -> None:
    sweep = reading("{method: gird, metric: {name: x}, run_cap: -1, parameters: {dim: 8, epochs: {min: 1}}}")
    assert [fault.partition(": ")[0] for fault in sweep.faults] == [
        "method", "metric.goal", "parameters.dim", "parameters.epochs", "run_cap",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a sweep file, want method: and parameters:"),
        (b"- 1", "not a sweep file, want method: and parameters:"),
        (b"a: [", "not YAML: while parsing"),
        (b"a: \xff", "not a text in UTF-8"),
    ],
)
def test_what_is_no_sweep_file_is_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {says}')}"):
        file.read(path)


def test_the_files_of_the_package_are_found_by_name_from_anywhere(workplace: Path) -> None:
    want = compose.conf_dir() / "sweep" / "mlp.yaml"
    assert file.find("mlp") == file.find("mlp.yaml") == file.find("conf/sweep/mlp.yaml") == want
    (workplace / "mlp.yaml").touch()
    assert file.find("mlp.yaml") == Path("mlp.yaml")


@pytest.mark.parametrize(("name", "hint"), [("mpl", "; did you mean mlp?"), ("a/mlp.yaml", "; did you mean")])
def test_a_file_that_is_not_there_names_those_that_are(name: str, hint: str, workplace: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=f"^{name}: no such sweep file{re.escape(hint)}.*docstrings, mlp"
    ):
        file.find(name)


# as a server gets it


def test_what_is_written_is_read_as_the_same_sweep(reading: Any) -> None:
    sweep = reading(WHOLE)
    again = reading(yaml.safe_dump(file.written(sweep)))
    assert again.parameters == {name: sweep.parameters[name] for name in again.parameters}
    assert again.parameters.keys() == sweep.parameters.keys()
    assert (again.metric, again.early, again.run_cap) == (sweep.metric, sweep.early, sweep.run_cap)
    assert file.written(again) == file.written(sweep)


def test_a_command_is_put_in_where_there_is_none(reading: Any) -> None:
    sent = file.written(reading(WHOLE))
    assert sent["command"] == ["${env}", "${interpreter}", "-m", "twotower", "train", "${args_no_hyphens}"]
    assert (sent["program"], sent["project"], sent["entity"]) == ("train.py", "towers", "us")
    own = file.written(reading("{method: grid, command: [x], parameters: {dim: {value: 8}}}"))
    assert (own["command"], own["program"]) == (["x"], "twotower")


def test_numbers_and_steps_are_written_so_that_a_server_takes_them_as_they_are_meant(reading: Any) -> None:
    random = reading("""
method: random
run_cap: 3
parameters:
  learning_rate: {min: 1e-4, max: 1e-2, distribution: log_uniform_values}
  batch_size: {min: 16, max: 64, distribution: q_uniform, q: 16.0}
  dim: {min: 16, max: 64, distribution: q_log_uniform_values}
""")
    sent = yaml.safe_load(yaml.safe_dump(file.written(random)))["parameters"]
    assert (sent["learning_rate"]["min"], sent["learning_rate"]["max"]) == (0.0001, 0.01)
    # a q of 16.0, and the default of 1.0, would make floats of all whole numbers
    assert [repr(sent[name]["q"]) for name in ("batch_size", "dim")] == ["16", "1"]
    assert len(random.remarks) == 2


def test_the_steps_of_a_grid_are_written_as_values(reading: Any) -> None:
    sweep = reading(
        "{method: grid, parameters: {seed: {min: 0, max: 2}, "
        "dim: {min: 16, max: 64, distribution: q_uniform, q: 16}}}"
    )
    sent = file.written(sweep)["parameters"]
    assert sent == {"dim": {"values": [16, 32, 48, 64]}, "seed": {"values": [0, 1, 2]}}
    assert space.count(sweep.parameters) == 12


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_the_client_of_wandb_reads_every_file_of_the_package_as_we_do(path: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    sweep = file.read(path)
    assert load_sweep_config(str(path)) == sweep.content
    assert (sweep.faults, sweep.remarks) == ((), ())
