"""Two-tower text retrieval: train, sweep, compare, question.

    import twotower
    model = twotower.load("@best")        see `twotower.api`

Reading order, each package importing only from those before it:

    config      every knob
    text        tokenize, vocabulary, word vectors in every common format
    data        collections: readers, splits, leaks, batches
    model       word table, towers, losses, checkpoint, export
    search      exact and approximate search, documents, indexes and their versions, the searcher
    evaluation  metrics with their protocol, own candidates, floors, leaderboard
    training    the loop, the step, resume, several processes, tracking
    sweeps      many runs: W&B's file, proposed and launched here or there
    api         the same in Python
    commands    one module a command
    cli         the command line; show prints, prompt reads the terminal, knobs turns words into values

Dimensions: B queries of a batch, C candidate documents of a batch, L tokens, E width of a word vector,
D width of an embedding, V vocabulary, N corpus, K results.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twotower.api import Model, load

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in ("Model", "load"):
        # 0.2 s, which the command line and `import twotower` do not pay
        return getattr(import_module("twotower.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
