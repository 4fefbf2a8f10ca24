"""The mean of frozen word vectors: what a bag of pretrained words scores before anything is learnt.

    "the cat of zyzzyva" -> (the + cat + of) / 3, at unit length        unknown words have no part in it

A text without a known word is the zero vector, whose score is 0 with all others.
"""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from twotower.evaluation.evaluate import Result
from twotower.evaluation.floors import Asked
from twotower.text import glove, vectors
from twotower.text.streams import Place
from twotower.text.tokenize import Tokens
from twotower.text.vectors import RANDOM, TRAIN, Part
from twotower.text.vocabulary import SPECIAL
from twotower.text.wanted import Matrix


def tables_of(source: str) -> list[Part]:
    """The parts of `vectors=` that are tables: `random` and `train` have no words of their own to average.

    Raises FileNotFoundError for one that is nowhere.

    >>> tables_of("glove-50d+random")
    ['glove-50d']
    """
    return [part for part in vectors.split(source) if part not in (RANDOM, TRAIN)]


def name_of(tables: list[Part]) -> str:
    """The row's name.

    >>> name_of(["glove-50d"])
    'glove-50d mean'
    """
    names = [part if isinstance(part, str) else part.member or part.path.name for part in tables]
    return f"{'+'.join(names)} mean"


def digest(tables: list[Part]) -> str:
    """SHA-256 (hex) over what the tables' files look like from outside: place, size, time.

    Raises ValueError for a wheel that is not installed.
    """
    files = [
        part.path if isinstance(part, Place) else glove.wheel_folder() / "glove_6B_50d_emb.npy"
        for part in tables
    ]
    seen = [
        [str(part), str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns]
        for part, file in zip(tables, files, strict=True)
    ]
    return hashlib.sha256(json.dumps(["mean of word vectors", seen]).encode()).hexdigest()


def score(tables: list[Part], asked: Asked) -> Result:
    """Rank by the mean vectors of whole texts; several tables stand side by side.

    Raises what reading a table raises.
    """
    queries = Tokens(asked.tokens.queries.words, asked.tokens.queries.ragged.take(asked.query_rows))
    docs = asked.tokens.docs
    if asked.lists is not None:
        docs = Tokens(docs.words, docs.ragged.take(asked.lists.members))
    places = {word: place for place, word in enumerate(dict.fromkeys((*docs.words, *queries.words)))}
    table = _table(tables, places)
    return asked.score(*(_means(side, places, table) for side in (queries, docs)))


def _table(tables: list[Part], places: Mapping[str, int]) -> Matrix:
    """A row for each word, (words, E); zeros where a table lacks it."""
    rng = np.random.default_rng(0)  # for what is drawn in place of missing words, and thrown away here
    parts = [vectors.load(str(part), (*SPECIAL, *places), dim=1, rng=rng) for part in tables]
    rows = [np.where(part.found[:, None], part.matrix, np.float32(0))[len(SPECIAL) :] for part in parts]
    return np.concatenate(rows, axis=1)


def _means(tokens: Tokens, places: Mapping[str, int], table: Matrix) -> Matrix:
    """Unit vectors of the texts, (texts, E)."""
    of_word = np.array([places[word] for word in tokens.words], dtype=np.int64)
    longest = np.argsort(-tokens.ragged.lengths, kind="stable")
    lengths, starts = tokens.ragged.lengths[longest], tokens.ragged.offsets[longest]
    sums = np.zeros((len(tokens), table.shape[1]), dtype=np.float32)
    for place in range(int(lengths.max(initial=0))):  # the word at this place, of all texts that have one
        count = int(np.searchsorted(-lengths, -place))
        sums[:count] += table[of_word[tokens.ragged.ids[starts[:count] + place]]]
    norms = np.linalg.norm(sums, axis=1, keepdims=True)  # a sum has the direction of the mean
    vectors = np.empty_like(sums)
    vectors[longest] = np.divide(sums, norms, out=sums, where=norms > 0)
    return vectors
