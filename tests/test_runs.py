import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from twotower import config, knobs
from twotower.model.sidecar import Run
from twotower.training import runs
from twotower.training.runs import Known

DATA = {"collection": "c" * 64, "vocabulary": "v" * 64}


def knobs_of(**changes: Any) -> config.Train:
    tower = config.MLPTower()
    settings = {
        "data": config.Beir(path="a"),
        "query_tower": tower,
        "doc_tower": tower,
        "loss": config.Contrastive(),
    }
    return config.Train(**(settings | changes))


def put(folder: Path, name: str, *, day: int = 1, ended: str = "", **changes: Any) -> Known:
    """A run on disk."""
    known = Known(Run(folder, name, datetime(2026, 1, day)), knobs.plain(knobs_of(**changes)), DATA, ended)
    runs.write(known)
    return known


# who it is


def test_a_record_says_again_what_it_was_given(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1", learning_rate=1e-5, k=[1, 10])
    assert runs.read(runs.file_of(known.run)) == known
    assert runs.file_of(known.run) == tmp_path / "runs" / "first-3fa2b1" / "run.json"


def test_a_run_is_found_by_its_whole_name_and_by_the_one_it_was_given(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    put(tmp_path, "second-000000")
    assert runs.find(tmp_path, "first-3fa2b1") == runs.find(tmp_path, "first") == known


def test_the_latest_is_the_last_begun_of_those_that_have_not_ended(tmp_path: Path) -> None:
    put(tmp_path, "z-000000", day=1)
    known = put(tmp_path, "a-000000", day=2)
    put(tmp_path, "b-000000", day=3, ended="done")
    assert runs.find(tmp_path, "@latest") == known


def test_of_two_runs_of_a_name_the_one_that_has_not_ended_is_meant(tmp_path: Path) -> None:
    put(tmp_path, "a-000001", ended="done")
    known = put(tmp_path, "a-000002")
    assert runs.find(tmp_path, "a") == known
    put(tmp_path, "a-000003")
    with pytest.raises(ValueError, match="2 runs are named 'a'; say which: a-000002, a-000003"):
        runs.find(tmp_path, "a")


@pytest.mark.parametrize("name", ["first-3fa2b1", "first"])
def test_a_run_that_has_ended_is_not_continued(name: str, tmp_path: Path) -> None:
    put(tmp_path, "first-3fa2b1", ended="done")
    says = r"resume: first-3fa2b1 has ended \(done\); its checkpoint is .*two_tower_best_first-3fa2b1"
    with pytest.raises(ValueError, match=says):
        runs.find(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("frist", "resume: no run frist in .*; did you mean first?"),
        ("zzz", "resume: no run zzz in "),
        ("../first-3fa2b1", "resume: no run ../first"),
    ],
)
def test_an_unknown_run_is_one_line_with_the_nearest_name(name: str, says: str, tmp_path: Path) -> None:
    put(tmp_path, "first-3fa2b1")
    with pytest.raises(FileNotFoundError, match=re.escape(says).replace("\\.\\*", ".*")):
        runs.find(tmp_path, name)


def test_where_nothing_is_left_to_continue_that_is_said(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"resume: no run in .* is left to continue"):
            runs.find(folder, "@latest")
        put(tmp_path, "first-3fa2b1", ended="done")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": "a", "began": "yesterday"}'])
def test_a_damaged_record_is_one_line_and_no_hindrance_to_others(text: str, tmp_path: Path) -> None:
    known = put(tmp_path, "good-000000")
    path = runs.file_of(put(tmp_path, "bad-000000", day=2).run)
    path.write_text(text)
    with pytest.raises(ValueError, match="not a run's record") as caught:
        runs.find(tmp_path, "bad-000000")
    assert str(caught.value).startswith(f"{path}: ")
    assert runs.find(tmp_path, "@latest") == known


def test_a_run_that_ends_says_how_and_leaves_no_state(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    runs.state_of(known.run).write_bytes(b"state")
    runs.end(known, "done")
    assert runs.read(runs.file_of(known.run)) == replace(known, ended="done")
    assert not runs.state_of(known.run).exists()


# with what knobs


def test_words_that_continue_nothing_bring_no_knobs() -> None:
    assert runs.stored(["epochs=3"]) is runs.stored(["resume="]) is None


def test_a_run_brings_its_knobs_but_for_where_it_was(tmp_path: Path) -> None:
    put(tmp_path, "first-3fa2b1", loss=config.Triplet(margin=0.3), epochs=7, checkpoint_dir="elsewhere")
    stored = runs.stored(["resume=first", f"checkpoint_dir={tmp_path}"])
    assert stored is not None
    assert stored.groups["loss"] == "triplet"
    assert (stored.values["loss.margin"], stored.values["epochs"]) == (0.3, 7)
    assert "checkpoint_dir" not in stored.values


def test_knobs_of_another_version_are_one_line(tmp_path: Path) -> None:
    path = runs.file_of(put(tmp_path, "first-3fa2b1").run)
    content = json.loads(path.read_text())
    content["knobs"]["lerning_rate"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"run\.json: lerning_rate: not a knob of this version; the version"):
        runs.stored(["resume=first", f"checkpoint_dir={tmp_path}"])


def test_equal_knobs_agree(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    assert runs.agree(known, knobs_of(resume="first")) == runs.Changes([], [])


def test_every_changed_knob_is_named_in_the_refusal(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    changed = knobs_of(learning_rate=0.01, query_tower=config.MLPTower(hidden_dim=9), epochs=4)
    with pytest.raises(ValueError, match="first-3fa2b1 has other knobs: ") as caught:
        runs.agree(known, changed)
    text = str(caught.value)
    assert "query_tower.hidden_dim: 256 -> 9; " in text
    assert "learning_rate: 0.001 -> 0.01" in text
    assert "epochs: 10 -> 4" in text  # fewer
    assert "\n" not in text


def test_another_choice_is_named_without_what_belongs_to_it(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1", loss=config.Triplet(margin=0.3))
    with pytest.raises(ValueError, match="other knobs: loss: triplet -> margin; leave"):
        runs.agree(known, knobs_of(loss=config.Margin(margin=0.5)))


def test_a_harmless_change_is_listed(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    changes = runs.agree(
        known, knobs_of(checkpoint_dir="moved", tracking=config.Tracking.none, data=config.Beir(path="b"))
    )
    assert changes.course == []
    assert changes.harmless == [
        "data.path: a -> b",
        "checkpoint_dir: checkpoints -> moved",
        "tracking: auto -> none",
    ]


@pytest.mark.parametrize(
    ("scheduler", "warmup", "says"),
    [
        ("cosine", 0.0, "epochs: 10 -> 20 (from here on the learning rate is that of a run of 20 epochs)"),
        ("constant", 0.1, "epochs: 10 -> 20 (from here on the learning rate is that of a run of 20 epochs)"),
        ("constant", 0.0, "epochs: 10 -> 20 (as if they had been asked for at the start)"),
    ],
)
def test_more_epochs_are_taken_and_what_they_mean_is_said(
    scheduler: str, warmup: float, says: str, tmp_path: Path
) -> None:
    course = {"scheduler": config.Scheduler[scheduler], "warmup": warmup}
    known = put(tmp_path, "first-3fa2b1", **course)
    assert runs.agree(known, knobs_of(epochs=20, **course)).course == [says]


def test_another_device_is_taken_and_may_change_the_last_bits(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    assert runs.agree(known, knobs_of(device=config.Device.cpu)).course == ["device: auto -> cpu"]


def test_every_knob_that_is_let_through_is_a_knob() -> None:
    names = {*knobs.types_of(config.Train), *knobs.types_of(config.Beir, "data.")}
    assert names >= {*runs.WITHOUT_EFFECT, *runs.LAST_BITS}


@pytest.mark.parametrize("name", DATA)
def test_other_data_are_refused(name: str, tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    runs.same_data(known, DATA)
    with pytest.raises(
        ValueError, match=rf"first-3fa2b1: the {name} is no longer what it was \({name[0]}{{12}}"
    ):
        runs.same_data(known, DATA | {name: "other"})


# one process at a time


def test_a_run_that_goes_on_elsewhere_is_not_continued(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    with runs.held(known.run):
        says = f"first-3fa2b1 is still going on, as process {os.getpid()}"
        with pytest.raises(ValueError, match=says), runs.held(known.run):
            raise AssertionError("two processes hold one run")
        with runs.held(known.run, False):
            pass
    with runs.held(known.run):
        pass


def test_a_process_that_was_killed_holds_no_run(tmp_path: Path) -> None:
    known = put(tmp_path, "first-3fa2b1")
    code = (
        "import os, signal, sys; from pathlib import Path; from twotower.training import runs;"
        "known = runs.read(Path(sys.argv[1]))\n"
        "with runs.held(known.run): os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = str(runs.file_of(known.run))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code, path], env=env, check=False).returncode == -9
    with runs.held(known.run):
        pass


def test_reading_runs_needs_no_torch() -> None:
    slow = "[name for name in ('torch', 'numpy') if name in sys.modules]"
    code = f"import sys; from twotower.training import runs; print({slow})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
