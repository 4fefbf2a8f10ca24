"""A two-tower model with all that it needs to read text: tokenizer, vocabulary, truncation.

    texts -> Tokenizer -> Tokens -> Vocab -> Ragged -> TwoTower -> unit vectors, float32 (n, D)

What is evaluated is what is served: training, evaluation and search encode through here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.model import encode
from twotower.model.two_tower import TwoTower
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer, Tokens
from twotower.text.vocabulary import Vocab


@dataclass(frozen=True, eq=False)
class Retriever:
    """Text in, vectors out."""

    two_tower: TwoTower
    vocab: Vocab
    tokenizer: Tokenizer
    max_query_words: int
    max_doc_words: int

    def query_ids(self, tokens: Tokens) -> Ragged:
        """Tokenised queries to this model's ids, truncated."""
        return self.vocab.encode(tokens, self.max_query_words)

    def doc_ids(self, tokens: Tokens) -> Ragged:
        """Tokenised documents to this model's ids, truncated."""
        return self.vocab.encode(tokens, self.max_doc_words)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, D) of queries."""
        return encode.encode_queries(self.two_tower, self.query_ids(self.tokenizer.tokenize(texts)))

    def encode_docs(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, D) of documents (title, space, text)."""
        return encode.encode_docs(self.two_tower, self.doc_ids(self.tokenizer.tokenize(texts)))
