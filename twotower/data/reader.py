"""The data knobs to a collection, and a collection's stored description back to knobs.

Beir(path="folder")  ->  Collection(..., source={"kind": "beir", "path": "/.../folder", "dev_share": 0.1})
                     ->  Beir(path="/.../folder", dev_share=0.1)
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twotower import config
from twotower.data import beir, docstrings
from twotower.data.collection import Collection


def read(cfg: config.Data, cache_dir: Path) -> Collection:
    """The collection that `cfg` describes, as it lies there: `dev_share` is recorded, nothing is held out.

    Raises what the reader raises, and ValueError for `Stored`, which the commands that take a checkpoint turn
    into another by `from_source`.
    """
    match cfg:
        case config.Docstrings():
            collection = docstrings.read(cfg.packages, cache_dir)
        case config.Beir():
            collection = beir.read(cfg.path)
        case config.Stored():
            raise ValueError(
                "data=stored: there is no checkpoint to take it from, want data=docstrings or beir"
            )
        case _:
            raise TypeError(f"no reader for {type(cfg).__name__}; want Docstrings or Beir")
    return replace(collection, source={**collection.source, "dev_share": cfg.dev_share})


def from_source(source: Mapping[str, Any]) -> config.Data:
    """The knobs that read the collection with this `source` again; ValueError for what no reader wrote.

    >>> from_source({"kind": "beir", "path": "folder"})
    Beir(dev_share=0.1, path='folder')
    """
    shared = {"dev_share": source["dev_share"]} if "dev_share" in source else {}
    match source:
        case {"kind": "docstrings", "packages": [*packages]}:
            return config.Docstrings(packages=list(packages), **shared)
        case {"kind": "beir", "path": str(path)}:
            return config.Beir(path=path, **shared)
        case _:
            found = dict(source) or "nothing"
            raise ValueError(f"collection source: got {found}, want kind 'docstrings' or 'beir'; name data=")
