"""A checkpoint's towers as they were before their first step, scored beside it.

    config and seed in the checkpoint -> the same random weights over the same words -> a floor, kept

What training adds is the distance from here, not from zero: random towers over good word vectors are far
above chance. Checkpoints that differ in nothing but how they were trained share one floor.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from twotower import knobs
from twotower.config import Candidates, Train
from twotower.data import reader
from twotower.evaluation import floor_cache
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floor_cache import Floor
from twotower.evaluation.floors import Asked
from twotower.evaluation.results import Measured
from twotower.model import encode
from twotower.model.retriever import Retriever
from twotower.training import setup
from twotower.training.runs import LAST_BITS, WITHOUT_EFFECT

NAME = "untrained"
LATER = (
    *("freeze_epochs", "loss", "random_negatives", "given_negatives", "epochs", "batch_size", "accumulate"),
    *("cache_chunk", "precision", "compile", "sparse_words", "learning_rate", "word_rate", "optimizer"),
    *("weight_decay", "beta1", "beta2", "scheduler", "step_size", "plateau_patience", "gamma", "warmup"),
    *("grad_clip", "patience", "select", "k", "candidates", "eval_every_epoch", "eval_max_queries", "floors"),
)
"""Knobs that decide on nothing before the first step."""


def floor_of(
    content: Mapping[str, Any], asked: Asked, cache_dir: Path, device: torch.device | str = "cpu"
) -> tuple[Measured | None, str]:
    """The floor of the checkpoint that `content` tells of, or None and why in a line.

    `asked` is tokenised by the checkpoint's own pattern. Its own collection is read again where the floor is
    not kept: the vocabulary comes from there.
    """
    try:
        config = content["training_stats"]["config"]
        made = _floor(
            content["data"]["hash"], config, asked, lambda: score(built(content, cache_dir), asked, device)
        )
        return floor_cache.kept(asked, made, cache_dir), ""
    except (KeyError, TypeError, AttributeError):
        return None, "untrained towers left out: the checkpoint does not say how it was trained"
    except (ValueError, FileNotFoundError) as error:
        return None, f"untrained towers left out: {' '.join(str(error).split())}"


def keep(config: Mapping[str, Any], asked: Asked, result: Result, cache_dir: Path) -> Measured:
    """The floor of a run with these plain knobs, whose first evaluation was `result`: nothing is built.

    Raises OSError where `cache_dir` cannot be written.
    """
    return floor_cache.kept(asked, _floor(asked.collection.hash, config, asked, lambda: result), cache_dir)


def _floor(data_hash: str, config: Mapping[str, Any], asked: Asked, make: Callable[[], Result]) -> Floor:
    """Known by the collection and the knobs that decide on the model before its first step."""
    aside = {*LATER, *LAST_BITS, *WITHOUT_EFFECT, "data"}
    flat = knobs.flat(config)
    before = {name: value for name, value in flat.items() if not {name, name.split(".")[0]} & aside}
    protocol = replace(
        asked.protocol,
        tokenizer=config["pattern"],
        max_query_words=config["max_query_words"],
        max_doc_words=config["max_doc_words"],
    )
    return Floor(NAME, floor_cache.identity(NAME, data_hash, before), protocol, make)


def built(content: Mapping[str, Any], cache_dir: Path) -> Retriever:
    """The untrained model, the same to the last bit; torch's generator is left as it was.

    Raises:
        ValueError, FileNotFoundError: the collection or the word vectors are gone or changed, or a knob is
            not one of this version.
    """
    data = content["data"]
    if not data.get("source"):
        raise ValueError(f"{data.get('name', 'its collection')} cannot be read again")
    cfg = replace(
        config_of(content["training_stats"]["config"]),
        data=reader.from_source(data["source"]),
        cache_dir=str(cache_dir),
        candidates=Candidates.full,
    )
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        work = setup.build(cfg)
    if work.read_hash != data["hash"]:
        raise ValueError(f"{data['name']} changed since training")
    if work.judged and work.judged.sha256 != (data.get("judgements") or {}).get("sha256"):
        raise ValueError(f"{work.judged.path} changed since training")
    return work.retriever


def config_of(values: Mapping[str, Any]) -> Train:
    """The knobs of a run back from its checkpoint; ValueError for what this version does not know."""
    kept = knobs.stored(Train, values)
    plain = {name: value for name, value in kept.values.items() if name.split(".")[0] not in kept.groups}
    return Train(**{name: knobs.restore(name, values[name]) for name in kept.groups}, **plain)


def score(retriever: Retriever, asked: Asked, device: torch.device | str) -> Result:
    """Encode and rank what was asked."""
    model, tokens = retriever.two_tower.to(device), asked.tokens
    docs = retriever.doc_ids(tokens.docs)
    if asked.lists is not None:
        docs = docs.take(asked.lists.members)
    queries = retriever.query_ids(tokens.queries).take(asked.query_rows)
    return asked.score(encode.encode_queries(model, queries), encode.encode_docs(model, docs))
