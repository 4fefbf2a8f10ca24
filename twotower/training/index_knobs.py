"""What the knobs of `twotower index` name: a source of documents, a checkpoint, ids."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower import config
from twotower.config import Index
from twotower.data import stamps
from twotower.evaluation import names
from twotower.search import build, index, origins
from twotower.search.build import Encoder
from twotower.search.origins import Origin, Reading

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded


def encoder_of(cfg: Index) -> Encoder:
    """The checkpoint that a build is to use; raises as `names.find` does."""
    return _encoder(cfg, names.find(cfg.checkpoint, Path(cfg.checkpoint_dir), source=_wanted(cfg)))


def _wanted(cfg: Index) -> Mapping[str, Any] | None:
    return stamps.source_of(cfg.data) if not cfg.docs else None


def origin_of(cfg: Index) -> Origin | None:
    """The source that the knobs name; None where they name none."""
    if cfg.docs:
        return origins.of_docs(cfg)
    return None if isinstance(cfg.data, config.Stored) else origins.of_data(cfg.data)


def _encoder(cfg: Index, path: Path) -> Encoder:
    def load() -> "Loaded":
        # torch (1.5 s): listing and removing need none
        from twotower.model import checkpoint
        from twotower.training import machine

        machine.settle(cfg.seed, cfg.threads)
        return checkpoint.load(path, machine.device_of(cfg.device))

    return replace(build.encoder(path, load), cache_url=cfg.embedding_cache)


def own_encoder(cfg: Index, found: index.Index) -> Encoder:
    """The checkpoint that an index was built by, where it lay or under its run's name."""
    if cfg.checkpoint != Index.checkpoint:
        return _encoder(cfg, names.find(cfg.checkpoint, Path(cfg.checkpoint_dir)))
    path = Path(found.manifest["checkpoint"]["path"])
    return _encoder(cfg, path if path.is_file() else moved(cfg, found.manifest))


def moved(cfg: Index, manifest: Mapping[str, Any]) -> Path:
    """Where the checkpoint of an index is by its run's name; FileNotFoundError where it is not there."""
    own = manifest["checkpoint"]
    try:
        return names.find(own["run"], Path(cfg.checkpoint_dir))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{own['path']}: gone, and {manifest['name']} was built by it; say checkpoint= or checkpoint_dir="
        ) from None


def read(cfg: Index, origin: Origin) -> tuple[Reading, str]:
    """The source as it is now, and its stamp; raises as `origins.read` does."""
    stamp = origins.stamp(origin)  # first, so that what changes meanwhile is read again
    return origins.read(origin, Path(cfg.cache_dir)), stamp


def ids_of(cfg: Index) -> list[str]:
    """The ids of `ids` and of `file`, each once, in their order."""
    listed = [part.strip() for part in cfg.ids.split(",")] if cfg.ids else []
    if "" in listed:
        raise ValueError(f"ids: got {cfg.ids[:60]!r}, want ids separated by commas; file= takes any")
    if cfg.file:
        try:
            lines = Path(cfg.file).read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError:
            raise ValueError(f"file: {cfg.file}: not UTF-8, want an id a line") from None
        listed += [line.strip() for line in lines if line.strip()]
        if not listed:
            raise ValueError(f"file: {cfg.file}: no id in it, want one a line")
    return list(dict.fromkeys(listed))
