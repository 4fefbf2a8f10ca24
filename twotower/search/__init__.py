"""Documents, vectors, indexes, their versions, the searcher; with an index at hand nothing imports torch."""
