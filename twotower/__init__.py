"""Two-tower text retrieval: train, sweep, compare, question.

Reading order, each package importing only from those before it:

    config      every knob
    text        tokenize, vocabulary, word vectors in every common format
    data        collections: readers, splits, leaks, batches
    model       word table, towers, losses, checkpoint, export
    search      exact search, bundles of document vectors, the searcher
    evaluation  metrics with their protocol, own candidates, floors, leaderboard
    training    the loop, the step, resume, several processes, tracking
    commands    one module a command
    cli         the command line; show prints, prompt reads the terminal, knobs turns words into values

Dimensions: B queries of a batch, C candidate documents of a batch, L tokens, E width of a word vector,
D width of an embedding, V vocabulary, N corpus, K results.
"""

__version__ = "0.1.0"
