"""What a floor is asked, of a small collection."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from twotower.data.collection import Collection
from twotower.data.tokens import tokenise
from twotower.evaluation import candidates
from twotower.evaluation.floors import Asked
from twotower.evaluation.protocol import Protocol
from twotower.text.tokenize import Tokenizer


def ask(
    collection: Collection, cache: Path, *, split: str = "dev", own: bool = False, ks: Sequence[int] = (1, 10)
) -> Asked:
    """The whole corpus, or with `own` each query's judged documents."""
    judged = collection.judgements(split)
    lists = candidates.judged(judged) if own else None
    tokenizer = Tokenizer()
    protocol = replace(Protocol.of(collection, split, lists, min_grade=1, ks=ks), tokenizer=tokenizer.pattern)
    return Asked(collection, protocol, tokenise(collection, tokenizer, cache), judged, lists, ks)
