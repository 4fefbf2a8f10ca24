"""Several processes are killed together and continued together, each with its own random numbers."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from torchrun_case import torchrun

from tests.resume_case import SIGKILLED, assert_same, best_of
from tests.training_case import write_beir
from twotower.data.collection import Collection

WORDS = [
    *("data=beir", "vectors=random", "vectors_dim=8", "dim=10", "epochs=3", "hidden_dim=12", "batch_size=8"),
    *("query_tower.dropout=0.3", "doc_tower.dropout=0.3", "random_negatives=8", "learning_rate=0.005"),
    *("tracking=none", "patience=0", "device=cpu", "resume_steps=1", "floors=false"),
]


@pytest.mark.slow
def test_processes_that_are_killed_go_on_as_if_they_had_not_been(tiny: Collection, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(SIGKILLED)
    where = [f"checkpoint_dir={tmp_path / 'checkpoints'}", f"cache_dir={tmp_path / 'cache'}"]
    words = ["train", *WORDS, f"data.path={write_beir(tiny, tmp_path / 'tiny')}", *where]
    whole = torchrun(2, str(program), "999999", *words, "name=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    killed = torchrun(2, str(program), "30", *words, "name=killed", cwd=tmp_path)
    assert killed.returncode != 0
    alone = subprocess.run(
        [sys.executable, "-m", "twotower", "train", "resume=@latest", where[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 2
    assert "on 2 processes, want" in alone.stderr
    again = torchrun(2, "-m", "twotower", "train", "resume=@latest", where[0], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "goes on at epoch" in again.stderr
    names = sorted(path.name for path in (tmp_path / "checkpoints" / "runs").iterdir())
    assert_same(best_of(tmp_path, names[1]), best_of(tmp_path, names[0]))
    assert signal.SIGKILL.name in killed.stderr


@pytest.mark.slow
def test_processes_that_are_asked_to_stop_stop_together_and_go_on(tiny: Collection, tmp_path: Path) -> None:
    where = [f"checkpoint_dir={tmp_path / 'checkpoints'}", f"cache_dir={tmp_path / 'cache'}"]
    words = ["-m", "twotower", "train", *WORDS, f"data.path={write_beir(tiny, tmp_path / 'tiny')}", *where]
    words += ["epochs=40", "resume_steps=0"]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    with subprocess.Popen([*start, *words, "name=stopped"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = list(itertools.takewhile(lambda line: not line.startswith("epoch   3"), process.stderr))
        process.send_signal(signal.SIGTERM)
        said = "".join([*lines, *process.stderr])
    assert process.returncode != 0
    assert said.count("continue: torchrun --nproc_per_node=2 -m twotower train resume=stopped-") == 1, said
    again = torchrun(2, "-m", "twotower", "train", "resume=@latest", where[0], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    whole = torchrun(2, *words, "name=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    names = sorted(path.name for path in (tmp_path / "checkpoints" / "runs").iterdir())
    assert_same(best_of(tmp_path, names[1]), best_of(tmp_path, names[0]))
