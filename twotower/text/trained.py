"""Word vectors trained on a collection, by gensim: skip-gram or CBOW with negative sampling.

    Tokens of documents, Tokens of training queries  ->  words ("the", ...), matrix (words, E)

Mikolov et al., 2013. One thread, one seed and one hash function: the same texts give the same vectors in
every process. They are kept under the cache by their content, and are then read without gensim.
"""

import hashlib
import importlib.util
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from twotower import config
from twotower.text import cache
from twotower.text.tokenize import Tokens
from twotower.text.wanted import Matrix

FORMAT = 1
"""Of a cached training; another number is another entry."""

LONGEST = 10_000
"""Words of a sentence at most: gensim drops what lies beyond, so a longer text becomes several."""

SEEDS = 1 << 32
"""NumPy's seeds lie below this."""


class Table(NamedTuple):
    """`words`, most frequent first, and `matrix` (words, E) float32."""

    words: tuple[str, ...]
    matrix: Matrix


@dataclass(frozen=True)
class Recipe:
    """How word vectors are trained; the fields are the knobs of `twotower train`."""

    dim: int
    algorithm: config.WordAlgorithm
    epochs: int
    window: int
    min_count: int
    seed: int


def train_cached(texts: Sequence[Tokens], recipe: Recipe, cache_dir: Path) -> Table:
    """`train`, kept under `cache_dir` and memory-mapped, read-only; equal texts and recipes train once."""
    folder = Path(cache_dir) / "vectors" / _key(texts, recipe)
    entry = cache.load(folder, ("matrix",))
    if entry is None:
        table = train(texts, recipe)
        cache.save(folder, {"matrix": table.matrix}, table.words)
        return table
    arrays, words = entry
    return Table(words, arrays["matrix"])


def train(texts: Sequence[Tokens], recipe: Recipe) -> Table:
    """Train on `texts`, each a sentence, with a bar on stderr.

    Raises ValueError where gensim is not installed, and where no word occurs often enough.
    """
    if importlib.util.find_spec("gensim") is None:
        raise ValueError("vectors train: gensim is not installed; pip install 'twotower[gensim]'")
    # not at the top: an extra, and 1 s
    from gensim.models import Word2Vec

    total = (recipe.epochs + 1) * sum(map(len, texts))  # once more, to count the words
    with tqdm(total=total, desc="word vectors", unit=" texts", leave=False, disable=None) as bar:
        sentences = _Sentences(texts, bar)
        model = Word2Vec(
            vector_size=recipe.dim,
            sg=int(recipe.algorithm is config.WordAlgorithm.skipgram),
            window=recipe.window,
            min_count=recipe.min_count,
            seed=recipe.seed % SEEDS,
            workers=1,  # several write to one matrix in an order that no seed decides
            hashfxn=_hash,
        )
        model.build_vocab(sentences)
        if not len(model.wv):
            raise ValueError(
                f"vectors train: no word occurs {recipe.min_count} times, want a lower min_count"
            )
        model.train(sentences, total_examples=model.corpus_count, epochs=recipe.epochs)
    return Table(tuple(model.wv.index_to_key), model.wv.vectors)


class _Sentences:
    """The texts as lists of words, any number of times."""

    def __init__(self, texts: Sequence[Tokens], bar: "tqdm[None]") -> None:
        self._texts = texts
        self._bar = bar

    def __iter__(self) -> Iterator[list[str]]:
        for tokens in self._texts:
            for row in range(len(tokens)):
                words = tokens[row]
                yield from (words[at : at + LONGEST] for at in range(0, len(words), LONGEST))
                self._bar.update()


def _hash(text: str) -> int:
    """In the place of Python's own, which differs from process to process."""
    return zlib.crc32(text.encode(errors="surrogatepass"))


def _key(texts: Sequence[Tokens], recipe: Recipe) -> str:
    """A name for the vectors that `texts` and `recipe` give."""
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(recipe)]).encode())
    for tokens in texts:
        digest.update(json.dumps([len(tokens), tokens.words]).encode())
        digest.update(tokens.ragged.offsets.tobytes())
        digest.update(tokens.ragged.ids.tobytes())
    return digest.hexdigest()[:32]
