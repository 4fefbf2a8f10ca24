"""Two-tower text retrieval: train, sweep, compare, question.

Reading order, each package importing only from those before it:

    config      every knob
    text        tokenize, vocabulary, word vectors
    data        collections, readers, batches
    model       word table, towers, losses, checkpoint
    search      exact search, bundles of document vectors, the searcher
    evaluation  metrics with their protocol, floors, leaderboard
    training    the loop, tracking
    commands    one module a command
    cli         the command line

Dimensions: B queries of a batch, C candidate documents of a batch, L tokens, E width of a word vector,
D width of an embedding, V vocabulary, N corpus, K results.
"""

__version__ = "0.1.0"
