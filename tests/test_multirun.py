import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.training_case import write_beir
from twotower import cli, compose
from twotower.data.collection import Collection
from twotower.sweeps import multirun
from twotower.training import runs

WORDS = [
    *("data=beir", "hidden_dim=12", "num_layers=1", "vectors=random", "vectors_dim=8", "dim=10", "epochs=1"),
    *("batch_size=16", "random_negatives=8", "k=[1,3,10]", "patience=0", "floors=false", "tracking=none"),
    "threads=1",
]


@pytest.fixture
def words(tiny: Collection, workplace: Path) -> list[str]:
    """Of a run of a fraction of a second."""
    return [*WORDS, f"data.path={write_beir(tiny, workplace.parent / 'tiny')}"]


def ran(home: Path) -> list[dict[str, Any]]:
    """The knobs of all runs."""
    records = [runs.read(path) for path in (home / "checkpoints" / "runs").glob("*/run.json")]
    return [dict(record.knobs) for record in records if record.ended == "done"]


@pytest.mark.slow
def test_every_combination_is_a_run_of_one_sweep(
    words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "-m", *words, "learning_rate=0.01,0.02", "seed=0,1"]) == 0
    found = ran(workplace)
    pairs = [(cfg["learning_rate"], cfg["seed"]) for cfg in found]
    assert sorted(pairs) == [(0.01, 0), (0.01, 1), (0.02, 0), (0.02, 1)]
    (name,) = {cfg["sweep"] for cfg in found}
    assert {tuple(cfg["k"]) for cfg in found} == {(1, 3, 10)}
    assert (workplace / "checkpoints" / "sweeps" / name).is_dir()
    assert (
        f"multirun {name}: 4 of 4 done\nnext: twotower leaderboard sweep={name}\n" in capsys.readouterr().err
    )
    folders = {item.name for item in workplace.iterdir()}  # no outputs/, no multirun/
    assert folders == {"checkpoints", "data"}


@pytest.mark.slow
def test_a_job_that_fails_stops_no_other(
    words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = multirun.importlib.import_module(multirun.TRAIN)
    real = module.run

    def run(cfg: Any) -> int:
        if cfg.seed == 0:
            raise OSError("the disk is full")
        if cfg.seed == 1:
            raise RuntimeError("nobody expected\nthis")
        return int(real(cfg))

    monkeypatch.setattr(module, "run", run)
    assert cli.main(["train", "--multirun", *words, "seed=range(0,3)"]) == 1
    assert [cfg["seed"] for cfg in ran(workplace)] == [2]
    err = capsys.readouterr().err
    assert "twotower: the disk is full\n" in err
    assert "twotower: RuntimeError: nobody expected this\n" in err
    assert "job 0 failed: twotower train data=beir" in err
    assert ": 1 of 3 done\n" in err
    (listed,) = (workplace / "checkpoints" / "sweeps").glob("multirun-*/jobs.json")
    assert [job[-1] for job in json.loads(listed.read_text())] == ["seed=0", "seed=1", "seed=2"]


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("hydra_plugins.hydra_joblib_launcher") is None if find_spec("hydra_plugins") else True,
    reason="needs hydra-joblib-launcher",
)
def test_joblib_runs_jobs_side_by_side(words: list[str], workplace: Path) -> None:
    jobs = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"]
    assert cli.main(["train", "-m", *words, *jobs]) == 0
    assert sorted(cfg["seed"] for cfg in ran(workplace)) == [0, 1]
    assert {item.name for item in workplace.iterdir()} == {"checkpoints", "data"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("learning_rat=0.1,0.2", "learning_rat: no such knob; did you mean learning_rate?"),
        ("seed=0,x", "seed: got 'x', want a whole number"),
        ("learning_rate=interval(0.1,0.2)", "learning_rate: an interval has no end; want a,b or range"),
        ("resume=abc", "resume: continues one run; want it without -m"),
        ("hydra/launcher=nothing", "hydra/launcher=nothing: "),
        ("loss.margin=0.1,0.2", "loss.margin: belongs to loss=triplet"),
    ],
)
def test_nothing_starts_if_one_job_is_wrong(
    wrong: str, said: str, words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "-m", *words, wrong]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"twotower: {said}")
    assert not (workplace / "checkpoints" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["seed=0"], ["seed=0"]),
        (["seed=range(0,3)"], ["seed=0", "seed=1", "seed=2"]),
        (["loss=choice(triplet,margin)"], ["loss=triplet", "loss=margin"]),
        (["k=[1,5],[10]"], ["k=[1,5]", "k=[10]"]),
        (["k=[1,5,10]"], ["k=[1,5,10]"]),
        (["name='a b','c,d'"], ["name=a b", "name=c,d"]),
        (["data.path=/x (1)/y"], ["data.path=/x (1)/y"]),
        (["query_tower=mlp,gru", "seed=0,1"], ["query_tower=mlp seed=0", "query_tower=mlp seed=1",
         "query_tower=gru seed=0", "query_tower=gru seed=1"]),
    ],
)  # fmt: skip
def test_words_are_expanded_as_hydra_does(words: list[str], jobs: list[str]) -> None:
    assert [" ".join(job) for job in compose.expanded(words)] == jobs
