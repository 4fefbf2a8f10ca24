import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

from tests import sweep_case
from tests.sweep_case import knobs
from tests.training_case import small, write_beir
from twotower.data.collection import Collection
from twotower.sweeps import folder, trial
from twotower.sweeps.folder import Folder
from twotower.sweeps.going import Going
from twotower.sweeps.outcome import Goal


def order(tiny: Collection, home: Path, rate: float) -> trial.Order:
    """A trial in a new folder."""
    made: Folder = folder.create(knobs(home), "mlp", "")
    made.plan(folder.Trial(0, {"learning_rate": rate}, "0"))
    cfg = small(write_beir(tiny, home / "tiny"), home, learning_rate=rate, threads=1, epochs=3)
    return trial.Order(0, cfg, made, {"WANDB_RUN_GROUP": "weekend"}, sweep_case.__name__)


def test_a_trial_tells_its_name_and_its_rows(tiny: Collection, tmp_path: Path) -> None:
    made = order(tiny, tmp_path, 0.01)
    with trial.served(1, tracked=False) as context:
        going = Going.begin(context, made.folder.planned()[0], made)
    going.process.join()
    rows = list(going.hear())
    going.leave()
    assert (going.process.exitcode, going.warm) == (0, True)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    shown = going.shown(Goal("mrr_10"))
    assert (shown.number, shown.epoch, shown.epochs) == (0, 3, 3)
    assert shown.best == max(row["mrr_10"] for row in rows)
    run = made.folder.run_of(0)
    record = json.loads((tmp_path / "checkpoints" / "runs" / run / "run.json").read_text())
    assert record["ended"] == "done"
    assert "epoch   3" in made.folder.log(0).read_text()


def test_a_user_error_is_told_and_logged(tiny: Collection, tmp_path: Path) -> None:
    made = order(tiny, tmp_path, sweep_case.RAISES)
    with trial.served(1, tracked=False) as context:
        going = Going.begin(context, made.folder.planned()[0], made)
    going.process.join()
    assert list(going.hear()) == []
    going.leave()
    assert (going.process.exitcode, going.why) == (1, "learning_rate: this one is refused")
    assert "twotower: learning_rate: this one is refused" in made.folder.log(0).read_text()


def test_sigterm_before_training_ends_a_trial(tiny: Collection, tmp_path: Path) -> None:
    made = order(tiny, tmp_path, sweep_case.SLOW)
    with trial.served(1, tracked=False) as context:
        going = Going.begin(context, made.folder.planned()[0], made)
    going.signal(signal.SIGTERM)
    going.process.join()
    going.leave()
    assert going.process.exitcode in (-signal.SIGTERM, 143, 0)
    going.signal(signal.SIGTERM)  # nobody is there any more


def test_a_trial_ends_with_the_pipe_to_its_sweep(tiny: Collection, tmp_path: Path) -> None:
    made = order(tiny, tmp_path, sweep_case.SLOW)
    with trial.served(1, tracked=False) as context:
        going = Going.begin(context, made.folder.planned()[0], made)
    while not going.pipe.poll(5):
        assert going.process.is_alive()
    going.pipe.close()
    going.process.join(5)
    assert going.process.exitcode == 1
    run = made.folder.run_of(0)
    assert json.loads((tmp_path / "checkpoints" / "runs" / run / "run.json").read_text())["ended"] == ""


def test_what_the_server_imports_starts_no_threads() -> None:
    code = (
        f"import importlib, os; [importlib.import_module(name) for name in {trial.IMPORTED}]; "
        "print(len(os.listdir('/proc/self/task')))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
