"""What the tests share: shapes checked at run time, no tracking, a small collection, the command line."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hub_case import Hub, running
from jaxtyping import install_import_hook

os.environ["WANDB_MODE"] = "disabled"
os.environ["WANDB_ERROR_REPORTING"] = "false"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before anything imports torch
for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):  # they change what is printed
    os.environ.pop(name, None)

# before anything imports the model: every shape in a signature there is checked in every test
install_import_hook("twotower.model", "beartype.beartype")

from twotower.data.collection import Collection  # noqa: E402  - the hook comes first

ROOT = Path(__file__).resolve().parents[1]

ANIMALS = (
    "badger", "crane", "dormouse", "eel", "falcon", "gecko",
    "heron", "ibex", "jackal", "kestrel", "lynx", "marten",
)  # fmt: skip
PLACES = ("harbour", "orchard", "glacier", "desert", "marsh")
FOODS = ("plums", "snails", "moss", "crumbs", "beetles", "roots", "minnows")
TIMES = ("at dusk", "at noon", "before dawn", "after rain")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tiny() -> Collection:
    """60 documents, one for each animal and place; 40 queries to train on, 10 in dev, 10 in test."""
    docs: dict[str, str | Mapping[str, str]] = {}
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, dict[str, int]]] = {"train": {}, "dev": {}, "test": {}}
    for number in range(60):
        animal, place = ANIMALS[number % 12], PLACES[number % 5]
        food, time = FOODS[number % 7], TIMES[number % 4]
        text = f"The {animal} of the {place} eats {food} {time}, and sleeps for the rest of the day."
        docs[f"d{number:02}"] = {"title": f"{animal.title()} of the {place}", "text": text}
        queries[f"q{number:02}"] = f"what does the {animal} of the {place} eat?"
        split = ("dev", "test", "train", "train", "train", "train")[number % 6]
        qrels[split][f"q{number:02}"] = {f"d{number:02}": 1}
    return Collection.from_dicts(docs, queries, qrels, name="tiny")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    folder = tmp_path / "workplace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(workplace: Path) -> Command:
    """`python -m twotower` in a process of its own and an empty folder."""

    def run(*words: str, code: str | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
        start = ["-c", code] if code else ["-m", "twotower"]
        return subprocess.run(
            [sys.executable, *start, *words],
            cwd=workplace,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    return run


def terminal(code: str, env: Mapping[str, str], *, timeout: float, cwd: Path | None = None) -> str:
    """What a Python process writes to a terminal, its input too, until it ends well."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    assert process.wait(timeout=timeout) == 0, b"".join(parts).decode()
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub on this machine, which is asked nothing that it does not know."""
    with running(Hub()) as made:
        yield made
        assert made.unknown == []
