"""Collections (documents, queries, qrels), their readers, and training batches."""
