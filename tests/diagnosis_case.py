"""Retrieval whose failures have known causes: random words, and a bag of words projected at random."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from twotower.data.collection import Collection
from twotower.data.tokens import CollectionTokens
from twotower.evaluation import reasons
from twotower.evaluation.evaluate import evaluate
from twotower.evaluation.metrics import Floats
from twotower.evaluation.placed import Placed
from twotower.evaluation.reasons import Evidence
from twotower.text.tokenize import Tokenizer, Tokens

CUT, K, DEPTH = 48, 10, 100
EACH = 60
KINDS = ("plain", "unknown_words", "no_common_word", "truncated", "duplicate", "hub")


@dataclass
class Case:
    """Texts, the words that the model knows, and what was planted in each query."""

    docs: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    known: set[str]
    planted: dict[str, str]


class _Planter:
    """Makes queries with their documents, all words drawn from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.words = [f"w{number}" for number in range(3_000)]
        self.themes = [f"theme{number}" for number in range(20)]
        self.strange = [f"strange{number}" for number in range(600)]

    def draw(self, count: int, words: list[str] | None = None) -> list[str]:
        """Distinct words."""
        return [str(word) for word in self.rng.choice(words or self.words, count, replace=False)]

    def pair(self, kind: str) -> tuple[list[str], list[str]]:
        """A query and its document, as `kind` wants them."""
        doc = self.draw(40)
        match kind:
            case "unknown_words":
                odd = self.draw(5, self.strange)
                return [doc[0], *odd], [*doc[:-5], *odd]
            case "no_common_word":
                return [word for word in self.draw(50) if word not in doc][:6], doc
            case "truncated":
                doc += [word for word in self.draw(120) if word not in doc][:80]
                return doc[90:96], doc
            case "hub":
                return [*doc[:2], *self.draw(5, self.themes)], doc
            case _:
                return doc[:6], doc


@cache
def planted(seed: int = 0) -> Case:
    """360 queries, 60 of each kind, over some 2,700 documents of 40 of 3,000 words."""
    planter = _Planter(np.random.default_rng(seed))
    case = Case({}, {}, {}, {*planter.words, *planter.themes}, {})
    for number in range(1_500):
        case.docs[f"other{number:04}"] = " ".join(planter.draw(40))
    for number in range(12):  # about the theme and nothing else, so near to all that touches it
        case.docs[f"hub{number:02}"] = " ".join([*planter.themes, *planter.draw(3)])
    for number, kind in enumerate(kind for kind in KINDS for _ in range(EACH)):
        query, doc = planter.pair(kind)
        for copy in range(14 if kind == "duplicate" else 0):  # a word of the query in place of another
            case.docs[f"copy{number:03}_{copy:02}"] = " ".join([*doc[:39], query[copy % 6]])
        case.docs[f"gold{number:03}"] = " ".join(doc)
        case.queries[f"q{number:03}"] = " ".join(query)
        case.qrels[f"q{number:03}"] = {f"gold{number:03}": 1}
        case.planted[f"q{number:03}"] = kind
    return case


def projected(tokens: Tokens, known: set[str], limit: int, dim: int = 256) -> Floats:
    """Unit sums of a random vector for each known word; without any, a vector of its own."""
    table = {}
    for word in tokens.words:
        seed = np.random.default_rng([ord(letter) for letter in word])
        table[word] = seed.normal(size=dim) * (word in known) + 1e-3 * seed.normal(size=dim)
    rows = [
        sum((table[word] for word in tokens[row][:limit]), np.full(dim, 1e-9)) for row in range(len(tokens))
    ]
    return np.array([row / np.linalg.norm(row) for row in rows])


def evidence_of(
    docs: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    known: set[str] | None = None,
    cut: int = CUT,
    k: int = K,
) -> Evidence:
    """What `diagnose` would see of the projecting model; `known` words are all unless given."""
    collection = Collection.from_dicts(docs, queries, {"dev": qrels})
    tokenize = Tokenizer().tokenize
    tokens = CollectionTokens(tokenize(collection.query_texts), tokenize([*collection.doc_texts]))
    known = {*tokens.docs.words, *tokens.queries.words} if known is None else known
    judgements = collection.judgements("dev")
    vectors = projected(tokens.queries, known, cut), projected(tokens.docs, known, cut)
    asked = vectors[0][np.unique(judgements.queries)]
    depth = min(DEPTH, len(docs))
    result = evaluate(asked, vectors[1], judgements, ks=[depth], min_grade=1, chunk=10_000)
    placed = Placed.of(result, judgements, asked, vectors[1], 1)
    numbers, words = reasons.numbered(tokens, result.query_rows)
    return Evidence(
        placed, k, numbers, tokens.docs.ragged, words, np.array([word in known for word in words]), cut,
        collection.doc_ids,
    )  # fmt: skip
