"""From knobs to everything a run needs: collection, vocabulary, word vectors, model, pairs.

Train -> Collection -> Tokens -> Vocab, WordVectors -> Retriever, TrainingPairs
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twotower import knobs
from twotower.config import CUT_OFFS, Candidates, Margin, Scheduler, Train
from twotower.data import judged, reader
from twotower.data.batches import TrainingPairs
from twotower.data.collection import Collection, Judgements
from twotower.data.judged import Joined
from twotower.data.splitting import hold_out_dev
from twotower.data.tokens import CollectionTokens, tokenise, word_counts
from twotower.evaluation import candidates
from twotower.evaluation.candidates import Lists
from twotower.evaluation.metrics import canonical
from twotower.evaluation.protocol import Protocol
from twotower.model.losses import needs_given
from twotower.model.retriever import Retriever
from twotower.model.two_tower import TwoTower
from twotower.model.words import idf
from twotower.text import trained, vectors
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer, Tokens, warn_unsegmented
from twotower.text.vectors import WordVectors
from twotower.text.vocabulary import Vocab
from twotower.training import frozen
from twotower.training.group import processes


@dataclass(frozen=True, eq=False)
class Setup:
    """What a run works on; `queries` and `docs` are all of them, encoded and truncated, in row order."""

    collection: Collection
    tokens: CollectionTokens
    retriever: Retriever
    words: WordVectors
    queries: Ragged
    docs: Ragged
    train: TrainingPairs
    dev: TrainingPairs
    judgements: Judgements
    lists: Lists | None
    """What each dev query ranks under `candidates=own`."""
    protocol: Protocol
    held_out: bool
    """Whether dev was held out of train here."""
    judged: Joined | None = None
    """What was judged at the prompt and is in `collection`, if anything."""

    @property
    def read_hash(self) -> str:
        """Of the collection as it can be read again, without what was judged at the prompt."""
        return self.judged.base if self.judged else self.collection.hash


def build(cfg: Train) -> Setup:
    """Read, tokenise, and build the untrained model.

    Raises:
        ValueError, FileNotFoundError: whatever is wrong with the collection, the vectors or the knobs.
    """
    cache = Path(cfg.cache_dir)
    rng = np.random.default_rng(cfg.seed)
    tokenizer = Tokenizer(cfg.pattern)
    read = reader.read(cfg.data, cache)
    divided = with_dev(read, cfg.data.dev_share, cfg.seed)
    joined = _joined(cfg, divided, tokenizer)
    collection = joined.collection if joined else divided
    tokens = tokenise(collection, tokenizer, cache)
    lists = own_lists(cfg, collection)
    fixed = frozen.load(cfg)
    vocab = fixed.retriever.vocab if fixed else _vocab(cfg, tokenizer, word_counts(collection, tokens))
    words = fixed.words() if fixed else _words(cfg, vocab, rng, collection, tokens)
    queries = vocab.encode(tokens.queries, cfg.max_query_words)
    docs = vocab.encode(tokens.docs, cfg.max_doc_words)
    made = fixed.model if fixed else TwoTower.build
    two_tower = made(cfg, words.matrix, idf(docs, len(vocab)))
    retriever = Retriever(two_tower, vocab, tokenizer, cfg.max_query_words, cfg.max_doc_words)
    train, dev = (collection.judgements(split) for split in ("train", "dev"))
    where = f"{collection.name}, split"
    pairs = _pairs(f"{where} train", train, queries, docs, cfg)
    _check_given(cfg, collection.name, pairs)
    return Setup(
        collection=collection,
        tokens=tokens,
        retriever=retriever,
        words=words,
        queries=queries,
        docs=docs,
        train=pairs,
        dev=_pairs(f"{where} dev", dev, queries, docs, cfg),
        judgements=dev,
        lists=lists,
        protocol=stated_protocol(collection, "dev", retriever, lists, ks=cfg.k, min_grade=cfg.min_grade),
        held_out=divided is not read,
        judged=joined,
    )


def with_dev(collection: Collection, share: float, seed: int) -> Collection:
    """`collection` itself if it has a dev split, else with a `share` of train held out as dev, by `seed`.

    Raises ValueError where there is no train split.
    """
    if "train" not in collection.splits:
        have = ", ".join(collection.splits) or "none"
        raise ValueError(f"{collection.name}: no train split, there is {have}; a run needs qrels of train")
    if "dev" in collection.splits:
        return collection
    return hold_out_dev(collection, share, np.random.default_rng(seed))


def _joined(cfg: Train, collection: Collection, tokenizer: Tokenizer) -> Joined | None:
    """After dev was held out, which so is the same with and without judgements."""
    if not cfg.judgements:
        return None
    return judged.join(collection, Path(cfg.judgements), tokenizer, min_grade=cfg.min_grade)


def own_lists(cfg: Train, collection: Collection) -> Lists | None:
    """What each dev query ranks under `candidates=own`; None where that is the corpus.

    Raises ValueError where all models would score the same, by any metric or by `cfg.select`.
    """
    if cfg.candidates is Candidates.full:
        return None
    dev = collection.judgements("dev")
    lists = candidates.judged(dev)
    candidates.check(lists, dev, min_grade=cfg.min_grade, where=f"{collection.name}, split dev")
    if candidates.fixed([cfg.select], lists.most):
        raise ValueError(
            f"select: {cfg.select} is the same for every model where a query ranks at most {lists.most} "
            "documents; want a lower cut-off, mrr_10 or candidates=full"
        )
    return lists


def fitted(ks: Sequence[int], select: str, documents: int) -> list[int]:
    """Cut-offs that the corpus has room for; only the defaults are clipped, what the user typed is not.

    The cut-off of `select` stays: on a smaller corpus it means the whole of it.

    Raises ValueError for a typed k beyond the corpus.
    """
    over = [k for k in ks if k > documents]
    if over and tuple(ks) != CUT_OFFS:
        raise ValueError(f"k: got {max(over)}, want at most {documents}, the documents of the corpus")
    return [k for k in ks if k <= documents or select.endswith(f"_{k}")]


def settled(cfg: Train) -> Train:
    """The knobs as the record will show them: the metric by its one name, tied towers alike.

    Raises ValueError for a `select` that is no metric or whose cut-off is not in `k`, and for choices that
    do not go together.
    """
    select = canonical(cfg.select)
    cut = select.rpartition("_")[2]
    if cut.isdigit() and int(cut) not in cfg.k:
        raise ValueError(f"select: {select} needs {cut} in k, which is {knobs.shown(cfg.k)}")
    _check_together(cfg)
    cfg = frozen.settled(cfg)
    return replace(cfg, select=select, doc_tower=cfg.query_tower if cfg.tied else cfg.doc_tower)


def _check_together(cfg: Train) -> None:
    """Raises ValueError for a loss without what it pushes away, and other choices that do not fit."""
    if needs_given(cfg.loss) and not cfg.given_negatives:
        raise ValueError("given_negatives: got 0, want at least 1, for the loss pushes no others away")
    if cfg.scheduler is Scheduler.plateau and not cfg.eval_every_epoch:
        raise ValueError("scheduler: plateau follows the evaluations; want eval_every_epoch=true")
    if cfg.sparse_words and processes() > 1:
        raise ValueError(f"sparse_words: got true with {processes()} processes, want false or one process")


def _pairs(where: str, judgements: Judgements, queries: Ragged, docs: Ragged, cfg: Train) -> TrainingPairs:
    lone = isinstance(cfg.loss, Margin)  # it alone learns from a pair without a positive
    try:
        return TrainingPairs.build(judgements, queries, docs, min_grade=cfg.min_grade, lone=lone)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _check_given(cfg: Train, name: str, pairs: TrainingPairs) -> None:
    """Raises ValueError where the loss pushes given negatives alone away, and there are none."""
    if needs_given(cfg.loss) and not len(pairs.refused.docs):
        word = knobs.plain(cfg)["loss"]["kind"]
        raise ValueError(
            f"{name}, split train: no document is judged not relevant to a query, and this loss={word} "
            "pushes no others away; want triplets, pairs with scores, or loss=contrastive"
        )


def _vocab(cfg: Train, tokenizer: Tokenizer, counts: dict[str, int]) -> Vocab:
    """The collection's words, filled with the vectors' most frequent ones."""
    filler = vectors.frequent_words(cfg.vectors, cfg.max_size, tokenizer)
    return Vocab.build(counts, min_count=cfg.min_count, max_size=cfg.max_size, filler=filler)


def _words(
    cfg: Train, vocab: Vocab, rng: np.random.Generator, collection: Collection, tokens: CollectionTokens
) -> WordVectors:
    """The word vectors that the knobs name, for this vocabulary."""
    return vectors.load(
        cfg.vectors,
        vocab.words,
        dim=cfg.vectors_dim,
        rng=rng,
        trained=lambda: trained_vectors(cfg, collection, tokens),
    )


def trained_vectors(cfg: Train, collection: Collection, tokens: CollectionTokens) -> trained.Table:
    """Word vectors trained on the corpus and the queries of train; other splits' queries are not seen."""
    rows = np.unique(collection.judgements("train").queries)
    queries = Tokens(tokens.queries.words, tokens.queries.ragged.take(rows))
    recipe = trained.Recipe(
        dim=cfg.vectors_dim,
        algorithm=cfg.vectors_algorithm,
        epochs=cfg.vectors_epochs,
        window=cfg.vectors_window,
        min_count=cfg.min_count,
        seed=cfg.seed,
    )
    return trained.train_cached([tokens.docs, queries], recipe, Path(cfg.cache_dir))


def stated_protocol(
    collection: Collection,
    split: str,
    retriever: Retriever,
    lists: Lists | None = None,
    *,
    ks: Sequence[int],
    min_grade: int,
) -> Protocol:
    """Retrieval on `split` from the corpus, or from each query's list, and how this model reads it."""
    return replace(
        Protocol.of(collection, split, lists, min_grade=min_grade, ks=ks),
        tokenizer=retriever.tokenizer.pattern,
        max_query_words=retriever.max_query_words,
        max_doc_words=retriever.max_doc_words,
    )


def remarks(cfg: Train, setup: Setup) -> Iterator[str]:
    """What the user should know before the run starts, a line each."""
    collection, vocab = setup.collection, setup.retriever.vocab
    dev = len(np.unique(setup.judgements.queries))
    yield (
        f"{collection.name} {collection.hash[:12]}: {len(collection.doc_ids):,} documents, "
        f"{len(setup.train):,} training pairs, {dev:,} dev queries"
    )
    yield from frozen.remarks(cfg)
    yield from collection.remarks
    yield from (str(report) for report in collection.files if report.skipped)
    if setup.judged:
        yield from setup.judged.remarks
    if setup.held_out:
        yield f"no dev split: {dev:,} training queries held out as dev, by seed {cfg.seed}"
    if setup.lists:
        yield f"a dev query ranks its own {setup.lists.mean:.1f} documents, {setup.lists.most} at most"
    unknown = [f"{vocab.unknown_share(side):.1%}" for side in (setup.tokens.queries, setup.tokens.docs)]
    yield (
        f"vocabulary: {len(vocab):,} words, {setup.words.coverage:.1%} with vectors from {cfg.vectors}; "
        f"unknown words: {unknown[0]} of the queries', {unknown[1]} of the documents'"
    )
    parameters = sum(p.numel() for p in setup.retriever.two_tower.parameters())
    steps = -(-setup.train.batches(cfg.batch_size * processes()) // cfg.accumulate)
    total = cfg.epochs * steps
    yield f"model: {parameters:,} parameters; {cfg.epochs} epochs of {steps} steps, {total:,} in all"
    if cfg.accumulate > 1:
        yield f"accumulate={cfg.accumulate} adds no in-batch negatives; cache_chunk with a larger batch does"
    if given := len(setup.train.refused.docs):
        drawn = f"up to {cfg.given_negatives} drawn for each pair" if cfg.given_negatives else "none drawn"
        yield f"given negatives: {given:,}, {drawn}"
    if cfg.tied:
        yield "tied: one tower for both sides, doc_tower follows query_tower"
    if warning := warn_unsegmented(collection.doc_texts[:10_000]):
        yield warning
