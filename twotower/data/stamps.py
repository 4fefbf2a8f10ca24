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

from twotower import config
from twotower.data import packages


def of(source: Mapping[str, Any]) -> str:
    """Hash (hex) of what the readers would read for the documents, and of the readers' own code.

    Raises FileNotFoundError where the folder or its corpus is gone, ValueError for a package that is gone, or
    for a source that no reader wrote.
    """
    match source:
        case {"kind": "beir", "path": str(path)}:
            lines = [*_beir(Path(path))]
        case {"kind": "docstrings", "packages": [*names]}:
            lines = [*_docstrings(sorted({str(name) for name in names}))]
        case _:
            raise ValueError(
                f"collection source: got {dict(source) or 'nothing'}, want kind beir or docstrings"
            )
    code = [_line(file) for file in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(json.dumps([source["kind"], code, lines]).encode()).hexdigest()


def source_of(data: config.Data) -> dict[str, Any]:
    """Where the readers would look for `data`, as `Collection.source` says it; empty for `Stored`."""
    match data:
        case config.Beir():
            return {"kind": "beir", "path": str(Path(data.path).expanduser().resolve())}
        case config.Docstrings():
            return {"kind": "docstrings", "packages": list(data.packages)}
        case _:
            return {}


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
