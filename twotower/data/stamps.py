"""What a collection's source files look like from outside: where nothing has moved, nothing is read again.

    {"kind": "beir", "path": "/data/msmarco"}  ->  "5f0c1a2b9d3e..."    names, sizes and times of its corpus

Equal stamps mean equal documents, unless somebody set a file's time back.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twotower import config, knobs
from twotower.config.source import HUB, Files
from twotower.data import packages, records

KINDS = " or ".join(kind for kind in config.GROUPS["data"] if kind != "stored")
"""The words of the sources that can be read without a checkpoint."""


def of(source: Mapping[str, Any]) -> str:
    """Hash (hex) of what the readers would read for the documents, and of the readers' own code.

    Raises FileNotFoundError where the files are gone, ValueError for a package that is gone, or for a source
    that no reader wrote. Of a data set on the hub, the name stands for its content.
    """
    cfg = knobs_of(source)
    lines: list[Any]
    match cfg:
        case config.Docstrings():
            lines = [*_docstrings(sorted({str(name) for name in cfg.packages}))]
        case config.Beir():
            lines = [*_beir(Path(cfg.path)), cfg.on_bad.name]
        case _:
            lines = [source_of(cfg), *_files(cfg)]
    code = [_line(file) for file in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(json.dumps([source["kind"], code, lines]).encode()).hexdigest()


def described(data: config.Source) -> dict[str, Any]:
    """All knobs of `data` in plain types, its path absolute: `Collection.source`; empty for `Stored`.

    >>> described(config.Beir(path="/data/tiny"))
    {'kind': 'beir', 'dev_share': 0.1, 'path': '/data/tiny', 'on_bad': 'error'}
    """
    if isinstance(data, config.Stored):
        return {}
    kinds = {kind: word for word, kind in config.GROUPS["data"].items()}
    source = {"kind": kinds[type(data)], **knobs.plain(data)}
    if "path" in source and not source["path"].startswith(HUB):
        source["path"] = str(Path(source["path"]).expanduser().resolve())
    return source


def source_of(data: config.Source) -> dict[str, Any]:
    """What of `described` decides on the content, for comparing with the source of a checkpoint's collection.

    Bad lines are an error unless it says otherwise: sources of earlier versions did not say.
    """
    usual = {"on_bad": config.OnBad.error.name}
    source = described(data)
    return {name: value for name, value in source.items() if name != "dev_share" and usual.get(name) != value}


def knobs_of(source: Mapping[str, Any]) -> config.Source:
    """The knobs with this description, which may lack some; ValueError for one that no reader wrote."""
    try:
        cfg = knobs.restore("data", source)
    except ValueError as error:
        found = dict(source) or "nothing"
        raise ValueError(f"collection source: got {found}, want kind {KINDS} ({error}); name data=") from None
    if not isinstance(cfg, config.Source) or isinstance(cfg, config.Stored):
        raise ValueError(f"collection source: got {dict(source)}, want kind {KINDS}; name data=")
    return cfg


def _files(cfg: config.Source) -> Iterator[str]:
    """Every file of a table that lies where `cfg` says, or below it in the folder of its configuration."""
    if not isinstance(cfg, Files) or cfg.path.startswith(HUB):
        return
    path = Path(cfg.path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_file():
        yield _line(path)
        return
    for folder in sorted({path, path / getattr(cfg, "subset", "")}):
        yield from (_line(file) for file in sorted(folder.glob("*")) if records.is_known(file))


def _beir(folder: Path) -> Iterator[str]:
    found = [file for name in ("corpus.jsonl", "corpus.jsonl.gz") if (file := folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f"{folder}: no corpus.jsonl or corpus.jsonl.gz in it")
    return (_line(file) for file in found)


def _docstrings(names: list[str]) -> Iterator[str]:
    for name in names:
        yield name
        for file in packages.sources(name):
            yield f"{file.module} {os.fspath(file.path)} {file.size} {file.modified}"


def _line(file: Path) -> str:
    stat = file.stat()
    return f"{file} {stat.st_size} {stat.st_mtime_ns}"
