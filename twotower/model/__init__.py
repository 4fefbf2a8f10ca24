"""Word table, towers, losses, the two-tower model, and its checkpoint."""
