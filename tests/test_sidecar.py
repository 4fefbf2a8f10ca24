import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from twotower import cli
from twotower.model import sidecar
from twotower.model.sidecar import PARTIAL, Run

NAME = "two_tower_best_first-3fa2b1_20261121_220507.pt"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file that stands for a checkpoint."""
    path = tmp_path / NAME
    path.write_bytes(b"tensors")
    return path


def rebuilding(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths whose sidecar was rebuilt, in place of rebuilding them."""
    from twotower.model import checkpoint

    seen: list[Path] = []

    def rebuild(path: Path) -> dict[str, Any]:
        seen.append(path)
        return {"run": "rebuilt"}

    monkeypatch.setattr(checkpoint, "rebuild_sidecar", rebuild)
    return seen


# names


def test_a_run_has_its_name_six_characters_and_the_time(tmp_path: Path) -> None:
    run = sidecar.reserve(tmp_path, "first")
    name, end = run.name.rsplit("-", 1)
    assert (name, len(end)) == ("first", 6)
    assert set(end) <= set("0123456789abcdef")
    assert time.strptime(run.stamp, "%Y%m%d_%H%M%S")
    assert run.checkpoint == tmp_path / f"two_tower_best_{run.name}_{run.stamp}.pt"
    assert run.scratch.is_dir()


@pytest.mark.parametrize("name", ["a", "A.b_c-d", "0", "week end".replace(" ", "_")])
def test_a_name_of_letters_digits_dots_dashes_is_taken(name: str, tmp_path: Path) -> None:
    assert sidecar.reserve(tmp_path, name).name.startswith(f"{name}-")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a b", "-a", "é", "a\n", "a\0", "a\\b", ".a"])
def test_a_name_that_cannot_stand_in_a_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^name: got .*, want letters, digits"):
        sidecar.reserve(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(OSError, match="checkpoints"):
        sidecar.reserve(tmp_path / "checkpoints", "first")


def test_forty_threads_never_get_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 40 runs and 64 names to draw from: by the pigeons' odds many draws collide
    draws = iter(range(10**6))
    monkeypatch.setattr(sidecar.secrets, "token_hex", lambda n: f"{next(draws) * 7919 % 64:06x}"[-6:])
    with ThreadPoolExecutor(40) as threads:
        runs = list(threads.map(lambda _: sidecar.reserve(tmp_path, "run"), range(40)))
    assert len({run.name for run in runs}) == 40


def test_processes_never_get_one_name(tmp_path: Path) -> None:
    # four processes, each with ten runs, all drawing the same names in the same order
    code = (
        "import itertools, pathlib; from twotower.model import sidecar; draws = itertools.count();"
        "sidecar.secrets.token_hex = lambda n: f'{next(draws):06x}';"
        f"print(*(sidecar.reserve(pathlib.Path({str(tmp_path)!r}), 'run').name for _ in range(10)))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    names = [name for process in started for name in process.communicate(timeout=60)[0].split()]
    assert Counter(names) == {f"run-{number:06x}": 1 for number in range(40)}


def test_what_lies_beside_a_checkpoint_shares_its_name() -> None:
    folder = Path("checkpoints")
    run = Run(folder, "first-3fa2b1", datetime(2026, 11, 21, 22, 5, 7))
    assert run.checkpoint.name == NAME
    assert sidecar.sidecar_of(run.checkpoint) == folder / "training_history_first-3fa2b1_20261121_220507.json"
    assert sidecar.per_query_of(run.checkpoint) == folder / "per_query_first-3fa2b1_20261121_220507.npz"


def test_other_weights_of_a_run_have_files_of_their_own() -> None:
    folder = Path("checkpoints")
    run = Run(folder, "first-3fa2b1", datetime(2026, 11, 21, 22, 5, 7))
    assert run.file("epoch3").name == "two_tower_epoch3_first-3fa2b1_20261121_220507.pt"
    end = "first-3fa2b1_20261121_220507_epoch3"
    assert sidecar.sidecar_of(run.file("epoch3")) == folder / f"training_history_{end}.json"
    assert sidecar.per_query_of(run.file("epoch3")) == folder / f"per_query_{end}.npz"
    kinds = ("best", "last", "epoch3", "epoch30")
    assert [sidecar.kind_of(run.file(kind)) for kind in kinds] == list(kinds)
    # nor those of a run that is named like a kind
    names = [Run(folder, name, run.began) for name in ("a-000000", "last_a-000000", "best_a-000000")]
    files = [made.file(kind) for made in names for kind in kinds]
    assert len({sidecar.sidecar_of(file) for file in files}) == len(set(files)) == 12


@pytest.mark.parametrize("name", ["model.pt", "v1.5.pt", "training_history_x.pt", "two_tower_best_x.pt"])
def test_a_checkpoint_of_another_name_has_its_own_files(name: str) -> None:
    path, stem = Path("a") / name, name.removesuffix(".pt")
    assert sidecar.sidecar_of(path) == Path("a") / f"training_history_{stem}.json"
    assert sidecar.per_query_of(path) == Path("a") / f"per_query_{stem}.npz"


# writing


def test_a_file_is_written_with_its_folder_and_a_mode_for_others(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "file"
    before = os.umask(0o022)
    try:
        sidecar.write_aside(path, lambda file: file.write(b"whole"))
    finally:
        os.umask(before)
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file: Any) -> None:
        file.write(b"ne")
        raise error

    with pytest.raises(error):
        sidecar.write_aside(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_one_line_that_names_the_file(number: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file: Any) -> None:
        file.write(b"ne")
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match="file") as caught:
        sidecar.write_aside(path, write)
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert cli.one_line(caught.value) == f"{path}: {os.strerror(number).lower()}"
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


LIMITED = """
import pathlib, resource, torch
from twotower import cli
from twotower.model import sidecar
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    sidecar.write_aside(pathlib.Path("x.pt"), lambda file: torch.save({"a": torch.zeros(1_000_000)}, file))
except OSError as error:
    print(cli.one_line(error))
"""


def test_what_torch_makes_of_a_full_disk_is_one_line_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "x.pt: file too large\n"
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    sidecar.write_aside(path, lambda file: file.write(b"whole"))
    assert path.read_bytes() == b"whole"


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import pathlib, time; from twotower.model import sidecar\n"
        "def write(file):\n"
        "    file.write(b'half'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
        f"sidecar.write_aside(pathlib.Path({str(path)!r}), write)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"
    (left,) = [one for one in tmp_path.iterdir() if one != path]
    assert left.name.endswith(PARTIAL)

    sidecar.write_aside(path, lambda file: file.write(b"new"))
    assert left.exists()  # it may belong to a process that still writes
    os.utime(left, (0, 0))
    sidecar.write_aside(path, lambda file: file.write(b"newer"))
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_half_written_is_not_listed(checkpoint: Path) -> None:
    checkpoint.with_name(f".half{PARTIAL}").write_bytes(b"")
    checkpoint.with_name(".hidden.pt").write_bytes(b"")
    assert sidecar.checkpoints(checkpoint.parent) == [checkpoint]


# reading


def test_a_sidecar_says_what_it_was_given_and_which_file_it_belongs_to(checkpoint: Path) -> None:
    content = {"run": "first-3fa2b1", "eval_results": {"mrr_10": 0.25}, "note": "é"}
    sidecar.write(checkpoint, content)
    read = sidecar.read(checkpoint)
    assert {key: read[key] for key in content} == content
    assert read["file"]["name"] == NAME
    assert read["file"]["bytes"] == 7
    assert read["file"]["sha256"] == sidecar.sha256(checkpoint)


def test_a_digest_is_that_of_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, example B.1
    assert sidecar.sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_what_json_cannot_hold_is_not_written(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sidecar.write(checkpoint, {"mrr_10": float("nan")})
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_missing_sidecar_is_rebuilt(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = rebuilding(monkeypatch)
    assert sidecar.read(checkpoint) == {"run": "rebuilt"}
    assert seen == [checkpoint]


def test_a_sidecar_that_is_there_is_not_rebuilt(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = rebuilding(monkeypatch)
    sidecar.write(checkpoint, {"run": "first"})
    assert sidecar.read(checkpoint)["run"] == "first"
    assert seen == []


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_text('{"run": "fir'), "not a sidecar (Unterminated string"),
        (lambda path: path.write_text(""), "not a sidecar (Expecting value"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not a sidecar ("),
        (lambda path: path.write_text("[1]"), "got list, want a JSON object; delete it and it is rebuilt"),
    ],
    ids=["cut", "empty", "bytes", "list"],
)
def test_a_damaged_sidecar_is_one_line_that_says_which(damage: Damage, says: str, checkpoint: Path) -> None:
    sidecar.write(checkpoint, {"run": "first"})
    path = sidecar.sidecar_of(checkpoint)
    damage(path)
    with pytest.raises(ValueError, match="training_history_") as caught:
        sidecar.read(checkpoint)
    assert str(caught.value).startswith(f"{path}: {says}")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_cut_short_is_noticed_without_opening_it(checkpoint: Path) -> None:
    sidecar.write(checkpoint, {"run": "first"})
    checkpoint.write_bytes(b"tens")
    with pytest.raises(ValueError, match=r"4 bytes, training_history_.* says 7; truncated or replaced"):
        sidecar.read(checkpoint)


def test_a_checkpoint_that_is_not_there_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt: no such checkpoint file"):
        sidecar.read(tmp_path / "nothing.pt")
    with pytest.raises(FileNotFoundError, match="no such checkpoint file"):
        sidecar.read(tmp_path)


def test_checkpoints_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("b.pt", "a.pt", "c.json"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in sidecar.checkpoints(tmp_path)] == ["a.pt", "b.pt"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        FileNotFoundError, match=r"nowhere: no such folder; `twotower train` makes checkpoints"
    ):
        sidecar.checkpoints(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="file: a file, want a folder of checkpoints"):
        sidecar.checkpoints(tmp_path / "file")


def test_reading_a_sidecar_needs_no_torch(checkpoint: Path) -> None:
    sidecar.write(checkpoint, {"run": "first"})
    code = (
        "import pathlib, sys; from twotower.model import sidecar;"
        f"sidecar.read(pathlib.Path({str(checkpoint)!r})); print('torch' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert json.loads(sidecar.sidecar_of(checkpoint).read_text(encoding="utf-8"))["run"] == "first"
