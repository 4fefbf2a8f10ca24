"""What indexes there are, and what is in one: read from manifests, without opening an index.

listing(data/indexes)  ->  [{"index": "docs", "version": "v0002", "live": True, "documents": 28456, ...}]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twotower.search import databases, index, versions
from twotower.search.documents import DocumentStore
from twotower.search.index import DOCUMENTS
from twotower.search.versions import Place
from twotower.show import Grid


def listing(root: Path) -> list[dict[str, Any]]:
    """Every version of every index below `root`, by name, then version; a bad one with what is wrong."""
    return [
        _row(root, name, version)
        for name in versions.names(root)
        for version in versions.versions(root, name)
    ]


def _row(root: Path, name: str, version: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "index": name,
        "version": version,
        "live": version == versions.live(root, name),
    }
    try:
        manifest = index.read(root / name / version)
    except ValueError as error:
        return {**row, "problem": str(error)}
    said = ("documents", "dim", "kind", "storage", "recall", "created")
    return {
        **row,
        **{key: manifest[key] for key in said},
        "storage": manifest["store"]["kind"] if manifest["store"] else manifest["storage"],
        "checkpoint": manifest["checkpoint"]["run"],
        "mb": round(size(manifest) / 1e6, 1),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> Grid:
    """The listing, to be shown."""
    columns = ("index", "documents", "dim", "kind", "storage", "recall", "MB", "checkpoint", "created")
    cells = [
        [
            f"{row['index']}@{row['version']}{' live' if row['live'] else ''}",
            *(
                ["-", "-", "damaged", "-", "-", "-", "-", "-"]
                if "problem" in row
                else [
                    f"{row['documents']:,}",
                    str(row["dim"]),
                    row["kind"],
                    row["storage"],
                    f"{row['recall']:.3f}",
                    f"{row['mb']:,.1f}",
                    row["checkpoint"],
                    row["created"][:19],
                ]
            ),
        ]
        for row in rows
    ]
    heading = f"{len({row['index'] for row in rows})} indexes, {len(rows)} versions"
    return Grid(heading, columns, cells, spare=("created", "checkpoint", "dim"))


def info(place: Place) -> dict[str, Any]:
    """What the manifest says, for people and programs."""
    manifest = index.read(place.folder)
    left_out = ("files", "seal", "quantiles", "probe", "longest", "tied")
    return {
        "index": str(place),
        "folder": str(place.folder),
        "live": bool(place.version) and versions.live(place.root, place.name) == place.version,
        **{key: value for key, value in manifest.items() if key not in left_out},
        "bytes": size(manifest),
    }


def stats(place: Place) -> dict[str, Any]:
    """Counts: documents, vectors and ids, documents of each source and repeated ones, bytes of each part."""
    manifest = index.read(place.folder)
    with DocumentStore.open(place.folder / DOCUMENTS, immutable=True) as store:
        documents, sources = len(store), dict(store.sources())
    parts: dict[str, int] = {}
    for name, (count, _) in manifest["files"].items():
        part = _part(name)
        parts[part] = parts.get(part, 0) + count
    return {
        "index": str(place),
        "documents": documents,
        **(_in_database(place) if manifest["store"] else {"vectors": manifest["documents"]}),
        "sources": sources,
        "repeated": manifest["repeated"],
        "bytes": parts,
    }


def _in_database(place: Place) -> dict[str, Any]:
    """Vectors in the database, and ids that stand on one side alone."""
    manifest = index.read(place.folder)
    store = databases.of_key(manifest["store"])
    try:
        with DocumentStore.open(place.folder / DOCUMENTS, immutable=True) as documents:
            here, there = set(documents.ids()), set(store.ids())
        return {
            "vectors": store.count(),
            "store": manifest["store"]["url"],
            "only in documents": len(here - there),
            "only in the store": len(there - here),
        }
    finally:
        store.close()


def size(manifest: Mapping[str, Any]) -> int:
    """Bytes of all files."""
    return sum(count for count, _ in manifest["files"].values())


def lines(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested content as dotted names and values, to be shown in two columns."""
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            rows += lines(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, one in enumerate(value):
                rows += lines(one, f"{prefix}{key}.{number}.")
        else:
            rows.append((f"{prefix}{key}", _shown(value)))
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "-" if value in (None, "") else str(value)


def _part(name: str) -> str:
    """What a file belongs to."""
    parts = {
        "documents": "documents",
        "ids": "ids",
        "vectors": "vectors",
        "codes": "vectors",
        "scales": "vectors",
        "errors": "vectors",
        "faiss": "search",
        "slots": "search",
    }
    return parts.get(name.partition(".")[0].partition("_")[0], "towers and the rest")
