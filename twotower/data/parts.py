"""Which files hold which split, by their names.

folder/train.tsv                                  {"train": [train.tsv], "dev": [valid.tsv]}
folder/valid.tsv

folder/train-00000-of-00002.parquet               {"train": both, one after the other}
folder/train-00001-of-00002.parquet

pairs.csv                                         {"all": [pairs.csv]}
"""

import re
from pathlib import Path

from twotower.data import records, splitting

SPLITS = ("train", "dev", "test")
NAME = re.compile(rf"({'|'.join({*SPLITS, *splitting.DEV})})(-[^.]*)?", re.IGNORECASE)
"""A split, and which of its parts."""


def by_split(path: Path) -> dict[str, list[Path]]:
    """Split -> its files in order; "all" is the split of a single file whose name tells none.

    Other files of a folder are passed over. Raises FileNotFoundError where there is nothing to read,
    ValueError where two files are the same split and not parts of it, and for a file of unknown format.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if not path.is_dir():
        records.suffix(path)
        return {split_of(path) or splitting.WHOLE: [path]}
    files = [file for file in sorted(path.iterdir()) if records.is_known(file) and file.is_file()]
    splits: dict[str, list[Path]] = {}
    for file in files:
        if split := split_of(file):
            splits.setdefault(split, []).append(file)
    if not splits:
        found = ", ".join(file.name for file in files[:5]) or "no file of these"
        wanted = f"want train, dev or test with {', '.join(records.SUFFIXES)}, or data.path=FILE"
        raise FileNotFoundError(f"{path}: no file that a split names, it has {found}; {wanted}")
    for split, parts in splits.items():
        _check_parts(path, split, parts)
    return splits


def split_of(file: Path) -> str | None:
    """The split that the name of a file tells, if any.

    >>> split_of(Path("Validation-00000-of-00001.parquet")), split_of(Path("training.tsv"))
    ('dev', None)
    """
    match = NAME.fullmatch(file.name.split(".")[0])
    return splitting.canonical(match[1]) if match else None


def _check_parts(folder: Path, split: str, parts: list[Path]) -> None:
    """Several files are one split only as its parts: train-00000-of-00002.parquet, ..."""
    kinds = {(file.name.lower().split("-")[0], records.suffix(file)) for file in parts}
    stems = {file.name.lower().split(".")[0] for file in parts}
    if len(parts) > 1 and (len(kinds) > 1 or len(stems) < len(parts)):
        names = " and ".join(file.name for file in parts[:2])
        raise ValueError(f"{folder}: both {names} are the split {split}, want one of them")
