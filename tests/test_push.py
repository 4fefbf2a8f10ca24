"""`twotower push`, by the hub's real client, which talks to a hub on this machine."""

import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from export_case import put
from hub_case import TOKEN, Hub

from twotower import cli
from twotower.model import sidecar

pytestmark = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="needs sentence_transformers, of the extra export"
)

Push = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def path(workplace: Path) -> Path:
    """The only checkpoint of the workplace."""
    return put(workplace / "checkpoints")


@pytest.fixture
def push(command: Any, hub: Hub, path: Path, tmp_path: Path) -> Push:
    def run(*words: str, **env: str) -> "CompletedProcess[str]":
        done: CompletedProcess[str] = command(
            "push", *words, **hub.environment(str(tmp_path / "home"), **env)
        )
        assert TOKEN not in done.stdout + done.stderr
        return done

    return run


@pytest.mark.slow
def test_a_dry_run_lists_the_files_and_asks_nobody(push: Push, hub: Hub, path: Path, workplace: Path) -> None:
    done = push("repo=me/model", "format=json", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["repo"], answer["dry_run"], answer["url"]) == ("me/model", True, None)
    sizes = {file["path"]: file["bytes"] for file in answer["files"]}
    assert sizes[path.name] == path.stat().st_size
    assert {sidecar.sidecar_of(path).name, "README.md", "modules.json"} < sizes.keys()
    assert hub.asked == []
    assert [item.name for item in workplace.iterdir()] == ["checkpoints"]


def test_a_dry_run_ends_with_how_to_upload(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", "repo=me/model", "export=safetensors", "format=csv"]) == 0
    out, err = capsys.readouterr()
    head, *names = [line.split(",")[0] for line in out.splitlines()]
    made = ("README.md", "config.json", "model.safetensors", "training_history.json", "vocab.json")
    assert head == "file"
    assert names == sorted([*made, path.name, sidecar.sidecar_of(path).name])
    assert "dry run, nothing was uploaded; dry_run=false uploads it" in err


@pytest.mark.slow
def test_what_is_pushed_can_be_named_and_says_how_it_is_loaded(
    push: Push, command: Any, hub: Hub, path: Path, tmp_path: Path
) -> None:
    done = push("repo=me/model", "dry_run=false", "export=safetensors", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"{hub.url}/me/model/commit/" in done.stderr
    files = hub.repos["me/model"]
    assert hub.private == {"me/model": True}
    assert files[path.name] == path.read_bytes()
    assert "hf://me/model" in files["README.md"].decode()
    home = hub.environment(str(tmp_path / "home"))
    again = command("export", "checkpoint=hf://me/model", "format=safetensors", "out=again", **home)
    assert again.returncode == 0, again.stderr
    stored = (tmp_path / "workplace" / "again" / "model.safetensors").read_bytes()
    assert stored == files["model.safetensors"]


@pytest.mark.parametrize(
    ("repo", "said"),
    [
        ("", "missing; write repo=user/name"),
        ("model", "got 'model', want user/name"),
        ("a/b c", "got 'a/b c'"),
    ],
)
@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_bad_repository_is_one_line(
    repo: str, said: str, dry_run: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["push", f"repo={repo}", f"dry_run={dry_run}"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"repo: {said}" in err


MISTAKES = {
    "repo=me/model: no token to upload with; set HF_TOKEN": {},
    "repo=me/model: the hub cannot be reached": {"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"},
    "repo=me/model: the hub refuses the token": {"HF_TOKEN": "hf_" + "b" * 34},
}


@pytest.mark.slow
@pytest.mark.parametrize("said", MISTAKES)
def test_what_stands_in_the_way_is_one_line_within_seconds(said: str, push: Push, hub: Hub) -> None:
    began = time.monotonic()
    done = push("repo=me/model", "dry_run=false", "export=safetensors", **MISTAKES[said])
    assert time.monotonic() - began < 20
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
    assert hub.repos == {}
