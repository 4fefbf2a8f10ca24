"""Sidecars: everything of a checkpoint but tensors and vocabulary, as JSON beside it; read without torch.

two_tower_best_first-3fa2b1_20261121_220507.pt          the checkpoint
training_history_first-3fa2b1_20261121_220507.json      its sidecar
per_query_first-3fa2b1_20261121_220507.npz              per-query values of its evaluation
two_tower_epoch3_first-3fa2b1_20261121_220507.pt        weights of another epoch, kept if wanted
training_history_first-3fa2b1_20261121_220507_epoch3.json
"""

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

_CHECKPOINT = re.compile(r"two_tower_(best|last|epoch\d+)_(.+_\d{8}_\d{6})\.pt")
BEST = "best"
"""The kind of file that stands for its run; others are `last` and `epoch<n>`."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PARTIAL = ".twotower-partial"
"""Ending of a file that is being written; a process that was killed leaves one behind."""
STALE = 86_400
"""Seconds after which such a file is deleted."""


@dataclass(frozen=True)
class Run:
    """One training run's name and files, all in `folder`."""

    folder: Path
    name: str
    began: datetime

    @property
    def stamp(self) -> str:
        """When it began, for file names."""
        return self.began.strftime("%Y%m%d_%H%M%S")

    @property
    def checkpoint(self) -> Path:
        return self.file(BEST)

    def file(self, kind: str) -> Path:
        """The checkpoint of the best weights, of the `last`, or of `epoch<n>`."""
        return self.folder / f"two_tower_{kind}_{self.name}_{self.stamp}.pt"

    @property
    def scratch(self) -> Path:
        """Where the run logs while it goes on."""
        return self.folder / "runs" / self.name


def reserve(folder: Path, name: str) -> Run:
    """A new run `<name>-<six random characters>`; its scratch folder on disk reserves the name.

    Raises:
        ValueError: `name` cannot stand in a file's name.
    """
    check_name(name)
    while True:
        run = Run(folder, f"{name}-{secrets.token_hex(3)}", datetime.now())
        run.scratch.parent.mkdir(parents=True, exist_ok=True)
        try:
            run.scratch.mkdir()
        except FileExistsError:
            continue
        return run


def check_name(name: str) -> None:
    """Raises ValueError unless `name` can stand in a file's name everywhere."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name: got {name!r}, want letters, digits, '.', '_' and '-', a letter or digit first"
        )


def sidecar_of(checkpoint: Path) -> Path:
    """The sidecar's path; that of other weights than the best ends with their kind.

    A checkpoint of another name has its stem in it.
    """
    match = _CHECKPOINT.fullmatch(checkpoint.name)
    stem = match[2] if match else checkpoint.stem
    # at the end, where a best checkpoint's has its time: no run's name can make the two equal
    end = "" if match is None or match[1] == BEST else f"_{match[1]}"
    return checkpoint.with_name(f"training_history_{stem}{end}.json")


def kind_of(checkpoint: Path) -> str:
    """Which of a run's weights a file holds, by its name; `best` for a file of another name.

    >>> kind_of(Path("two_tower_epoch3_first-3fa2b1_20261121_220507.pt")), kind_of(Path("mine.pt"))
    ('epoch3', 'best')
    """
    match = _CHECKPOINT.fullmatch(checkpoint.name)
    return match[1] if match else BEST


def per_query_of(checkpoint: Path) -> Path:
    """Path of the per-query values."""
    return checkpoint.with_name(
        sidecar_of(checkpoint).name.replace("training_history_", "per_query_", 1)
    ).with_suffix(".npz")


def write_aside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file whole or not at all: beside its place, to disk, then renamed.

    Raises OSError naming `path` where the disk is full or refuses otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    # not by tempfile, whose mode is 0600: others of a shared folder must read
    aside = path.with_name(f".{secrets.token_hex(8)}{PARTIAL}")
    try:
        with aside.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        # PyTorch's writer turns what stopped it into a RuntimeError of its own
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror or str(cause), str(path)) from None
        if isinstance(cause, KeyboardInterrupt):
            raise cause from None
        raise
    _settle(path.parent)


def _sweep(folder: Path) -> None:
    """Delete what killed processes left half written."""
    for path in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError):  # another process was faster
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()


def _settle(folder: Path) -> None:
    """Bring a folder's entries to disk, where the system can."""
    with suppress(OSError):  # Windows opens no folder, some network drives sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write(checkpoint: Path, content: Mapping[str, Any]) -> None:
    """Write the sidecar of a checkpoint that is on disk, with the file's name, size and SHA-256."""
    file = {"name": checkpoint.name, "bytes": checkpoint.stat().st_size, "sha256": sha256(checkpoint)}
    text = json.dumps({**content, "file": file}, indent=1, ensure_ascii=False, allow_nan=False)
    write_aside(sidecar_of(checkpoint), lambda out: out.write(text.encode()))


def read(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint's sidecar, rebuilt from the checkpoint where it is missing.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the sidecar is not JSON or belongs to another file, or the checkpoint cannot be read.
    """
    path = sidecar_of(checkpoint)
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint file")
    if not path.is_file():
        from twotower.model import checkpoint as files  # torch, needed for this rare repair alone

        return files.rebuild_sidecar(checkpoint)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a sidecar ({error}); delete it and it is rebuilt") from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: got {type(content).__name__}, want a JSON object; delete it and it is rebuilt"
        )
    _compare(checkpoint, content)
    return content


def _compare(checkpoint: Path, content: Mapping[str, Any]) -> None:
    """Raises ValueError for a checkpoint that is not as large as its sidecar says."""
    file = content.get("file")
    want = file.get("bytes") if isinstance(file, Mapping) else None
    size = checkpoint.stat().st_size
    if want not in (None, size):
        raise ValueError(
            f"{checkpoint}: {size} bytes, {sidecar_of(checkpoint).name} says {want}; truncated or replaced "
            "(delete the sidecar if the file is whole)"
        )


def verified(checkpoint: Path, digest: str) -> dict[str, Any]:
    """The sidecar; raises ValueError unless it is that of the file with the SHA-256 `digest`."""
    content = read(checkpoint)
    said = str((content.get("file") or {}).get("sha256"))
    if said != digest:
        raise ValueError(
            f"{checkpoint}: SHA-256 {digest[:12]}, its sidecar says {said[:12]}: damaged or replaced; copy "
            f"both again, or delete {sidecar_of(checkpoint).name}, which is then rebuilt"
        )
    return content


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checkpoints(folder: Path) -> list[Path]:
    """Every checkpoint file of a folder, by name.

    Raises:
        FileNotFoundError: no such folder.
        NotADirectoryError: it is a file.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"checkpoint_dir: {folder}: no such folder; `twotower train` makes checkpoints"
        )
    if not folder.is_dir():
        raise NotADirectoryError(f"checkpoint_dir: {folder}: a file, want a folder of checkpoints")
    return sorted(path for path in folder.glob("*.pt") if not path.name.startswith("."))
