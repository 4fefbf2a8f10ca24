import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.legacy_case import OlderMLP, write
from tests.test_causes import weights, words_swapped
from tests.test_checkpoint import retriever
from twotower.model import checkpoint, sidecar
from twotower.model.examination import Leftover, examine, leftovers

EVERY = [
    "archive",
    "sidecar",
    "content",
    "format",
    "keys",
    "record",
    "vocabulary",
    "storage",
    "weights",
    "shapes",
]
EVERY += ["probe"]

Content = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "two_tower_best_x-000000_20261121_120000.pt"
    checkpoint.save(file, retriever(), {"run": "x-000000", "eval_results": {"mrr_10": 0.5}})
    return file


def rewritten(path: Path, change: Callable[[Content], object]) -> None:
    """The checkpoint after `change`, with a sidecar of its own."""
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    plain = {key: value for key, value in content.items() if key not in checkpoint.TENSORS}
    sidecar.write(path, plain)


def failed(path: Path) -> dict[str, str]:
    return {check.name: check.detail for check in examine(path).failed}


def test_a_whole_checkpoint_passes_every_check(path: Path) -> None:
    found = examine(path)
    assert found.failed == []
    assert [check.name for check in found.checks] == EVERY
    assert all(check.detail for check in found.checks)
    assert found.holds["words"] == 8
    assert found.holds["parameters"] == sum(p.numel() for p in retriever().two_tower.parameters())


def test_a_missing_sidecar_fails_and_stays_missing(path: Path) -> None:
    sidecar.sidecar_of(path).unlink()
    assert list(failed(path)) == ["sidecar"]
    assert not sidecar.sidecar_of(path).exists()


def test_another_files_sidecar_fails(path: Path) -> None:
    own = sidecar.sidecar_of(path).read_text()
    rewritten(path, lambda content: content.update(run="y"))
    other = sidecar.read(path)["file"]
    sidecar.sidecar_of(path).write_text(own.replace('"bytes": ', f'"bytes": {other["bytes"]}, "was": '))
    assert failed(path).keys() == {"sidecar"}
    assert "SHA-256" in failed(path)["sidecar"]


def test_a_sidecar_that_says_something_else_fails(path: Path) -> None:
    beside = sidecar.sidecar_of(path)
    beside.write_text(beside.read_text().replace('"mrr_10": 0.5', '"mrr_10": 0.9'))
    assert failed(path) == {"record": "the sidecar says something else of eval_results than the file"}


def test_a_damaged_file_ends_the_examination(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    found = examine(path)
    assert [check.name for check in found.checks] == ["archive", "sidecar"]
    assert [check.ok for check in found.checks] == [False, False]
    assert found.holds == {}


def test_an_older_checkpoint_fails_by_its_format(tmp_path: Path) -> None:
    plain = {"eval_results": None, "epoch": 1, "model_config": None, "training_stats": None}
    file = write(tmp_path / "a.pt", OlderMLP(), **plain, embedding_matrix=torch.zeros(9, 5))
    assert "`twotower convert` converts it" in failed(file)["format"]


def apart(content: Content) -> None:
    content["embedding_matrix"] = content["embedding_matrix"].clone()


def infinite(content: Content) -> None:
    content["model_state_dict"]["query_tower.word_weights"][1] = torch.inf


def wider(content: Content) -> None:
    content["model_config"]["dim"] = 7


CHANGES: dict[str, tuple[Callable[[Content], object], dict[str, str]]] = {
    "keys": (lambda content: content.pop("probe"), {"keys": "probe is NoneType"}),
    "kinds": (lambda content: content.update(word_to_index=[]), {"keys": "word_to_index is list, want dict"}),
    "storage": (apart, {"storage": "stored apart from words.vectors"}),
    "vocabulary": (words_swapped, {"vocabulary": "'the' is 2", "probe": "likely the vocabulary"}),
    "weights": (infinite, {"weights": "query_tower.word_weights holds nan", "probe": "likely the weights"}),
    "shapes": (wider, {"shapes": "its parts do not make a model"}),
    "probe": (weights, {"probe": "likely the weights: even a text without words"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_fails_its_own_check(path: Path, name: str) -> None:
    change, want = CHANGES[name]
    rewritten(path, change)
    got = failed(path)
    assert got.keys() == want.keys()
    assert all(said in got[check] for check, said in want.items())
    assert all("\n" not in detail for detail in got.values())


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "a.pt")
    with pytest.raises(IsADirectoryError):
        examine(tmp_path)


def test_leftovers_of_a_folder_are_named(path: Path) -> None:
    folder = path.parent
    assert leftovers(folder) == []
    half = folder / f".0123456789abcdef{sidecar.PARTIAL}"
    half.write_bytes(b"x")
    os.utime(half, (time.time() - 7200,) * 2)
    (folder / "training_history_gone.json").write_text("{}")
    (folder / "per_query_gone.npz").write_bytes(b"")
    (folder / "other.pt").write_bytes(path.read_bytes())
    (folder / "runs" / "x-000001").mkdir(parents=True)
    (folder / "runs" / "x-000001" / "resume.pt").write_bytes(b"")
    assert leftovers(folder) == [
        Leftover(half.name, "half written 2.0 hours ago; deleted after a day by the next write"),
        Leftover("other.pt", "has no sidecar training_history_other.json"),
        Leftover("per_query_gone.npz", "per-query values without checkpoint"),
        Leftover(
            "runs/x-000001/resume.pt", "a run that goes on, or was stopped; twotower train resume=x-000001"
        ),
        Leftover("training_history_gone.json", "a sidecar without checkpoint"),
    ]
