"""Metrics with their protocol, floors, and the leaderboard."""
