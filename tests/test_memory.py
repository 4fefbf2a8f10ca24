"""What GradCache promises: batches as large as one likes in the memory of small ones."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = """
import json, re, sys, time
from pathlib import Path
import numpy as np, torch
from twotower import config
from twotower.data.batches import TrainingPairs
from twotower.data.collection import Judgements
from twotower.model.two_tower import TwoTower
from twotower.text.ragged import Ragged, offsets_of
from twotower.training.group import Group
from twotower.training.step import Stepper, Sums

kind, batch, chunk, pairs, vocabulary = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
def texts(mean):
    lengths = rng.poisson(mean, pairs)
    ids = (vocabulary * rng.random(lengths.sum()) ** 3).astype(np.int32).clip(2)
    return Ragged(ids, offsets_of(lengths))
rows = np.arange(pairs)
collection = TrainingPairs.build(Judgements(rows, rows, np.ones(pairs, np.int32)), texts(8), texts(60))
tower = config.MLPTower() if kind == "mlp" else config.GRUTower()
cfg = config.Train(data=config.Docstrings(), query_tower=tower, doc_tower=tower, loss=config.Contrastive(),
                   epochs=1, batch_size=batch, cache_chunk=chunk)
torch.manual_seed(0)
vectors = rng.standard_normal((vocabulary, 50), dtype=np.float32)
model = TwoTower.build(cfg, vectors, np.ones(vocabulary, np.float32))
stepper = Stepper(cfg, model, collection.batches(batch), Group())
sums, began = Sums(), time.perf_counter()
drawn = collection.epoch(0, 1, batch_size=batch, random_negatives=256)
stepper.epoch((next(drawn) for _ in range(2)), sums, lambda: None)
stepper.count(next(collection.epoch(0, 0, batch_size=batch, random_negatives=256)), Sums())
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps({"megabytes": peak / 1024, "seconds": time.perf_counter() - began, "pairs": sums.pairs}))
"""


def measured(
    kind: str, batch: int, chunk: int, pairs: int = 20_000, vocabulary: int = 30_000
) -> dict[str, float]:
    """Peak memory and time of a process that takes two steps and looks at one batch."""
    words = [kind, *map(str, (batch, chunk, pairs, vocabulary))]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_a_batch_of_8192_takes_little_more_memory_than_a_plain_one_of_1024(kind: str) -> None:
    cached, plain = measured(kind, 8192, 256), measured(kind, 1024, 0)
    assert cached["pairs"] == 2 * 8192
    assert cached["megabytes"] <= 1.3 * plain["megabytes"]
