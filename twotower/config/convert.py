"""Knobs of `twotower convert`."""

from dataclasses import dataclass
from enum import StrEnum

from twotower.config.knobs import knob


class OlderPooling(StrEnum):
    """How an older model made one vector of a text's words or states."""

    stored = "stored"
    last = "last"
    mean = "mean"
    max = "max"


class OlderActivation(StrEnum):
    """Non-linearity between an older model's linear layers."""

    stored = "stored"
    gelu = "gelu"
    relu = "relu"
    tanh = "tanh"


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Write a checkpoint of an older system as one of ours that gives the same vectors, of length 1."""

    out: str = ""
    """File to write; left out, `<name>-converted.pt` beside the older file."""
    pattern: str = ""
    """What a word is: a regular expression in Rust's syntax, applied to NFKC lower-cased text."""
    pooling: OlderPooling = OlderPooling.stored
    """Words or states to one vector: stored (the file says), last (no padding is read), mean, max."""
    activation: OlderActivation = OlderActivation.stored
    """Between linear layers: stored (the file says), gelu, relu, tanh."""
    max_query_words: int = knob(0, at_least=0)
    """A query is cut after so many words; 0 is what the file says."""
    max_doc_words: int = knob(0, at_least=0)
    """A document is cut after so many words; 0 is what the file says."""
    unknown: str = ""
    """Word whose vector unknown words take, or skip; left out, the file's own, such as <UNK>."""
