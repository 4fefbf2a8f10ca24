"""The data knobs to a collection, and a collection's stored description back to knobs.

Beir(path="folder")  ->  Collection(..., source={"kind": "beir", "path": "/.../folder", "on_bad": "error"})
                     ->  Beir(path="/.../folder", on_bad=OnBad.error)
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twotower import config
from twotower.data import beir, docstrings, msmarco, pairs, stamps
from twotower.data.collection import Collection


def read(cfg: config.Source, cache_dir: Path) -> Collection:
    """The collection that `cfg` describes, as it lies there: `dev_share` is recorded, nothing is held out.

    Raises what the reader raises, and ValueError for `Stored`, which the commands that take a checkpoint turn
    into another by `from_source`.
    """
    match cfg:
        case config.Docstrings():
            collection = docstrings.read(cfg.packages, cache_dir)
        case config.Beir():
            collection = beir.read(cfg.path, cfg.on_bad)
        case config.MsMarco():
            collection = msmarco.read(cfg)
        case config.Triplets() | config.Pairs():
            collection = pairs.read(cfg)
        case config.Stored():
            raise ValueError(f"data=stored: there is no checkpoint to take it from, want data={stamps.KINDS}")
        case _:
            raise TypeError(f"no reader for {type(cfg).__name__}; want data={stamps.KINDS}")
    return replace(collection, source=stamps.described(cfg))


def from_source(source: Mapping[str, Any]) -> config.Source:
    """The knobs that read the collection with this `source` again; ValueError for what no reader wrote.

    >>> from_source({"kind": "beir", "path": "folder"}).path
    'folder'
    """
    return stamps.knobs_of(source)
