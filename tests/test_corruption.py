"""Damaged and malicious files: each is refused in one line, or what it holds is shown to be untouched."""

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_checkpoint import retriever
from twotower import cli
from twotower.model import checkpoint, sidecar

Rng = np.random.Generator
Whole = tuple[bytes, bytes, checkpoint.Loaded]
BLOCK = 64
"""Bytes of a block that is zeroed or swapped."""


def truncated(whole: bytes, rng: Rng) -> bytes:
    return whole[: int(rng.integers(len(whole)))]


def flipped(whole: bytes, rng: Rng) -> bytes:
    return flip(whole, int(rng.integers(len(whole))), rng)


def flipped_in_a_tensor(whole: bytes, rng: Rng) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        tensors = [info for info in archive.infolist() if "/data/" in info.filename]
        info = tensors[int(rng.integers(len(tensors)))]
        numbers = archive.read(info)
    return flip(whole, whole.index(numbers) + int(rng.integers(len(numbers))), rng)


def flipped_in_the_directory(whole: bytes, rng: Rng) -> bytes:
    """The zip's own tables, where its checksums do not reach."""
    start = whole.index(b"PK\x01\x02")
    return flip(whole, start + int(rng.integers(len(whole) - start)), rng)


def zeroed(whole: bytes, rng: Rng) -> bytes:
    start = int(rng.integers(len(whole) - BLOCK))
    return whole[:start] + bytes(BLOCK) + whole[start + BLOCK :]


def swapped(whole: bytes, rng: Rng) -> bytes:
    one, other = sorted(rng.choice(len(whole) // BLOCK, 2, replace=False) * BLOCK)
    blocks = whole[one : one + BLOCK], whole[other : other + BLOCK]
    return whole[:one] + blocks[1] + whole[one + BLOCK : other] + blocks[0] + whole[other + BLOCK :]


def flip(whole: bytes, place: int, rng: Rng) -> bytes:
    return whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :]


WAYS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    truncated, flipped, flipped_in_a_tensor, flipped_in_the_directory, zeroed, swapped,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A small checkpoint's bytes, its sidecar's, and what it loads as."""
    path = tmp_path_factory.mktemp("whole") / "a.pt"
    checkpoint.save(path, retriever(), {"run": "a", "eval_results": {"mrr_10": 0.5}})
    return path.read_bytes(), sidecar.sidecar_of(path).read_bytes(), checkpoint.load(path)


def refused(path: Path, original: checkpoint.Loaded) -> bool:
    """Whether loading is refused, in one line; if it is not, everything is asserted to be the original's."""
    why = ""
    try:
        loaded = checkpoint.load(path)
    except (ValueError, OSError) as error:
        why = str(error)
    if why:
        assert why.startswith(str(path))
        assert "\n" not in why
        return True
    ours, theirs = (one.retriever.two_tower.state_dict() for one in (loaded, original))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert loaded.retriever.vocab == original.retriever.vocab
    assert loaded.content == original.content
    for side in ("encode_queries", "encode_docs"):
        got, want = (getattr(one.retriever, side)(checkpoint.PROBE) for one in (loaded, original))
        assert np.array_equal(got, want)
    return False


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("with_sidecar", [True, False])
def test_a_damaged_copy_is_refused_or_harmless(
    tmp_path: Path, whole: Whole, count: int, with_sidecar: bool
) -> None:
    file, beside, original = whole
    path = tmp_path / "a.pt"
    outcomes = []
    for number in range(count):
        rng = np.random.default_rng(number)
        damaged = WAYS[number % len(WAYS)](file, rng)
        path.write_bytes(damaged)
        if with_sidecar:
            sidecar.sidecar_of(path).write_bytes(beside)
        outcomes.append(refused(path, original) or damaged == file)
    if with_sidecar:  # its SHA-256 covers every byte
        assert all(outcomes)
    else:  # padding, dates and the like are what the zip's checksums leave out
        assert sum(outcomes) > 0.7 * count


def test_a_tensor_of_another_number_is_never_loaded(tmp_path: Path, whole: Whole) -> None:
    file, _, original = whole
    for number in range(20):
        (tmp_path / "a.pt").write_bytes(flipped_in_a_tensor(file, np.random.default_rng(number)))
        assert refused(tmp_path / "a.pt", original)


class Call:
    """A pickle that calls `os.mkdir`, or `os.system` by a longer way."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.parts[0], self.parts[1:]


def reduced(path: Path, mark: Path) -> None:
    """The object itself runs a command."""
    torch.save({"model_state_dict": Call(os.system, f"touch {mark}"), "format": 1}, path)


def plain_pickle(path: Path, mark: Path) -> None:
    """No archive: what older versions of torch loaded as one pickle after another."""
    path.write_bytes(pickle.dumps(Call(os.mkdir, str(mark)), protocol=2) * 3)


def tar_of_pickles(path: Path, mark: Path) -> None:
    """The oldest layout of torch, a tar."""
    text = pickle.dumps(Call(os.mkdir, str(mark)), protocol=2)
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))


def nested(path: Path, mark: Path) -> None:
    """Whole and plain but for one value deep inside `data.pkl`, which imports and calls."""
    good = path.with_name("good.pt")
    deep = {
        "config": [
            {"lambda": Call(getattr, Call(__import__, "os"), "mkdir")},
            Call(exec, f"open('{mark}','w')"),
        ]
    }
    checkpoint.save(good, retriever(), {"run": "bad"})
    content = torch.load(good, weights_only=True)
    torch.save({**content, "training_stats": deep}, path)
    good.unlink()
    sidecar.sidecar_of(good).unlink()


def by_state(path: Path, mark: Path) -> None:
    """Through names that older checkpoints may use: a dtype of objects, and a function of NumPy's."""
    older = {"eval_results": [np.float64(1), np.array([Call(os.mkdir, str(mark))], dtype=object)]}
    torch.save({"model_state_dict": {"a": torch.zeros(1)}, "word_to_index": {"a": 0}, **older}, path)


MALICIOUS: Mapping[str, Callable[[Path, Path], None]] = {
    "reduced": reduced,
    "plain pickle": plain_pickle,
    "tar of pickles": tar_of_pickles,
    "nested": nested,
    "by state": by_state,
}
COMMANDS: Mapping[str, tuple[list[str], int]] = {
    "evaluate": (["evaluate", "checkpoint=checkpoints/bad.pt", "data=docstrings"], 2),
    "search": (["search", "cat", "checkpoint=checkpoints/bad.pt"], 2),
    "convert": (["convert", "checkpoints/bad.pt", "pattern=a", "pooling=mean", "activation=relu"], 2),
    "doctor": (["doctor", "checkpoint=checkpoints/bad.pt"], 1),
    "doctor of a folder": (["doctor"], 1),
    "leaderboard": (["leaderboard"], 0),
    "@latest": (["search", "cat", "checkpoint=@latest"], 2),
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_a_malicious_file_executes_nothing(
    workplace: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    mark = workplace / "executed"
    (workplace / "checkpoints").mkdir()
    path = workplace / "checkpoints" / "bad.pt"
    MALICIOUS[kind](path, mark)
    with pytest.raises(ValueError, match=r"bad\.pt: (refused, nothing in it was executed|not a whole)"):
        checkpoint.load(path)
    for words, code in COMMANDS.values():
        assert cli.main(words) == code
        out, err = capsys.readouterr()
        text = out + err
        assert "bad.pt" in text
        assert "Traceback" not in text
        assert code != 2 or len(err.splitlines()) == 1
        assert not mark.exists()
    assert sorted(one.name for one in workplace.iterdir()) == ["checkpoints"]
    assert [one.name for one in path.parent.iterdir()] == ["bad.pt"]
