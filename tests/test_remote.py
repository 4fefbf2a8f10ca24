"""Checkpoints on the hub, by its real client, which talks to a hub on this machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from export_case import put
from hub_case import Hub

from twotower.evaluation import names
from twotower.model import remote, sidecar
from twotower.model.remote import Address

pytest.importorskip("huggingface_hub")

FETCH = """
import sys
from pathlib import Path
from twotower.evaluation import names
for name in sys.argv[1:]:
    try:
        print(names.find(name, Path("none")))
    except (ValueError, OSError) as error:
        print(f"{type(error).__name__}: {error}")
assert "torch" not in sys.modules
"""

Fetch = Callable[..., list[str]]


@pytest.fixture
def fetch(command: Any, hub: Hub, tmp_path: Path) -> Fetch:
    """What each of some names is found to be, or the error, in a process of its own."""

    def run(*names: str, **env: str) -> list[str]:
        done = command(*names, code=FETCH, **hub.environment(str(tmp_path / "home"), **env))
        assert done.returncode == 0, done.stderr
        lines: list[str] = done.stdout.splitlines()
        assert len(lines) == len(names)
        return lines

    return run


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (path, sidecar.sidecar_of(path))}


def test_a_checkpoint_is_fetched_with_its_sidecar(fetch: Fetch, hub: Hub, tmp_path: Path) -> None:
    path = put(tmp_path)
    hub.repos["me/model"] = {**files_of(path), "README.md": b"a card"}
    sha = hub.sha("me/model")
    places = fetch(*(f"hf://me/model{end}" for end in ("", "@main", f"@{sha}", f"/{path.name}@main")))
    assert len(set(places)) == 1
    found = Path(places[0])
    assert files_of(found) == files_of(path)
    assert not (found.parent / "README.md").exists()


@pytest.mark.slow
def test_without_a_network_the_cache_is_used(fetch: Fetch, hub: Hub, tmp_path: Path) -> None:
    path = put(tmp_path)
    hub.repos["me/model"] = files_of(path)
    online = fetch("hf://me/model")
    gone = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    for env in (gone, {"HF_HUB_OFFLINE": "1"}):
        asked = len(hub.asked)
        lines = fetch("hf://me/model", "hf://me/model@v2", "hf://me/other", **env)
        assert lines[:1] == online
        for name, line in zip(("hf://me/model@v2", "hf://me/other"), lines[1:], strict=True):
            assert line.startswith(f"FileNotFoundError: checkpoint={name}: the hub cannot be reached (")
            assert line.endswith("), and the cache does not hold that revision")
        assert len(hub.asked) == asked


def test_without_network_and_cache_the_answer_comes_within_seconds(fetch: Fetch) -> None:
    began = time.monotonic()
    (line,) = fetch("hf://me/model", HF_ENDPOINT="http://127.0.0.1:9")
    assert "the hub cannot be reached" in line
    assert time.monotonic() - began < 10


def test_several_checkpoints_are_an_error_that_lists_them(fetch: Fetch, hub: Hub) -> None:
    hub.repos["me/two"] = {"a.pt": b"a", "runs/b.pt": b"b"}
    hub.repos["me/none"] = {"README.md": b""}
    several, missing, none, nobody, revision = fetch(
        "hf://me/two", "hf://me/two/c.pt", "hf://me/none", "hf://me/nobody", "hf://me/two@v9"
    )
    assert several == (
        "ValueError: checkpoint=hf://me/two: 2 checkpoints, say which: a.pt, runs/b.pt, "
        "as hf://me/two/a.pt@main"
    )
    assert missing == (
        "FileNotFoundError: checkpoint=hf://me/two/c.pt: no such file; me/two has a.pt, runs/b.pt"
    )
    assert "me/none holds no checkpoint (*.pt)" in none
    assert "no repository me/nobody, or a private one; HF_TOKEN opens those" in nobody
    assert "me/two has no revision v9" in revision
    assert not [line for line in hub.asked if "/resolve/" in line]


def test_one_of_several_can_be_picked(fetch: Fetch, hub: Hub) -> None:
    hub.repos["me/two"] = {"a.pt": b"a", "runs/b.pt": b"b", "runs/training_history_b.json": b"{}"}
    (found,) = fetch("hf://me/two/runs/b.pt")
    assert Path(found).read_bytes() == b"b"
    assert sidecar.sidecar_of(Path(found)).read_bytes() == b"{}"


@pytest.mark.slow
def test_a_fetched_checkpoint_is_verified_as_any_other(command: Any, hub: Hub, tmp_path: Path) -> None:
    files = files_of(path := put(tmp_path))
    hub.repos["me/bad"] = files | {path.name: files[path.name][:-9] + b"?" + files[path.name][-8:]}
    done = command("export", "checkpoint=hf://me/bad", **hub.environment(str(tmp_path / "home")))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert path.name in done.stderr


MALFORMED = [
    "hf://", "hf://name", "hf:///name", "hf://a/b@", "hf://a/b/", "hf://a/b/../c.pt", "hf://a/b/model.bin",
    "hf://a b/c", "hf://a/b--c", "hf://a/-b", "hf://a/b.git",
]  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_name_is_refused_before_anything_is_asked(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="want hf://user/name") as caught:
        names.find(name, tmp_path)
    assert str(caught.value).startswith(f"checkpoint={name}: ")


def test_an_address_has_repository_file_and_revision() -> None:
    assert Address.of("hf://me/a.b_c") == Address("me/a.b_c", "", "main")
    assert Address.of("hf://me/model@refs/pr/1") == Address("me/model", "", "refs/pr/1")
    assert Address.of("hf://me/model/x/y.pt@1f") == Address("me/model", "x/y.pt", "1f")


def test_no_client_is_a_line_that_says_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"checkpoint=hf://me/model: .*pip install 'twotower\[hub\]'"):
        names.find("hf://me/model", tmp_path)
    with pytest.raises(ValueError, match=r"repo=me/model: .*pip install 'twotower\[hub\]'"):
        remote.check_access("me/model")
