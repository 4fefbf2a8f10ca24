"""Text to token ids: tokenizer, vocabulary, pretrained word vectors."""
