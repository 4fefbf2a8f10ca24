"""Data sets of the Hugging Face hub, by the package `datasets` (an extra): rows by split.

    hf://owner/name            the data set as it is now
    hf://owner/name@revision   as it was at a branch, tag or commit

A folder owner/name below the current one comes before the hub, as `datasets` has it. What was downloaded once
is read from its cache; no login is asked for, and no code of a data set is run.
"""

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from twotower.config.source import HUB
from twotower.data import splitting

PATH = re.compile(r"hf://(\w[\w.-]*/\w[\w.-]*)(?:@(\S+))?")
PATIENCE = 5.0
"""Seconds to wait for the hub's first answer; the package itself would try for half a minute."""
BATCH = 1000
UNNAMED = "default"
"""Configuration of a data set that has none."""

T = TypeVar("T")
Rows = Iterable[tuple[int, dict[str, Any]]]
"""Number of each row, from 1, and its values by column."""


def load(path: str, subset: str) -> dict[str, Rows]:
    """Split -> its rows, read from disk one by one; `validation` is `dev`. `subset` is the configuration.

    Raises ValueError for a path of another form, without the package, for a configuration that is not there,
    for several and no `subset`, and for what cannot be loaded; OSError where the hub or the data set cannot
    be reached.
    """
    match = PATH.fullmatch(path)
    if not match:
        raise ValueError(f"data.path: got {path!r}, want {HUB}owner/name or {HUB}owner/name@revision")
    name, revision = match[1], match[2]
    try:
        # an extra, and a second to import
        import datasets
    except ModuleNotFoundError as error:
        raise ValueError(f"{path}: {error.name} is not installed; pip install 'twotower[hub]'") from None
    if not Path(name).is_dir() and not datasets.config.HF_HUB_OFFLINE:
        _reach(path, f"{datasets.config.HF_ENDPOINT}/api/datasets/{name}")
    names = _asked(path, lambda: datasets.get_dataset_config_names(name, revision=revision))
    chosen = _configuration(path, subset, names)
    return _splits(path, _asked(path, lambda: datasets.load_dataset(name, chosen, revision=revision)))


def _asked(path: str, call: Callable[[], T]) -> T:
    """What a call into `datasets` gives, and its many errors as one line."""
    # an extra; imported already
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    # the package that makes the requests is not the same in all versions; this is its own error
    unanswered = HfHubHTTPError.__mro__[1]
    try:
        return call()
    except (OSError, unanswered) as error:
        raise OSError(_unreachable(path, error)) from None
    except (ValueError, TypeError, RuntimeError, DatasetsError) as error:
        raise ValueError(f"{path}: cannot be loaded: {_line(error)}") from None


def _configuration(path: str, subset: str, names: list[str]) -> str:
    """The configuration to load; a lone unnamed one whatever `subset` says, there is nothing to choose."""
    if subset in names:
        return subset
    if names == [UNNAMED] or (len(names) == 1 and not subset):
        return names[0]
    got = f"no configuration {subset!r}" if subset else "several configurations"
    raise ValueError(f"{path}: {got}, want data.subset={' or '.join(names)}")


def _splits(path: str, found: Any) -> dict[str, Rows]:
    splits: dict[str, Rows] = {}
    for name, rows in found.items():
        split = splitting.canonical(str(name))
        if split in splits:
            raise ValueError(f"{path}: two splits are {split}: {', '.join(map(str, found))}")
        splits[split] = _rows(rows)
    return splits


def _rows(rows: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in rows.iter(batch_size=BATCH):
        for values in zip(*batch.values(), strict=True):
            number += 1
            yield number, dict(zip(batch, values, strict=True))


def _reach(path: str, url: str) -> None:
    """Raises OSError where nothing answers at `url`; any answer will do, a refusal too."""
    try:
        urllib.request.urlopen(url, timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        error.close()
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):
            raise OSError(_unreachable(path, error.reason)) from None
    except OSError as error:  # it began to answer and stopped
        raise OSError(_unreachable(path, error)) from None


def _unreachable(path: str, error: object) -> str:
    return (
        f"{path}: not to be had from the hub ({_line(error)}); get its Parquet or JSON files by hand and say "
        "data.path=FOLDER, or read an earlier download with HF_HUB_OFFLINE=1 set"
    )


def _line(error: object) -> str:
    """An error in one line, and not too long a one.

    >>> _line(ValueError("no\\n  such"))
    'no such'
    """
    words = " ".join(str(error).split())
    return f"{words[:197]}..." if len(words) > 200 else words or type(error).__name__
