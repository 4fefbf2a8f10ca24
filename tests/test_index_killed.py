"""SIGKILL at any moment of a build and of an addition: the old or the new index answers, never a mixture.

A process that has imported torch forks the ones that are killed, so that twenty kills take seconds. What it
prints is a line for each kill: the moment, and what the next process found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from index_case import Indexes, held, same_bytes
from search_case import TEXTS

from twotower import config
from twotower.search import checking, versions

KILLER = """
import os, random, signal, sys, time, traceback
from pathlib import Path
sys.path[:0] = {path!r}
import torch
from twotower.search import stages
stages.batches.__defaults__ = (2,)
torch.set_num_threads(1)
from index_case import Indexes
action, kills, seed = {action!r}, {kills!r}, {seed!r}
random.seed(seed)
made = Indexes(Path({folder!r}))

def work():
    if action == "build":
        made.build()
    else:
        made.add({more!r})

def forked(ends):
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    began = time.perf_counter()
    if ends is not None:
        time.sleep(ends)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, time.perf_counter() - began

import shutil
root, kept = made.root, made.folder / "kept"
if root.exists():
    shutil.copytree(root, kept)
whole = max(forked(None)[1], 0.02)  # how long it takes when nobody kills it
shutil.rmtree(root)
if kept.exists():
    shutil.copytree(kept, root)
for number in range(kills):
    code, took = forked(random.random() * whole * 1.1)
    print(number, code, round(took, 4), flush=True)
    shutil.copytree(root, made.folder / f"after{{number}}") if root.exists() else None
    if action == "add" or code == 0:
        shutil.rmtree(root, ignore_errors=True)
        if kept.exists():
            shutil.copytree(kept, root)
"""

MORE = {f"new{number}": f"a file of {number} documents" for number in range(40)}


def killed(folder: Path, action: str, kills: int) -> list[int]:
    """The exit codes of so many processes killed while they do `action`; what each left is in `after<n>`."""
    code = KILLER.format(
        path=[str(ROOT), str(ROOT / "tests")],
        action=action,
        kills=kills,
        seed=kills,
        folder=str(folder),
        more=MORE,
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines()]


KILLS = [pytest.param(3, id="few"), pytest.param(20, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_addition_leaves_the_old_index_or_the_new(tmp_path: Path, kills: int) -> None:
    made = Indexes(tmp_path)
    made.build()
    codes = killed(tmp_path, "add", kills)
    assert len(codes) == kills
    new = dict(sorted({**TEXTS, **MORE}.items()))
    for number in range(kills):
        root = tmp_path / f"after{number}"
        place = versions.resolve(root, "docs")
        assert held(place) in (TEXTS, new)
        checking.check(place.folder, lambda _: made.encoder)
        made.root = root
        made.add(MORE)
        assert held(versions.resolve(root, "docs")) == new


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_build_leaves_no_index_or_a_whole_one(tmp_path: Path, kills: int) -> None:
    made = Indexes(tmp_path)
    made.write({**TEXTS, **MORE})
    codes = killed(tmp_path, "build", kills)
    assert len(codes) == kills
    made.root = tmp_path / "fresh"
    fresh = made.build()
    for number in range(kills):
        made.root = tmp_path / f"after{number}"
        for version in versions.versions(made.root, "docs") if made.root.exists() else []:
            assert same_bytes(made.root / "docs" / version, fresh.folder)
        place = made.build()
        assert same_bytes(place.folder, fresh.folder)
        assert checking.check(versions.resolve(made.root, "docs").folder, lambda _: made.encoder)


@pytest.mark.slow
def test_a_build_killed_on_the_command_line_is_finished_by_the_next(tmp_path: Path) -> None:
    from twotower.model import checkpoint  # noqa: PLC0415

    made = Indexes(tmp_path)
    checkpoint.save(made.case.checkpoint, made.case.retriever, made.case.content)
    made.write({f"d{row:05}": f"{text} {row}" for row in range(3000) for text in ["read a csv file"]})
    words = [
        sys.executable,
        "-m",
        "twotower",
        "index",
        "build",
        "docs",
        "checkpoint=model.pt",
        "docs=docs.jsonl",
    ]
    env = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    process = subprocess.Popen(words, cwd=tmp_path, env=env)
    root = tmp_path / config.Index.index_dir
    while process.poll() is None and not list(root.glob("docs/.build*/documents.db")):
        pass
    process.kill()
    process.wait()
    done = subprocess.run([*words, "format=json"], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert json.loads(done.stdout)["documents"] == 3000
