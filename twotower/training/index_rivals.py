"""Two versions of an index, or two indexes, opened and asked what their collection's judges asked.

compared(cfg, "docs@v0001", "docs@v0002")  ->  Comparison
"""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from twotower import config, show
from twotower.config import Index
from twotower.data.collection import Collection
from twotower.evaluation import index_compare, index_gate, metrics
from twotower.evaluation.index_compare import Comparison, Questions
from twotower.evaluation.index_gate import Decision
from twotower.search import index, origins, versions
from twotower.search.opening import Request, open_searcher
from twotower.search.origins import DOCS
from twotower.search.searcher import Searcher
from twotower.training import index_knobs

SPLITS = ("dev", "test", "train")
"""Splits whose judgements are taken, the first that there is."""


def compared(cfg: Index, old: str, new: str) -> Comparison:
    """The new index against the old one; both as `versions.resolve` takes them.

    Raises ValueError for one index twice, a metric without a cut-off, and as opening them does.
    """
    metric = metrics.canonical(cfg.metric)
    if not metric.rpartition("_")[2].isdigit():
        raise ValueError(f"metric: got {cfg.metric}, want one with a cut-off, such as mrr_10 or recall_10")
    root = Path(cfg.index_dir)
    places = [versions.resolve(root, spec) for spec in (old, new)]
    if places[0].folder.resolve() == places[1].folder.resolve():
        raise ValueError(f"index compare: got {places[0]} twice, want two indexes")
    searchers = [_opened(cfg, str(place)) for place in places]
    with closing(searchers[0].index), closing(searchers[1].index):
        asked = _questions(cfg, searchers)
        sides = [(str(place), one) for place, one in zip(places, searchers, strict=True)]
        return index_compare.compare(sides[0], sides[1], asked, metric, np.random.default_rng(cfg.seed))


def gate(cfg: Index, old: str, new: str) -> Decision:
    """Whether `new` may take the place of `old`."""
    return index_gate.decide(compared(cfg, old, new), min_gain=cfg.min_gain)


def _opened(cfg: Index, spec: str) -> Searcher:
    root = Path(cfg.index_dir)
    found = index.read(versions.resolve(root, spec).folder)

    def load(path: Path) -> Any:
        # torch (1.5 s), for query towers that are no MLP
        from twotower.model import checkpoint
        from twotower.training import machine

        machine.settle(cfg.seed, cfg.threads)
        return checkpoint.load(path, machine.device_of(cfg.device))

    path = Path(found["checkpoint"]["path"])
    own = None if path.is_file() else index_knobs.moved(cfg, found)
    return open_searcher(
        Request(own, config.Stored(), Path(cfg.cache_dir), load, lambda line: None, spec, root)
    )


def _questions(cfg: Index, searchers: list[Searcher]) -> Questions:
    """Judged queries of the collection that is named, or of one that an index was built from."""
    if not isinstance(cfg.data, config.Stored):
        reading, _ = index_knobs.read(cfg, origins.of_data(cfg.data))
        assert reading.collection is not None  # it is no file of documents
        return _judged(cfg, reading.collection)
    for searcher in reversed(searchers):
        for record in searcher.index.manifest["sources"]:
            if record["source"].get("kind") != DOCS and (made := _of_record(cfg, record)):
                return made
    return index_compare.stand_ins(searchers[1], np.random.default_rng(cfg.seed))


def _of_record(cfg: Index, record: Mapping[str, Any]) -> Questions | None:
    try:
        reading, _ = index_knobs.read(cfg, origins.of_record(record))
    except (OSError, ValueError) as error:
        show.talk(f"{record['name']} cannot be read again, so its judgements are left out: {error}")
        return None
    return _judged(cfg, reading.collection) if reading.collection and reading.collection.splits else None


def _judged(cfg: Index, collection: Collection) -> Questions:
    """The queries of a split and what was judged; without the default one, of another that there is."""
    split = cfg.split
    if split == Index.split and split not in collection.splits:
        split = next((one for one in SPLITS if one in collection.splits), split)
    grades = collection.split(split)
    rows = collection.query_rows
    texts = [collection.query_texts[rows[query]] for query in grades]
    return Questions(texts, list(grades.values()), f"{collection.name}, split {split}")
