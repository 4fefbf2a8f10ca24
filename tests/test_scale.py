"""What evaluation costs beside the exact search that it needs, in time and in memory."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from twotower.data.collection import Judgements
from twotower.evaluation.evaluate import evaluate

KS = (1, 5, 10, 100)
PEER_MB = 3100
"""Above its inputs, by sentence-transformers' evaluator on 100,000 documents x 256 and 5,000 queries."""

PROGRAM = """
import re, sys
from pathlib import Path
import numpy as np
from twotower.data.collection import Judgements
from twotower.evaluation.evaluate import evaluate

def memory(kind):
    return int(re.search(kind + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

file, queries = sys.argv[1], int(sys.argv[2])
docs, rng = np.load(file, mmap_mode="r"), np.random.default_rng(1)
if sys.argv[3] == "held":
    docs = np.array(docs)
vectors = rng.standard_normal((queries, docs.shape[1]), dtype=np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
relevant = np.sort(rng.integers(0, len(docs), (queries, 3)) // 3 * 3 + np.arange(3), axis=1) % len(docs)
about = Judgements(np.repeat(np.arange(queries), 3), relevant.ravel(), np.ones(3 * queries, np.int32))
before = memory("VmRSS")
found = evaluate(vectors, docs, about, ks=(1, 5, 10, 100), min_grade=1, chunk=65_536)
assert found.judged == queries
print(before, memory("VmHWM"))
"""


def unit(rows: int, width: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def stored(file: Path, documents: int, width: int) -> Path:
    """Unit vectors in a file that never lies in memory as a whole."""
    shape = (documents, width)
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, documents, 50_000):
        count = min(50_000, documents - start)
        mapped[start : start + count] = unit(count, width, start)
    mapped.flush()
    return file


def megabytes(file: Path, queries: int, how: str) -> tuple[float, float]:
    """Of a process that evaluates on `file`: memory before, and its peak."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file), str(queries), how],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    before, peak = map(float, done.stdout.split())
    return before, peak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_million_documents_on_disk_need_less_than_2500_megabytes(tmp_path: Path) -> None:
    _, peak = megabytes(stored(tmp_path / "docs.npy", 1_000_000, 128), 1_000, "mapped")
    assert peak < 2_500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_evaluation_needs_at_most_a_quarter_of_the_peers_memory(tmp_path: Path) -> None:
    before, peak = megabytes(stored(tmp_path / "docs.npy", 100_000, 256), 5_000, "held")
    assert peak - before < PEER_MB / 4


@pytest.mark.bench
def test_metrics_ties_and_values_cost_a_quarter_of_the_search_at_most() -> None:
    faiss = pytest.importorskip("faiss")
    docs, queries, rng = unit(100_000, 256, 0), unit(5_000, 256, 1), np.random.default_rng(2)
    relevant = np.sort([rng.choice(100_000, 3, replace=False) for _ in range(5_000)], axis=1).ravel()
    about = Judgements(np.repeat(np.arange(5_000), 3), relevant, np.ones(15_000, np.int32))

    def seconds(work: object) -> float:
        start = time.perf_counter()
        work()  # type: ignore[operator]
        return time.perf_counter() - start

    def alone() -> None:
        faiss.knn(queries, docs, max(KS), metric=faiss.METRIC_INNER_PRODUCT)

    def whole() -> None:
        evaluate(queries, docs, about, ks=KS, min_grade=1, chunk=65_536)

    alone(), whole()  # noqa: B018  - neither pays for what comes once
    rounds = [(seconds(alone), seconds(whole)) for _ in range(9)]
    ratio = statistics.median(ours / search for search, ours in rounds)
    search, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    sys.stdout.write(f"search alone {search:.2f} s, evaluation {ours:.2f} s, median ratio {ratio:.3f}\n")
    assert ratio < 1.25
