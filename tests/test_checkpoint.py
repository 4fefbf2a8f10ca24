import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training_case import TOWERS
from twotower import config
from twotower.model import checkpoint, sidecar
from twotower.model.retriever import Retriever
from twotower.model.two_tower import Shape, TwoTower
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import SPECIAL, Vocab

TEXTS = ["a cat sat", "", "cat", "the unseen word", "a a a b b c"]


def retriever(tower: config.Tower = TOWERS["mlp"], *, tied: bool = False, share: bool = True) -> Retriever:
    vocab = Vocab((*SPECIAL, "a", "b", "c", "cat", "sat", "the"))
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    shape = Shape(query_tower=tower, doc_tower=tower, dim=6, tied=tied, share_words=share)
    vectors = rng.normal(size=(len(vocab), 5)).astype(np.float32)
    two_tower = TwoTower(shape, vectors, rng.random(len(vocab)).astype(np.float32))
    with torch.no_grad():  # towers of one kind start equal; a trained model's differ
        for parameter in two_tower.doc_tower.parameters():
            parameter += 0.1 * torch.rand_like(parameter)
    return Retriever(two_tower, vocab, Tokenizer(), 4, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "two_tower_best_x-000000_20261121_120000.pt"
    checkpoint.save(file, retriever(), {"run": "x-000000", "eval_results": {"mrr_10": 0.5}})
    return file


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("tower", TOWERS)
def test_a_saved_model_gives_the_same_vectors(tmp_path: Path, tower: str, tied: bool, share: bool) -> None:
    model = retriever(TOWERS[tower], tied=tied, share=share)
    checkpoint.save(tmp_path / "a.pt", model, {})
    again = checkpoint.load(tmp_path / "a.pt").retriever
    assert np.array_equal(model.encode_queries(TEXTS), again.encode_queries(TEXTS))
    assert np.array_equal(model.encode_docs(TEXTS), again.encode_docs(TEXTS))
    assert again.vocab.words == model.vocab.words


@pytest.mark.parametrize("tower", TOWERS)
def test_a_text_alone_and_in_a_batch_gives_the_same_vector(tower: str) -> None:
    model = retriever(TOWERS[tower])
    together = model.encode_docs(TEXTS)
    alone = np.concatenate([model.encode_docs([text]) for text in TEXTS])
    assert np.abs(together - alone).max() <= 1e-6
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_queries_and_documents_are_cut_to_their_own_lengths() -> None:
    model = retriever()
    assert np.array_equal(*(model.encode_queries([text]) for text in ("a b c cat sat", "a b c cat")))
    assert not np.allclose(*(model.encode_docs([text]) for text in ("a b c cat sat", "a b c cat")))


def test_a_model_of_60000_words_takes_less_than_30_megabytes(tmp_path: Path) -> None:
    vocab = Vocab((*SPECIAL, *(f"word{number}" for number in range(59_998))))
    shape = Shape(
        query_tower=config.MLPTower(), doc_tower=config.MLPTower(), dim=256, tied=False, share_words=True
    )
    two_tower = TwoTower(shape, np.random.default_rng(0).random((60_000, 50), dtype=np.float32))
    checkpoint.save(tmp_path / "a.pt", Retriever(two_tower, vocab, Tokenizer(), 64, 256), {})
    assert (tmp_path / "a.pt").stat().st_size < 30e6


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(whole), size=40).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=str(path)):
            checkpoint.load(path)


def test_every_truncation_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            checkpoint.load(path)


class Trap:
    """What a malicious pickle does."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save({"model_state_dict": Trap(mark)}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(mark)))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(ValueError, match=name):
            checkpoint.load(tmp_path / name)
    assert not mark.exists()


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"a\.pt"):
        checkpoint.load(tmp_path / "a.pt")


def test_tensors_alone_are_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="it has no model_state_dict"):
        checkpoint.load(tmp_path / "a.pt")


def test_another_format_is_refused(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    for other, said in ((99, "format 99, want 1"), (None, "none, as older systems wrote it")):
        content["format"] = other
        if other is None:
            del content["format"]
        torch.save(content, path)
        sidecar.sidecar_of(path).unlink(missing_ok=True)
        with pytest.raises(ValueError, match=said):
            checkpoint.load(path)


def test_a_probe_that_comes_out_otherwise_is_an_error(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["model_config"]["pattern"] = "[a-z]"  # as if another tokenizer read the texts
    torch.save(content, path)
    sidecar.sidecar_of(path).unlink()
    with pytest.raises(ValueError, match="its probe queries come out"):
        checkpoint.load(path)


def test_a_missing_sidecar_is_rebuilt_equal(path: Path) -> None:
    beside = sidecar.sidecar_of(path)
    before = beside.read_bytes()
    beside.unlink()
    assert sidecar.read(path)["eval_results"] == {"mrr_10": 0.5}
    assert beside.read_bytes() == before


def test_a_folder_or_nothing_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        checkpoint.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "a.pt")


def test_nothing_is_left_when_saving_fails(tmp_path: Path) -> None:
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        checkpoint.save(tmp_path / "a.pt", retriever(), {"bad": (n for n in [1])})
    assert list(tmp_path.iterdir()) == []


def test_saving_writes_plain_types_only(path: Path) -> None:
    assert torch.load(io.BytesIO(path.read_bytes()), weights_only=True)["format"] == checkpoint.FORMAT
