"""What a document tower is, whatever query tower stands beside it: equal identities encode documents alike.

of_docs(retriever)  ->  "5f1c..."    SHA-256, in every checkpoint and in the manifest of every index
"""

import hashlib
import json

from twotower import knobs
from twotower.model.retriever import Retriever

WITHOUT_EFFECT = ("dropout", "rate")
"""Knobs of a tower that matter while it is trained alone."""


def of_docs(retriever: Retriever) -> str:
    """Of all that decides on a document's vector: tower, its numbers, words, and how text is read."""
    model = retriever.two_tower
    words = model.words if model.doc_words is None else model.doc_words
    form = knobs.plain(model.form)["doc_tower"]
    said = {
        "tower": {name: value for name, value in form.items() if name not in WITHOUT_EFFECT},
        "dim": model.form.dim,
        "words": list(retriever.vocab.words),
        "pattern": retriever.tokenizer.pattern,
        "max_doc_words": retriever.max_doc_words,
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode(errors="surrogatepass"))
    tensors = {**model.doc_tower.state_dict(prefix="tower."), **words.state_dict(prefix="words.")}
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
