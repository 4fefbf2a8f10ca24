import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from export_case import MLP, TEXTS, put, retriever

from twotower import cli, config
from twotower.model import checkpoint, export, sidecar
from twotower.model.retriever import Retriever

pytestmark = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="needs sentence_transformers, of the extra export"
)

GRU = config.GRUTower(hidden_dim=6)


def mlp(layers: int, activation: str, *, residual: bool) -> config.MLPTower:
    kind = config.Activation(activation)
    return config.MLPTower(hidden_dim=7, num_layers=layers, activation=kind, residual=residual)


MODELS = {
    "tied": retriever(mlp(1, "gelu", residual=True), tied=True),
    "words apart": retriever(mlp(2, "tanh", residual=True), share_words=False),
    "tied, words apart": retriever(mlp(2, "gelu", residual=False), tied=True, share_words=False),
    "one linear map": retriever(mlp(0, "gelu", residual=True)),
    "one linear map, no residual": retriever(mlp(0, "gelu", residual=False)),
    "relu": retriever(mlp(1, "relu", residual=True)),
    "plain relu": retriever(mlp(3, "relu", residual=False)),
    "towers of two kinds": retriever(mlp(1, "tanh", residual=False), mlp(2, "gelu", residual=True)),
}


def exported(model: Retriever, folder: Path) -> Path:
    folder.mkdir()
    export.write_sentence_transformers(folder, model)
    return folder


def off_by(model: Retriever, folder: Path) -> float:
    """The largest difference of a coordinate, of queries and documents, one by one and in batches."""
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu")
    pairs = [
        (model.encode_queries(TEXTS), theirs.encode_query(TEXTS)),
        (model.encode_docs(TEXTS), theirs.encode_document(TEXTS)),
        (model.encode_docs(TEXTS), np.stack([theirs.encode_document(text) for text in TEXTS])),
    ]
    return max(float(np.abs(ours - other).max()) for ours, other in pairs)


def test_sentence_transformers_gives_our_vectors(tmp_path: Path) -> None:
    model = retriever()
    assert off_by(model, exported(model, tmp_path / "out")) <= 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_sentence_transformers_gives_the_vectors_of_every_mlp(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    assert off_by(model, exported(model, tmp_path / "out")) <= 1e-6


@pytest.mark.parametrize(("query", "doc", "side"), [(GRU, MLP, "query"), (MLP, GRU, "document")])
def test_a_tower_without_a_form_there_is_refused(
    query: config.Tower, doc: config.Tower, side: str, tmp_path: Path
) -> None:
    said = f"the {side} tower is a RecurrentTower.*want an MLPTower; .* safetensors takes every tower"
    with pytest.raises(ValueError, match=said):
        export.write_sentence_transformers(tmp_path, retriever(query, doc))
    assert list(tmp_path.iterdir()) == []


def test_vectors_that_come_out_otherwise_are_refused() -> None:
    class Other:
        def encode_query(self, texts: list[str]) -> np.ndarray:
            return retriever().encode_queries(texts)

        def encode_document(self, texts: list[str]) -> np.ndarray:
            return retriever().encode_docs(texts) + np.float32(1e-3)

    with pytest.raises(ValueError, match=r"document vectors come out 0\.001 from ours, want 1e-06"):
        export._prove(retriever(), Other())


@pytest.mark.parametrize("share_words", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("tower", [MLP, GRU])
def test_safetensors_give_equal_vectors(
    tower: config.Tower, tied: bool, share_words: bool, tmp_path: Path
) -> None:
    model = retriever(tower, tied=tied, share_words=share_words)
    content = checkpoint.read(put(tmp_path, model))
    export.write_safetensors(tmp_path, content)
    again = export.load_safetensors(tmp_path)
    assert np.array_equal(model.encode_queries(TEXTS), again.encode_queries(TEXTS))
    assert np.array_equal(model.encode_docs(TEXTS), again.encode_docs(TEXTS))
    assert again.vocab == model.vocab


def test_safetensors_hold_each_tensor_once(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    content = checkpoint.read(put(tmp_path, retriever(tied=True)))
    export.write_safetensors(tmp_path, content)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert {name for name in names if name.startswith("doc_tower.")} == set()
    assert "query_tower.word_weights" in names
    form = json.loads((tmp_path / "config.json").read_text())
    assert form["same_tensors"]["doc_tower.word_weights"] == "query_tower.word_weights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of safetensors."""
    made = tmp_path / "made"
    made.mkdir()
    export.write_safetensors(made, checkpoint.read(put(tmp_path)))
    return made


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json"])
def test_a_flipped_bit_is_noticed(name: str, folder: Path) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(ValueError, match=f"{name}: damaged or replaced"):
        export.load_safetensors(folder)


FOREIGN = {
    "not an export of twotower, it has no sha256": {"model_type": "bert"},
    "format 99, want 1": {"format": 99, "sha256": {}},
    "not an export of twotower .KeyError: 'model_config'.": {"model_config": None},
}


@pytest.mark.parametrize(("said", "changes"), FOREIGN.items())
def test_a_folder_of_something_else_is_refused(said: str, changes: dict[str, object], folder: Path) -> None:
    stored = json.loads((folder / "config.json").read_text())
    form = {**stored, **changes} if "model_config" in changes else changes
    (folder / "config.json").write_text(json.dumps({key: form[key] for key in form if form[key] is not None}))
    with pytest.raises(ValueError, match=said):
        export.load_safetensors(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "vocab.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"vocab\.json"):
        export.load_safetensors(folder)


@pytest.mark.parametrize("library", ["sentence_transformers", "safetensors"])
def test_a_missing_library_says_which_extra_brings_it(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    path = put(tmp_path)
    form = config.ExportFormat[library.replace("_", "-")]
    with pytest.raises(ValueError, match=r"not installed or too old.*pip install 'twotower\[export\]'"):
        export.fill(tmp_path, path, checkpoint.read(path), form, "")


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        export.write_aside(tmp_path / "out", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def here(workplace: Path) -> Path:
    """A workplace with one checkpoint."""
    put(workplace / "checkpoints")
    return workplace


def test_the_command_writes_model_and_card_and_prints_the_folder(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "out").mkdir()  # empty: free to be written
    assert cli.main(["export", "checkpoint=@best", "out=out"]) == 0
    out, err = capsys.readouterr()
    assert out == "out\n"
    assert "as sentence-transformers" in err
    assert off_by(retriever(), here / "out") <= 1e-6
    card = (here / "out" / "README.md").read_text()
    assert 'SentenceTransformer("out")' in card
    assert "/home/someone" not in "".join(
        path.read_text() for path in (here / "out").rglob("*") if path.suffix in (".md", ".json")
    )
    assert sorted(path.name for path in here.iterdir()) == ["checkpoints", "out"]


def test_the_command_writes_safetensors(here: Path) -> None:
    assert cli.main(["export", "out=out", "format=safetensors"]) == 0
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "training_history.json", "vocab.json",
    ]  # fmt: skip
    again = export.load_safetensors(here / "out")
    assert np.array_equal(again.encode_docs(TEXTS), retriever().encode_docs(TEXTS))
    stored = json.loads((here / "out" / "training_history.json").read_text())
    (path,) = sidecar.checkpoints(here / "checkpoints")
    assert {**stored, "file": sidecar.read(path)["file"]} == sidecar.read(path)


MISTAKES = {
    "out: full: not empty, want a new folder": ["out=full"],
    "out: file: a file, want a new folder": ["out=file"],
    "checkpoint: nothing: no such file": ["checkpoint=nothing"],
    "format: got 'onnx', want sentence-transformers or safetensors": ["format=onnx"],
}


@pytest.mark.parametrize(("said", "words"), MISTAKES.items())
def test_a_mistake_is_one_line_and_writes_nothing(
    said: str, words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "full").mkdir()
    (here / "full" / "x").write_text("mine")
    (here / "file").write_text("mine")
    before = sorted(here.rglob("*"))
    assert cli.main(["export", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert sorted(here.rglob("*")) == before
