"""100,000 real documents at 256 numbers: built, asked exactly, by HNSW, and by a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from twotower import cli, config
from twotower.data import beir
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Searcher

SHARED = ROOT.parent / "shared" / "data"
COLLECTIONS = ("msmarco", "quora", "scifact", "squad_sent")
COUNT, DIM = 100_000, 256

pytestmark = [
    pytest.mark.bench,
    pytest.mark.skipif(
        not all((SHARED / name).is_dir() for name in COLLECTIONS), reason="needs ../shared/data"
    ),
]


def documents() -> Iterator[dict[str, str]]:
    """Those of four collections, then halves of MS MARCO's passages until there are enough."""
    for name in COLLECTIONS:
        collection = beir.read(SHARED / name)
        for doc_id, title, text in zip(
            collection.doc_ids, collection.doc_titles, collection.doc_texts, strict=True
        ):
            yield {"_id": f"{name}-{doc_id}", "title": title, "text": text, "source": name}
    collection = beir.read(SHARED / "msmarco")
    for doc_id, text in zip(collection.doc_ids, collection.doc_texts, strict=True):
        words = text.split()
        for part, half in enumerate((words[: len(words) // 2], words[len(words) // 2 :])):
            yield {"_id": f"half-{doc_id}-{part}", "title": "", "text": " ".join(half), "source": "half"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("speed")
    with (home / "docs.jsonl").open("w") as file:
        for number, one in enumerate(documents()):
            if number == COUNT:
                break
            file.write(json.dumps(one) + "\n")
    data = SHARED / "msmarco"
    run(home, "train", "data=beir", f"data.path={data}", f"dim={DIM}", "epochs=2", "tracking=none")
    return home


def run(home: Path, *words: str) -> float:
    """Seconds of a command in a process of its own, start included."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "twotower", *words], cwd=home, env=env, check=True, capture_output=True
    )
    return time.perf_counter() - start


def searcher(home: Path, name: str) -> Searcher:
    def load(path: Path) -> None:
        raise AssertionError(f"{path} was opened with torch")

    request = Request(None, config.Stored(), home / "cache", load, print, name, home / "data" / "indexes")  # type: ignore[arg-type]
    return open_searcher(request)


def median(opened: Searcher, queries: list[str]) -> float:
    for query in queries[:20]:
        opened.search(query, 10)
    return float(np.median([opened.search(query, 10).seconds for query in queries]))


def test_a_hundred_thousand_documents(home: Path) -> None:
    queries = list(beir.read(SHARED / "msmarco").query_texts[:200])
    built = run(home, "index", "build", "docs", "docs=docs.jsonl", "checkpoint=@latest")
    assert built < 60, built
    flat = searcher(home, "docs")
    vectors = np.ascontiguousarray(flat.index.vectors[0:COUNT])
    query = vectors[0].copy()
    times = []
    for _ in range(50):
        start = time.perf_counter()
        vectors @ query
        times.append(time.perf_counter() - start)
    # a product reads 102 MB once and does little else: its time is the memory's
    assert median(flat, queries) < 2 * float(np.median(times)) + 1e-3
    assert run(home, "index", "build", "graph", "docs=docs.jsonl", "checkpoint=@latest", "kind=hnsw") < 60
    graph = searcher(home, "graph")
    assert graph.index.manifest["recall"] >= 0.95
    assert graph.index.manifest["parameters"]["queries"] > 0
    assert median(graph, queries) < 1e-3
    cold = [run(home, "search", "what is a corporation", "index=docs") for _ in range(6)]
    assert min(cold) < 0.6, cold


def test_a_cold_search_imports_no_torch(home: Path) -> None:
    code = (
        "import sys; from twotower import cli; "
        "cli.main(['search', 'what is a corporation', 'index=docs']); assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )
    assert cli  # the same entry point as `twotower`
