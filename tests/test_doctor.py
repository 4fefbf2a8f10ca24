import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from tests.training_case import small, write_beir
from twotower import cli
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.model import sidecar


@pytest.fixture
def path(tiny: Collection, workplace: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A checkpoint of a run in the workplace."""
    folder = write_beir(tiny, workplace / "tiny")
    train.run(small(folder, workplace, epochs=1, name="first"))
    capsys.readouterr()
    (file,) = (workplace / "checkpoints").glob("*.pt")
    return file


def test_it_says_what_a_checkpoint_holds_and_that_all_is_well(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", f"checkpoint={path}"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = {line.split()[0]: line for line in out.splitlines()[1:] if line.startswith("  ")}
    content = sidecar.read(path)
    assert f"{content['run']}, begun {content['created']}, epoch {content['epoch']}" in lines["run"]
    assert "kind mlp, hidden_dim 12" in lines["query_tower"]
    assert f"{content['cost']['parameters']:,} in" in lines["parameters"]
    assert f"MRR@10 {content['eval_results']['mrr_10']:.4f}" in lines["metrics"]
    assert "tiny dev, full corpus, relevant from grade 1 (" in lines["protocol"]
    assert f"hash {content['data']['hash'][:12]}" in lines["data"]
    assert f"torch {content['environment']['torch']}" in lines["versions"]
    assert "nothing that computes" in lines["changed"]
    assert "failed" not in out


@pytest.mark.parametrize("name", ["@latest", "@best", "first"])
def test_names_mean_what_they_mean_elsewhere(
    path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main(["doctor", f"checkpoint={name}", "format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["checkpoint"], found["ok"]) == (f"checkpoints/{path.name}", True)
    assert {check["ok"] for check in found["checks"]} == {True}
    assert found["holds"]["environment"]["twotower"]


def test_a_failed_check_is_exit_code_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    assert cli.main(["doctor", f"checkpoint={path}"]) == 1
    out = capsys.readouterr().out
    assert "  failed  archive     not a whole checkpoint (File is not a zip file)" in out


def test_a_folder_is_a_line_a_checkpoint_then_counts(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = path.with_name("bad.pt")
    bad.write_bytes(b"x")
    (path.parent / "per_query_gone.npz").write_bytes(b"")
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "failed  bad.pt: archive: not a whole checkpoint (File is not a zip file); it is truncated "
        "or another kind of file (and sidecar)",
        f"ok      {path.name}",
        "left    bad.pt: has no sidecar training_history_bad.json",
        "left    per_query_gone.npz: per-query values without checkpoint",
        "2 checkpoints: 1 ok, 1 failed; 2 leftovers",
    ]
    assert cli.main(["doctor", "checkpoint=checkpoints/", "format=json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["failed"], len(found["checkpoints"])) == (1, 1, 2)
    assert found["leftovers"][0] == {
        "file": "bad.pt",
        "what": "has no sidecar training_history_bad.json",
    }
    bad.unlink()
    assert cli.main(["doctor"]) == 0


def test_a_folder_without_checkpoints_and_an_unknown_name_are_mistakes(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "checkpoints").mkdir()
    assert cli.main(["doctor"]) == 2
    assert "no checkpoint in checkpoints (0 leftovers)" in capsys.readouterr().err
    assert cli.main(["doctor", "checkpoint=nothing"]) == 2
    assert "nothing: no such file, and no run of that name" in capsys.readouterr().err


WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty")
RUNS = 40


@pytest.mark.slow
def test_forty_runs_of_one_name_started_at_once_leave_forty_whole_checkpoints(workplace: Path) -> None:
    pairs = range(200)
    names = [f"{WORDS[n // 20]} {WORDS[n % 10]} {n}" for n in pairs]
    docs = {f"d{n}": {"title": names[n], "text": f"all about {names[n]}"} for n in pairs}
    queries = {f"q{n}": f"what is {names[n]}" for n in pairs}
    qrels = {
        split: {f"q{n}": {f"d{n}": 1} for n in pairs if (n % 10 == 0) == (split == "dev")}
        for split in ("train", "dev")
    }
    write_beir(Collection.from_dicts(docs, queries, qrels, name="pairs"), workplace / "pairs")
    words = ["train", "data=beir", "data.path=pairs", "vectors=random", "threads=1", "tracking=none"]
    words += ["name=same", "epochs=2", "dim=16", "hidden_dim=16"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "twotower", *words],
            cwd=workplace,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(RUNS)
    ]
    printed = [run.communicate(timeout=240) for run in runs]
    assert [err for run, (_, err) in zip(runs, printed, strict=True) if run.returncode] == []
    folder = workplace / "checkpoints"
    assert len({out for out, _ in printed}) == RUNS
    assert {out.strip() for out, _ in printed} == {f"checkpoints/{path.name}" for path in folder.glob("*.pt")}
    histories = [json.loads(path.read_text()) for path in folder.glob("training_history_*.json")]
    assert len(histories) == len({history["run"] for history in histories}) == RUNS
    assert all(len(history["training_stats"]["training_stats"]) == 2 for history in histories)
    assert not list(folder.rglob(f"*{sidecar.PARTIAL}"))
    assert cli.main(["doctor"]) == 0
