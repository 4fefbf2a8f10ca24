"""Chance and BM25 under a protocol, computed once and kept: `<cache_dir>/floors/<protocol key>-....json`."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from twotower.data.collection import Judgements
from twotower.data.tokens import CollectionTokens
from twotower.evaluation import floors
from twotower.evaluation.candidates import Lists
from twotower.evaluation.evaluate import Result
from twotower.evaluation.protocol import Protocol
from twotower.model.sidecar import write_aside

Floors = dict[str, dict[str, float]]


def chance_and_bm25(
    protocol: Protocol,
    tokens: CollectionTokens,
    judgements: Judgements,
    lists: Lists | None = None,
    *,
    ks: Sequence[int],
    cache_dir: Path,
) -> Floors:
    """Metrics of both floors, by name; a damaged cache file is computed anew.

    `lists` are each query's own, if `protocol` says so; None ranks the corpus.
    """
    about = json.dumps([protocol.tokenizer, sorted(ks)])
    file = cache_dir / "floors" / f"{protocol.key}-{hashlib.sha256(about.encode()).hexdigest()[:8]}.json"
    kept = _read(file)
    if kept is not None:
        return kept
    grade = protocol.min_grade
    found = {
        "chance": floors.chance(lists or len(tokens.docs), judgements, ks=ks, min_grade=grade),
        "BM25": floors.bm25(tokens.docs, tokens.queries, judgements, lists, ks=ks, min_grade=grade),
    }
    made = {name: _means(result) for name, result in found.items()}
    write_aside(file, lambda out: out.write(json.dumps(made, indent=1).encode()))
    return made


def _means(result: Result) -> dict[str, float]:
    return {**result.metrics, "queries": result.queries, "judged": result.judged}


def _read(file: Path) -> Floors | None:
    try:
        kept: Floors = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and set(kept) == {"chance", "BM25"} else None
