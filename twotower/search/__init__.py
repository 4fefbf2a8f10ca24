"""Exact search, the bundle of document vectors, and the searcher over both; nothing here imports torch."""
