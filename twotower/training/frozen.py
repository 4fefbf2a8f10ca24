"""`doc_tower=frozen:<checkpoint>`: a query tower alone, against the documents of another checkpoint's tower.

    vocabulary, tokenizer, document words and tower   the checkpoint's, to the last bit
    query words                                       start as the checkpoint's, and learn
    query tower                                       the same, where it has the same form; else new

So the new checkpoint's document tower has the identity of the old one's, and every index that the old one
built answers for the new one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.config import FrozenTower, Train
from twotower.evaluation import names
from twotower.model import checkpoint, sidecar
from twotower.model.retriever import Retriever
from twotower.model.two_tower import Shape, TwoTower
from twotower.text.vectors import WordVectors
from twotower.text.vocabulary import SPECIAL


@dataclass(frozen=True, eq=False)
class Frozen:
    """The checkpoint whose document tower stays."""

    retriever: Retriever

    def words(self) -> WordVectors:
        """Its query words: where the new query tower's start."""
        matrix = self.retriever.two_tower.words.vectors.detach().cpu().numpy().copy()
        found = np.arange(len(matrix)) >= len(SPECIAL)
        return WordVectors(matrix, found)

    def model(self, cfg: Train, vectors: NDArray[np.float32], idf: NDArray[np.float32]) -> TwoTower:
        """A query tower that learns beside its document tower, which does not."""
        own = self.retriever.two_tower
        shape = Shape(
            query_tower=cfg.query_tower,
            doc_tower=own.form.doc_tower,
            dim=own.form.dim,
            tied=False,
            share_words=False,
        )
        made = TwoTower(shape, vectors, idf)
        assert made.doc_words is not None  # words are not shared
        made.doc_tower.load_state_dict(own.doc_tower.state_dict())
        made.doc_words.load_state_dict((own.doc_words or own.words).state_dict())
        if cfg.query_tower == own.form.query_tower:
            made.query_tower.load_state_dict(own.query_tower.state_dict())
        made.freeze_docs()
        return made


def settled(cfg: Train) -> Train:
    """The knobs with what follows from the checkpoint in them, and the file itself pinned.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint, another file than the one pinned, or tied=true.
    """
    if not isinstance(cfg.doc_tower, FrozenTower):
        return cfg
    if cfg.tied:
        raise ValueError("tied: got true with doc_tower=frozen, want false: the query tower alone learns")
    path = names.find(cfg.doc_tower.checkpoint, Path(cfg.checkpoint_dir)).resolve()
    digest = sidecar.sha256(path)
    if cfg.doc_tower.sha256 not in ("", digest):
        raise ValueError(
            f"doc_tower.checkpoint: {path} is not the file any more that it was ({digest[:12]}, want "
            f"{cfg.doc_tower.sha256[:12]})"
        )
    form = _form(path, sidecar.verified(path, digest))
    return replace(
        cfg,
        doc_tower=FrozenTower(checkpoint=str(path), sha256=digest),
        dim=int(form["dim"]),
        pattern=str(form["pattern"]),
        max_doc_words=int(form["max_doc_words"]),
        share_words=False,
    )


def _form(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    form = content.get("model_config")
    if not isinstance(form, dict) or not {"dim", "pattern", "max_doc_words"} <= form.keys():
        raise ValueError(
            f"doc_tower.checkpoint: {path} does not say what its model is; want one of twotower's"
        )
    return form


def load(cfg: Train) -> Frozen | None:
    """The checkpoint of settled knobs; None where both towers learn. Raises as `checkpoint.load` does."""
    if not isinstance(cfg.doc_tower, FrozenTower):
        return None
    path = Path(cfg.doc_tower.checkpoint)
    if cfg.doc_tower.sha256 and sidecar.sha256(path) != cfg.doc_tower.sha256:
        raise ValueError(f"doc_tower.checkpoint: {path} is not the file any more that it was")
    return Frozen(checkpoint.load(path).retriever)


def remarks(cfg: Train) -> Iterator[str]:
    """What the user should know of it; nothing where both towers learn."""
    if isinstance(cfg.doc_tower, FrozenTower):
        yield (
            f"doc_tower=frozen: documents, vocabulary, dim {cfg.dim}, pattern and max_doc_words are those of "
            f"{Path(cfg.doc_tower.checkpoint).name}; the query side alone learns, from its words and, where "
            "the form is the same, its tower"
        )
