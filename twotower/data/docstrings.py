"""Docstrings of installed Python packages as a collection: what their documentation says, by what it is for.

    json.decoder.JSONDecoder.raw_decode       the id
    "Decode a JSON document from s ..."       the query: the first sentence
    "This can be used to decode a JSON ..."   the document: what follows, without markup

The id is the public qualified name of the module, class, method or function: `numpy.mean`, though a private
module defines it. All of a module is in one split, by the hash of its name: of a hundred modules about 80 are
in train, 10 in dev, 10 in test.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from twotower.data import markup, modules, packages, prose
from twotower.data.collection import Collection
from twotower.data.modules import Modules
from twotower.data.packages import Source

CODE = (__file__, markup.__file__, modules.__file__, packages.__file__, prose.__file__)
"""What decides how docstrings are cleaned: a change here makes a new cache entry."""


@dataclass(frozen=True)
class Pair:
    """A summary and what it sums up."""

    id: str
    module: str
    query: str
    text: str


def read(names: Sequence[str], cache_dir: Path) -> Collection:
    """The docstrings of the packages `names`, by import name or `stdlib`.

    Summaries are distinct, and so are bodies. The pairs are kept under `cache_dir`/docstrings, by what
    identifies the source files. Raises ValueError for a package that is not installed or has no source, and
    where no docstring has both a summary and a body.
    """
    wanted = sorted(set(names))
    if not wanted:
        raise ValueError("packages: an empty list, want names such as 'stdlib' and 'numpy'")
    sources = {name: packages.sources(name) for name in wanted}
    pairs = _cached(sources, Path(cache_dir) / "docstrings")
    if not pairs:
        raise ValueError(f"packages: no docstring with a summary and a body in {', '.join(wanted)}")
    qrels: dict[str, dict[str, dict[str, int]]] = {}
    for pair in pairs:
        qrels.setdefault(split_of(pair.module), {})[pair.id] = {pair.id: 1}
    return Collection.assemble(
        "docstrings",
        {pair.id: ("", pair.text) for pair in pairs},
        {pair.id: pair.query for pair in pairs},
        qrels,
        source={"kind": "docstrings", "packages": list(names)},
    )


def split_of(module: str) -> str:
    """The split of a module: train for 80 % of all names, dev and test for 10 % each.

    >>> split_of("json.decoder"), split_of("csv")
    ('test', 'train')
    """
    tenth = int.from_bytes(hashlib.sha256(module.encode()).digest()[:8], "big") % 10
    return {0: "dev", 1: "test"}.get(tenth, "train")


def _cached(sources: dict[str, list[Source]], folder: Path) -> list[Pair]:
    file = folder / f"{_identity(sources)}.jsonl"
    pairs = _load(file)
    if pairs is None:
        pairs = _extract(sources)
        _save(pairs, file)
    return pairs


def _identity(sources: dict[str, list[Source]]) -> str:
    """Hash of names, places, sizes and times of the source files, and of the code that reads them."""
    digest = hashlib.sha256()
    for code in CODE:
        digest.update(Path(code).read_bytes())
    for package, files in sources.items():
        digest.update(f"{package}\n".encode())
        for file in files:
            digest.update(
                f"{file.module} {file.path} {file.size} {file.modified}\n".encode(errors="surrogatepass")
            )
    return digest.hexdigest()[:32]


def _load(file: Path) -> list[Pair] | None:
    """The stored pairs; None where there are none, or the file is damaged."""
    try:
        head, *lines = file.read_text(encoding="utf-8").splitlines()
        pairs = [Pair(**json.loads(line)) for line in lines]
        return pairs if json.loads(head) == {"pairs": len(pairs)} else None
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _save(pairs: Sequence[Pair], file: Path) -> None:
    """Written aside and renamed, so that a reader sees all of it or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"pairs": len(pairs)}), *(json.dumps(asdict(pair)) for pair in pairs)]
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(aside, file)


def _extract(sources: dict[str, list[Source]]) -> list[Pair]:
    """Pairs sorted by id, the first of those with equal id, summary or body."""
    pairs: dict[str, Pair] = {}
    with tqdm(desc="docstrings", unit=" docstrings", disable=None, leave=False) as bar:
        for files in sources.values():
            for module, docs in Modules(files).public():
                bar.update(len(docs))
                for inner, doc in docs:
                    name = f"{module}.{inner}".rstrip(".")
                    if name not in pairs and (found := prose.summary_and_body(doc)):
                        pairs[name] = Pair(name, module, *found)
    queries: set[str] = set()
    texts: set[str] = set()
    distinct: list[Pair] = []
    for pair in (pairs[name] for name in sorted(pairs)):
        query, text = pair.query.lower(), pair.text.lower()
        if query not in queries and text not in texts:
            distinct.append(pair)
        queries.add(query)
        texts.add(text)
    return distinct
