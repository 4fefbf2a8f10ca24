import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, terminal

from twotower.config import Contrastive, Docstrings, MLPTower, Tracking, Train
from twotower.training import tracking
from twotower.training.tracking import Tracker, start

ROW = {"epoch": 1, "mrr_10": 0.25}

PROGRAM = """
import json, os, sys
from pathlib import Path
from twotower.config import Contrastive, Docstrings, MLPTower, Train
from twotower.training import tracking
towers = {"query_tower": MLPTower(), "doc_tower": MLPTower()}
tracker = tracking.start(
    Train(data=Docstrings(), loss=Contrastive(), **towers), "first-3fa2b1", Path(os.environ["SCRATCH"]),
    {"loss": {"kind": "contrastive"}, "dim": 8},
)
tracker.log({"epoch": 1, "mrr_10": 0.25}, ([3, 1], [1, 2, 4]))
BETWEEN
tracker.log({"epoch": 2, "mrr_10": 0.5})
tracker.finish({"mrr_10": 0.5})
print(json.dumps({"id": tracker.wandb_id}), flush=True)
"""


def knobs(which: Tracking = Tracking.auto) -> Train:
    tower = MLPTower()
    return Train(data=Docstrings(), query_tower=tower, doc_tower=tower, loss=Contrastive(), tracking=which)


def rows(scratch: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (scratch / "metrics.jsonl").read_text().splitlines()]


@dataclass
class FakeRun:
    """Stands for W&B's run; the methods named in `fails` raise."""

    fails: dict[str, Exception] = dataclass_field(default_factory=dict)
    calls: list[str] = dataclass_field(default_factory=list)
    logged: list[tuple[int, dict[str, Any]]] = dataclass_field(default_factory=list)
    artifacts: list[Any] = dataclass_field(default_factory=list)
    id: str = "abc"
    dir: str = "wandb/run-abc/files"
    url: str = "https://example.org/run"

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    @property
    def summary(self) -> "FakeRun":
        return self

    def update(self, values: dict[str, Any]) -> None:
        self._call("summary")

    def log(self, row: dict[str, Any], step: int, commit: bool) -> None:
        assert commit  # else W&B holds the row back
        self.logged.append((step, row))
        self._call("log")

    def log_artifact(self, artifact: Any) -> None:
        self._call("artifact")
        self.artifacts.append(artifact)

    def finish(self, exit_code: int = 0) -> None:
        self._call(f"finish {exit_code}")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, and no wish in the environment."""
    monkeypatch.delenv("WANDB_MODE")
    return pytest.importorskip("wandb")


# without W&B


def test_rows_are_on_disk_as_soon_as_they_are_logged(tmp_path: Path) -> None:
    tracker = start(knobs(Tracking.none), "first", tmp_path, {})
    tracker.log(ROW)
    assert rows(tmp_path) == [ROW]
    tracker.log({"epoch": 2})
    tracker.finish({})
    assert rows(tmp_path) == [ROW, {"epoch": 2}]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    assert tracker.wandb_id is None


def test_a_continued_run_has_the_rows_that_it_had_and_no_row_twice(tmp_path: Path) -> None:
    tracker = start(knobs(Tracking.none), "first", tmp_path, {})
    for epoch in range(4):
        tracker.log({"epoch": epoch})
    tracker.finish({})
    again = start(knobs(Tracking.none), "first", tmp_path, {}, history=[{"epoch": 0}, {"epoch": 1}])
    assert rows(tmp_path) == [{"epoch": 0}, {"epoch": 1}]
    again.log({"epoch": 2})
    again.finish({})
    assert rows(tmp_path) == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2}]


@pytest.mark.parametrize("mode", ["disabled", "DISABLED", " disabled "])
def test_disabled_means_that_wandb_is_not_even_imported(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it is an error now
    for which in Tracking:
        tracker = start(knobs(which), "first", tmp_path, {})
        tracker.log(ROW)
        tracker.finish({})
        assert tracker.wandb_id is None


def test_no_tracking_needs_no_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setitem(sys.modules, "wandb", None)
    start(knobs(Tracking.none), "first", tmp_path, {}).finish({})


# with W&B


def test_rows_are_logged_by_epoch_and_ranks_as_a_histogram_beside_them(tmp_path: Path, wandb: Any) -> None:
    run = FakeRun()
    tracker = Tracker(tmp_path, run)
    tracker.log({"epoch": 3, "mrr_10": 0.5}, ([4, 1], [1, 2, 4]))
    ((step, row),) = run.logged
    assert (step, row["mrr_10"]) == (3, 0.5)
    assert (list(row["dev_ranks"].histogram), list(row["dev_ranks"].bins)) == ([4, 1], [1, 2, 4])
    assert rows(tmp_path) == [{"epoch": 3, "mrr_10": 0.5}]  # the file holds numbers alone
    tracker.finish({})


def test_a_checkpoint_is_an_artifact_and_stays_where_it_is(
    tmp_path: Path, wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "home"))
    path = tmp_path / "a.pt"
    path.write_bytes(b"tensors")
    run = FakeRun()
    tracker = Tracker(tmp_path, run)
    tracker.artifact([path])
    (made,) = run.artifacts
    assert (made.name, made.type) == ("checkpoint-abc", "model")
    assert made.manifest.entries["a.pt"].local_path == str(path)
    tracker.artifact([tmp_path / "nothing.pt"])  # a failure is said and stops nothing
    assert len(run.artifacts) == 1
    tracker.finish({})


@pytest.mark.parametrize(
    ("mode", "asked"),
    [("online", {"id": "old", "resume": "allow"}), ("offline", {"id": None, "resume": None})],
)
def test_a_continued_run_is_the_same_online_and_a_whole_one_offline(
    mode: str, asked: dict[str, Any], tmp_path: Path, wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    run = FakeRun()

    def init(**how: Any) -> FakeRun:
        seen.append({name: how[name] for name in asked})
        return run

    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr(wandb, "init", init)
    history = [{"epoch": 0, "mrr_10": 0.1}, {"epoch": 1, "mrr_10": 0.2}]
    tracker = start(knobs(), "first", tmp_path, {}, wandb_id="old", history=history)
    tracker.finish({})
    assert seen == [asked]
    assert run.logged == [(0, history[0]), (1, history[1])]


# when W&B fails


def failures() -> dict[str, Callable[[], Exception]]:
    def mailbox() -> Exception:
        from wandb.sdk.mailbox import MailboxClosedError

        return MailboxClosedError()

    def comm() -> Exception:
        import wandb

        return wandb.Error("no\nanswer")

    return {"error": comm, "mailbox": mailbox, "socket": lambda: ConnectionResetError("Connection lost")}


@pytest.mark.parametrize("method", ["log", "artifact", "summary", "finish 0"])
@pytest.mark.parametrize("failure", failures())
def test_a_failing_wandb_is_said_once_and_never_stops_a_run(
    method: str, failure: str, tmp_path: Path, wandb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = FakeRun({method: failures()[failure]()})
    tracker = Tracker(tmp_path, run)
    for _ in range(3):
        tracker.log(ROW)
    tracker.artifact([])
    tracker.finish({"mrr_10": 0.25})
    assert rows(tmp_path) == [ROW] * 3
    assert tracker.wandb_id == "abc"  # what was logged before is still there
    err = capsys.readouterr().err
    assert err.startswith("W&B failed and is left out from here on (")
    assert err.count("\n") == 1


def test_a_run_that_failed_is_finished_as_failed(tmp_path: Path, wandb: Any) -> None:
    run = FakeRun()
    tracker = Tracker(tmp_path, run)
    tracker.log(ROW)
    tracker.finish({}, exit_code=1)
    assert run.calls == ["log", "summary", "finish 1"]


def test_finishing_twice_is_harmless(tmp_path: Path, wandb: Any) -> None:
    run = FakeRun()
    tracker = Tracker(tmp_path, run)
    tracker.finish({})
    tracker.finish({})
    assert run.calls == ["summary", "finish 0"]


def test_where_online_fails_the_run_goes_on_offline(
    tmp_path: Path, wandb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    modes = []

    def init(*, mode: str, **_: Any) -> FakeRun:
        modes.append(mode)
        if mode == "online":
            raise wandb.errors.CommError("dead server")
        return FakeRun()

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "init", init)
    tracker = start(knobs(), "first", tmp_path, {})
    tracker.finish({})
    assert tracker.wandb_id == "abc"
    assert modes == ["online", "offline"]
    assert capsys.readouterr().err == (
        "W&B: online failed (dead server)\nW&B: offline; wandb sync wandb/run-abc\n"
    )


def test_where_all_fails_rows_are_still_kept(
    tmp_path: Path, wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> FakeRun:
        raise wandb.errors.UsageError("no")

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(wandb, "init", init)
    tracker = start(knobs(Tracking.wandb), "first", tmp_path, {})
    tracker.log(ROW)
    tracker.finish({})
    assert (tracker.wandb_id, rows(tmp_path)) == (None, [ROW])


@pytest.mark.parametrize(
    ("wanted", "logged_in", "mode"),
    [
        ("online", False, "online"),
        ("offline", True, "offline"),
        ("dryrun", True, "offline"),
        ("", True, "online"),
        ("", False, "offline"),
        ("nonsense", False, "offline"),
    ],
)
def test_the_environment_decides_and_else_whether_the_user_is_logged_in(
    wanted: str, logged_in: bool, mode: str, wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def login(**how: Any) -> bool:
        asked.append(how)
        return logged_in

    monkeypatch.setattr(wandb, "login", login)
    assert tracking._mode(wanted) == mode
    assert all(how == {"prompt": False, "verify": False} for how in asked)
    assert bool(asked) == (wanted in ("", "nonsense"))


def test_a_malformed_key_means_offline_and_is_said(
    wandb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def login(**_: Any) -> bool:
        raise wandb.errors.AuthenticationError("WANDB_API_KEY invalid")

    monkeypatch.setattr(wandb, "login", login)
    assert tracking._mode("") == "offline"
    assert capsys.readouterr().err == "W&B: WANDB_API_KEY invalid\n"


@pytest.mark.parametrize(
    ("mode", "logged_in"), [("online", True), ("offline", False), ("disabled", False), (" Disabled", False)]
)
def test_whether_runs_would_go_to_a_server(
    mode: str, logged_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    assert tracking.logged_in() == logged_in


# the real one, in a process and a home of its own


@dataclass(frozen=True)
class Outcome:
    """What a program that tracks leaves."""

    text: str
    id: str | None
    home: Path
    work: Path
    scratch: Path
    connections: int


def tracked(folder: Path, between: str = "", **env: str) -> Outcome:
    """Run the program on a terminal, where a prompt would wait for ever, with a server that only counts."""
    home, work, scratch = (folder / name for name in ("home", "work", "scratch"))
    for path in (home, work, scratch):
        path.mkdir()
    connections: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def count() -> None:
            while True:
                try:
                    connections.append(server.accept()[0].close())
                except OSError:
                    return

        threading.Thread(target=count, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "XDG"))}
        clean |= {"HOME": str(home), "SCRATCH": str(scratch), "PYTHONPATH": str(ROOT), "WANDB_BASE_URL": url}
        clean |= {
            "HTTP_PROXY": url,
            "HTTPS_PROXY": url,
            "http_proxy": url,
            "https_proxy": url,
            "no_proxy": "",
        }
        text = terminal(PROGRAM.replace("BETWEEN", between), {**clean, **env}, cwd=work, timeout=60)
        server.close()
    last = (
        text.strip().splitlines()[-1] if '{"id"' not in text else text[text.index('{"id"') :].splitlines()[0]
    )
    return Outcome(text, json.loads(last)["id"], home, work, scratch, len(connections))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_new_user_is_asked_nothing_and_loses_nothing(tmp_path: Path) -> None:
    outcome = tracked(tmp_path)
    assert outcome.id
    (stored,) = (tmp_path / "scratch" / "wandb").glob(f"offline-run-*-{outcome.id}/run-{outcome.id}.wandb")
    assert stored.stat().st_size > 300
    assert [row["mrr_10"] for row in rows(outcome.scratch)] == [0.25, 0.5]
    assert f"W&B: offline; wandb sync {stored.parent}\n" in outcome.text
    assert "api_key" not in outcome.text
    assert files(outcome.work) == []
    assert [name for name in files(outcome.home) if not name.startswith(".cache/wandb/logs/")] == []


@pytest.mark.slow
def test_an_artifact_of_an_offline_run_is_not_copied(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"x" * 3_000_000)
    give = f"tracker.artifact([Path({str(file)!r})])"
    outcome = tracked(tmp_path, between=give, WANDB_MODE="offline")
    assert outcome.id
    copies = [path for path in outcome.home.rglob("*") if path.is_file() and path.stat().st_size >= 3_000_000]
    assert copies == []
    assert "W&B failed" not in outcome.text


@pytest.mark.slow
def test_wandb_offline_makes_no_connection(tmp_path: Path) -> None:
    outcome = tracked(tmp_path, WANDB_ERROR_REPORTING="false", WANDB_MODE="offline")
    assert (outcome.connections, bool(outcome.id)) == (0, True)


@pytest.mark.slow
def test_a_malformed_key_loses_nothing(tmp_path: Path) -> None:
    outcome = tracked(tmp_path, WANDB_API_KEY="short")
    assert "W&B: WANDB_API_KEY invalid" in outcome.text
    assert list((outcome.scratch / "wandb").glob(f"offline-run-*-{outcome.id}"))


@pytest.mark.slow
def test_a_wandb_that_dies_in_mid_run_stops_nothing(tmp_path: Path) -> None:
    kill = (
        "import signal, subprocess, time\n"
        "listed = subprocess.run(['ps', '-eo', 'pid,ppid,comm'], capture_output=True, text=True).stdout\n"
        "for line in listed.splitlines()[1:]:\n"
        "    pid, parent, name = line.split(None, 2)\n"
        "    if int(parent) == os.getpid() and 'wandb-core' in name:\n"
        "        os.kill(int(pid), signal.SIGKILL)\n"
        "time.sleep(0.5)"
    )
    outcome = tracked(tmp_path, between=kill)
    assert outcome.text.count("W&B failed and is left out") == 1
    assert outcome.id
    assert [row["epoch"] for row in rows(outcome.scratch)] == [1, 2]


@pytest.mark.slow
def test_a_dead_server_costs_half_a_minute_and_no_data(tmp_path: Path) -> None:
    outcome = tracked(tmp_path, WANDB_API_KEY="a" * 40, WANDB_BASE_URL="http://127.0.0.1:9")
    assert "W&B: online failed" in outcome.text
    assert list((outcome.scratch / "wandb").glob(f"offline-run-*-{outcome.id}"))
