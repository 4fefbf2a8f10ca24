"""Exact search, the bundle of document vectors, the searcher; with a bundle at hand nothing imports torch."""
