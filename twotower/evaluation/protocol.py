"""What a number was measured on. Numbers of different protocols are never ranked together.

    Protocol(collection="msmarco", split="dev", ...).key -> "5f0c1a2b9d3e"

Content decides, not names: two copies of a collection under two names are one protocol. How a model read the
texts (truncation, tokenizer) and how deep it was ranked are written down and not compared, so that BM25 and a
two-tower model share a table.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from twotower.data.collection import Collection
from twotower.evaluation import candidates
from twotower.evaluation.candidates import Lists
from twotower.evaluation.metrics import EPSILON, VERSION

TIE_RULE = f"expected value, {EPSILON:.0e}".replace("e-0", "e-")
OWN = "own-"
"""What `candidates` begins with where each query ranks its own list."""
LATER = {"mean_candidates", "most_candidates"}
"""Entries that older records lack; they have their defaults then."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Equal protocols, equal `key`; fields marked `compare=False` are recorded only."""

    collection: str = field(compare=False)
    """Name of the collection."""
    split: str = field(compare=False)
    """Split of the qrels."""
    corpus_hash: str
    queries_hash: str
    """Of the queries judged in the split."""
    qrels_hash: str
    candidates: str = "full"
    """What is ranked: full (the whole corpus), or own- and twelve hexadecimal digits over the lists' ids."""
    min_grade: int = 1
    """Grade from which a judged document is relevant."""
    tie_rule: str = TIE_RULE
    metrics_version: int = VERSION
    """Of the metrics' definitions."""
    depth: int = field(default=0, compare=False)
    """Documents ranked for a query."""
    tokenizer: str = field(default="", compare=False)
    """What a word is."""
    max_query_words: int = field(default=0, compare=False)
    """Words read of a query; 0 is all."""
    max_doc_words: int = field(default=0, compare=False)
    """Words read of a document; 0 is all."""
    mean_candidates: float = field(default=0.0, compare=False)
    """Documents in a query's own list, on average; 0 where the corpus is ranked."""
    most_candidates: int = field(default=0, compare=False)
    """Documents in the longest of these lists."""

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits over all that is compared."""
        compared = {item.name: getattr(self, item.name) for item in fields(self) if item.compare}
        return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def kind(self) -> str:
        """What is ranked, in a word: full or own."""
        return "own" if self.candidates.startswith(OWN) else self.candidates

    def __str__(self) -> str:
        """For a heading: `msmarco dev, full corpus, relevant from grade 1`."""
        own = f"own candidates ({self.mean_candidates:.1f} a query)"
        ranked = own if self.kind == "own" else f"{self.kind} corpus"
        return f"{self.collection} {self.split}, {ranked}, relevant from grade {self.min_grade}"

    @staticmethod
    def of(
        collection: Collection,
        split: str,
        lists: Lists | None = None,
        *,
        min_grade: int,
        ks: Sequence[int],
    ) -> "Protocol":
        """Of ranking the whole corpus, or each query's list; ValueError for a split that there is not.

        What a model reads of it is added by `dataclasses.replace`.
        """
        most = lists.most if lists else len(collection.doc_ids)
        return Protocol(
            collection=collection.name,
            split=split,
            corpus_hash=collection.corpus_hash,
            queries_hash=collection.queries_hash(split),
            qrels_hash=collection.qrels_hash(split),
            candidates=f"{OWN}{candidates.digest(lists, collection)}" if lists else "full",
            min_grade=min_grade,
            depth=min(max(ks), most),
            mean_candidates=lists.mean if lists else 0.0,
            most_candidates=lists.most if lists else 0,
        )

    def to_dict(self) -> dict[str, str | int | float]:
        """As plain types, for a checkpoint or a sidecar."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Protocol":
        """The inverse of `to_dict`; ValueError for a missing, unknown or wrongly typed entry."""
        known = {item.name: item.type for item in fields(Protocol)}
        wrong = sorted((known.keys() ^ values.keys()) - LATER)
        if wrong:
            what = "missing" if wrong[0] in known else "unknown"
            raise ValueError(f"protocol: {wrong[0]!r} is {what}, want {', '.join(known)}")
        for name, value in values.items():
            if type(value) is not known[name]:
                wanted = getattr(known[name], "__name__", known[name])
                raise ValueError(f"protocol: {name} is {value!r}, want {wanted}")
        return Protocol(**values)
