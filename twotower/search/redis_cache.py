"""Vectors of texts in plain Redis, so that no text is encoded twice by one tower, on whatever machine.

    twotower:text:<document tower, 16 digits>:<SHA-256 of the text>     D float32, little-endian

No search module is needed. A tower's identity stands in the key: another checkpoint finds nothing here.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from twotower.search.redis_store import BATCH, connect, shown, told
from twotower.search.vector_store import Floats

ROOT = "twotower:text:"
Encode = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors (n, D)."""


class RedisCache:
    """Of one document tower."""

    def __init__(self, url: str, doc_tower: str, dim: int) -> None:
        """Connects; raises as `redis_store.connect` does."""
        self.where = shown(url)
        self.client = connect(url)
        self.prefix = f"{ROOT}{doc_tower[:16]}:"
        self.dim = dim
        self.found = 0
        """Texts that were there."""

    def encode(self, texts: Sequence[str], encode: Encode) -> Floats:
        """Unit vectors (n, D) of the texts; `encode` makes those that are not there, and they are kept.

        A kept value of another length is encoded anew.
        """
        keys = [
            self.prefix + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() for text in texts
        ]
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        lacking = []
        with told(self.where):
            for start in range(0, len(keys), BATCH):
                for place, said in enumerate(self.client.mget(keys[start : start + BATCH]), start):
                    if said is not None and len(said) == 4 * self.dim:
                        vectors[place] = np.frombuffer(said, dtype="<f4")
                    else:
                        lacking.append(place)
        self.found += len(texts) - len(lacking)
        if lacking:
            vectors[lacking] = encode([texts[place] for place in lacking])
            self._keep({keys[place]: vectors[place] for place in lacking})
        return vectors

    def _keep(self, vectors: dict[str, Floats]) -> None:
        with told(self.where):
            pipe = self.client.pipeline(transaction=False)
            for key, vector in vectors.items():
                pipe.execute_command("SET", key, np.asarray(vector, dtype="<f4").tobytes())
            pipe.execute()
