import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from tests.training_case import small, write_beir
from twotower import config
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.model import checkpoint
from twotower.text import trained
from twotower.text.tokenize import Tokenizer
from twotower.text.trained import Recipe
from twotower.training import setup

pytestmark = pytest.mark.skipif(find_spec("gensim") is None, reason="needs gensim, of the extra gensim")

TEXTS = [f"the {a} and the {b} sleep" for a in ("cat", "dog", "emu") for b in ("yak", "gnu", "eel")] * 20
RECIPE = Recipe(dim=6, algorithm=config.WordAlgorithm.skipgram, epochs=2, window=3, min_count=1, seed=4)


def made(recipe: Recipe = RECIPE) -> trained.Table:
    return trained.train(
        [Tokenizer().tokenize(TEXTS), Tokenizer().tokenize(["what does the cat eat"])], recipe
    )


def changed(**fields: object) -> Recipe:
    return Recipe(**({name: getattr(RECIPE, name) for name in RECIPE.__dataclass_fields__} | fields))  # type: ignore[arg-type]


def test_words_stand_by_frequency_with_finite_vectors() -> None:
    table = made()
    assert table.words[0] == "the"
    assert {"cat", "eat", "sleep"} <= set(table.words)
    assert table.matrix.shape == (len(table.words), 6)
    assert table.matrix.dtype == np.float32
    assert np.isfinite(table.matrix).all()


def test_a_word_too_rare_has_no_vector() -> None:
    assert "eat" not in made(changed(min_count=2)).words
    with pytest.raises(ValueError, match="no word occurs 999999 times, want a lower min_count"):
        made(changed(min_count=999_999))


def test_every_knob_of_the_recipe_counts() -> None:
    first = made().matrix
    for other in (
        changed(algorithm=config.WordAlgorithm.cbow),
        changed(epochs=3),
        changed(window=1),
        changed(seed=5),
    ):
        assert not np.array_equal(first, made(other).matrix)
    assert np.array_equal(first, made().matrix)


ALONE = """
import hashlib
from twotower import config
from twotower.text import trained
from twotower.text.tokenize import Tokenizer
recipe = trained.Recipe(6, config.WordAlgorithm.skipgram, epochs=2, window=3, min_count=1, seed=4)
table = trained.train([Tokenizer().tokenize(TEXTS)], recipe)
print(hashlib.sha256(table.matrix.tobytes() + repr(table.words).encode()).hexdigest())
"""


def test_the_hash_seed_of_a_process_changes_nothing() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ALONE.replace("TEXTS", repr(TEXTS))],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate(timeout=60)[0] for process in running)
    assert first == second
    assert len(first.strip()) == 64


def test_words_beyond_what_gensim_takes_at_once_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(["a"] * trained.LONGEST + ["last"])
    assert "last" in trained.train([Tokenizer().tokenize([long])], changed(epochs=1)).words
    vocabulary = {
        word for words in trained._Sentences([Tokenizer().tokenize([long])], Bar()) for word in words
    }
    assert vocabulary == {"a", "last"}


class Bar:
    def update(self) -> None:
        """As tqdm's."""


def test_equal_texts_are_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [Tokenizer().tokenize(TEXTS)]
    first = trained.train_cached(texts, RECIPE, tmp_path)
    monkeypatch.setattr(trained, "train", lambda *_: pytest.fail("trained again"))
    again = trained.train_cached([Tokenizer().tokenize(TEXTS)], RECIPE, tmp_path)
    assert again.words == first.words
    assert np.array_equal(again.matrix, first.matrix)
    for other in ([Tokenizer().tokenize([*TEXTS, "one more"])], [*texts, *texts]):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            trained.train_cached(other, RECIPE, tmp_path)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        trained.train_cached(texts, changed(window=2), tmp_path)


def test_without_gensim_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = trained.importlib.util.find_spec
    monkeypatch.setattr(
        trained.importlib.util, "find_spec", lambda name: None if name == "gensim" else find(name)
    )
    with pytest.raises(
        ValueError, match=r"^vectors train: gensim is not installed; pip install 'twotower\[gensim\]'$"
    ):
        made()


def test_only_the_corpus_and_training_queries_are_seen(tiny: Collection, tmp_path: Path) -> None:
    folder = write_beir(tiny, tmp_path / "tiny")
    lines = (folder / "queries.jsonl").read_text().splitlines(keepends=True)
    for row, word in {0: "devword", 1: "testword", 2: "trainword"}.items():
        lines[row] = lines[row].replace("what", word)
    (folder / "queries.jsonl").write_text("".join(lines))
    cfg = small(folder, tmp_path, vectors="train", vectors_epochs=1)
    built = setup.build(cfg)
    table = setup.trained_vectors(cfg, built.collection, built.tokens)
    assert {"trainword", "what", "heron"} <= set(table.words)
    assert not {"devword", "testword"} & set(table.words)
    assert built.words.coverage == 1.0
    assert built.words.matrix.shape[1] == cfg.vectors_dim


def test_a_run_on_trained_vectors_loads_without_gensim(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small(
        write_beir(tiny, tmp_path / "tiny"), tmp_path, vectors="train+random", vectors_epochs=1, epochs=1
    )
    train.run(cfg)
    for name in [name for name in sys.modules if name.split(".")[0] == "gensim"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gensim", None)
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    loaded = checkpoint.load(path)
    assert loaded.retriever.two_tower.words.vectors.shape[1] == 2 * cfg.vectors_dim
    setup.build(cfg)  # from the cache
