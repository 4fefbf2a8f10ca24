import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from index_case import Indexes
from search_case import TEXTS

import twotower
from twotower import api, config
from twotower.model import checkpoint

QUERY = "read a csv file"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A real checkpoint, its collection, and an index `docs`."""
    indexes = Indexes(tmp_path, config.MLPTower(hidden_dim=5))
    case = indexes.case
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "two_tower_best_one-123456_20260101_000000.pt"
    checkpoint.save(path, case.retriever, case.content)
    case.checkpoint.unlink()
    type(case).checkpoint = property(lambda _: path)  # type: ignore[method-assign]
    indexes.root = tmp_path / "data" / "indexes"
    indexes.build()
    return tmp_path


@pytest.fixture(autouse=True)
def case_class() -> object:
    from search_case import Case

    kept = Case.checkpoint
    yield
    Case.checkpoint = kept  # type: ignore[method-assign]


def loaded(home: Path, name: str = "@latest", **more: str) -> api.Model:
    return twotower.load(name, checkpoint_dir=home / "checkpoints", data_dir=home / "data", **more)


@pytest.mark.parametrize("index", ["", "docs"])
def test_one_text_is_a_vector_and_many_are_rows(index: str, home: Path) -> None:
    with loaded(home, "" if index else "@latest", index=index) as model:
        alone = model.encode_query(QUERY)
        many = model.encode_query([QUERY, "delete", "and"])
        assert alone.shape == (model.dim,) == (6,)
        assert many.shape == (3, 6)
        assert alone.dtype == many.dtype == np.float32
        np.testing.assert_allclose(alone, many[0], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-6)
        document = {"title": "CSV", "text": "read a file"}
        both = model.encode_document([document, "CSV read a file"])
        np.testing.assert_allclose(both[0], both[1], atol=1e-6)
        np.testing.assert_allclose(model.encode_document(document), both[0], atol=1e-6)
        assert model.encode_query([]).shape == model.encode_document([]).shape == (0, 6)


def test_the_index_and_the_checkpoint_encode_alike(home: Path) -> None:
    first, second = loaded(home), loaded(home, "", index="docs")
    assert second.search(QUERY)  # from here on the index's own tower encodes
    np.testing.assert_allclose(first.encode_query(QUERY), second.encode_query(QUERY), atol=1e-6)


def test_similarity_is_the_cosine(home: Path) -> None:
    model = loaded(home)
    found = model.similarity([[3, 4], [0, 2]], [[1, 0], [0, 1], [-2, 0]])
    np.testing.assert_allclose(found, [[0.6, 0.8, -0.6], [0, 1, 0]], atol=1e-7)
    assert model.similarity([1, 0], [0, 1]).shape == (1, 1)


@pytest.mark.parametrize("index", ["", "docs"])
def test_search_ranks_by_similarity(index: str, home: Path) -> None:
    model = loaded(home, "" if index else "@latest", index=index)
    hits = model.search(QUERY, k=6)
    if index:
        documents = list(TEXTS.values())
        scores = model.similarity(model.encode_query(QUERY), model.encode_document(documents))[0]
        order = sorted(TEXTS, key=lambda doc: -scores[list(TEXTS).index(doc)])
        assert [hit.doc_id for hit in hits] == order
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-6)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    for together, query in zip(model.search([QUERY, "delete"], k=2), (QUERY, "delete"), strict=True):
        alone = model.search(query, k=2)
        assert [hit.doc_id for hit in together] == [hit.doc_id for hit in alone]
        assert [hit.score for hit in together] == pytest.approx([hit.score for hit in alone], abs=1e-6)
    assert model.search([]) == []


def test_a_query_over_an_index_needs_no_torch(home: Path) -> None:
    code = (
        "import sys, twotower\n"
        f"model = twotower.load(index='docs', data_dir={str(home / 'data')!r})\n"
        "print(model.search('csv', k=1)[0].doc_id, model.encode_query('csv').shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1:] == ["(6,)", "False"]


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, twotower; print([name for name in ('hydra', 'numpy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode_query(None), "queries: got NoneType, want a text or a list of texts"),
        (lambda m: m.encode_query(b"x"), "queries: got bytes, want a text or a list of texts"),
        (lambda m: m.encode_query(["a", 3]), r"queries\[1\]: got int, want a text"),
        (lambda m: m.encode_document([{"title": "x"}]), r"documents\[0\]: got .*, want a text, or a mapping"),
        (lambda m: m.encode_document(4), "documents: got int"),
        (lambda m: m.similarity([1, 0], [1, 0, 0]), "documents: got vectors of width 3, want 2"),
        (lambda m: m.similarity([np.nan], [1]), "queries: got .*, want finite vectors"),
        (lambda m: m.search(" "), "query: got nothing, want a few words"),
        (lambda m: m.search("a", k=0), "k: got 0, want a whole number from 1"),
        (lambda m: m.search("a", k=True), "k: got True"),
        (lambda m: m.search("a", kk=3), "search: .*'kk'; want hybrid, weight, source or merge"),
        (lambda m: m.search("a", hybrid="bm25"), "hybrid: got 'bm25', want one of rrf, weighted"),
    ],
)
def test_wrong_arguments_are_one_line(call: object, message: str, home: Path) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        call(loaded(home, "", index="docs"))  # type: ignore[operator]
    assert "\n" not in str(raised.value)


def test_what_is_not_there_is_said_at_once(home: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        loaded(home, "nothing.pt")
    with pytest.raises(ValueError, match="device: got 'gpu', want auto, cpu, cuda, mps"):
        loaded(home, device="gpu")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = twotower.nothing
