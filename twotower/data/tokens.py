"""A collection tokenised once: cached on disk by content, memory-mapped, shared by every run on it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twotower.data.collection import Collection
from twotower.text.tokenize import Tokenizer, Tokens, tokenize_cached


@dataclass(frozen=True, eq=False)
class CollectionTokens:
    """Tokens of a collection's queries and documents, in its row order."""

    queries: Tokens
    docs: Tokens


def tokenise(collection: Collection, tokenizer: Tokenizer, cache_dir: Path) -> CollectionTokens:
    """Both sides of `collection`, from the cache where they are in it."""
    texts = hashlib.sha256(
        json.dumps(collection.query_texts).encode()
    ).hexdigest()  # held-out splits share it
    return CollectionTokens(
        tokenize_cached(collection.query_texts, tokenizer, f"queries {texts}", cache_dir),
        tokenize_cached(collection.doc_inputs(), tokenizer, f"docs {collection.corpus_hash}", cache_dir),
    )


def word_counts(collection: Collection, tokens: CollectionTokens, split: str = "train") -> dict[str, int]:
    """Occurrences of each word in the corpus and in the queries of `split`, not in other splits' queries."""
    rows = np.unique(collection.judgements(split).queries)
    return dict(tokens.docs.word_counts() + tokens.queries.word_counts(rows))
