"""Damaged tables of every format: one line that names the file, or a good load; nothing else."""

import gzip
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from twotower.text import vectors
from twotower.text.tokenize import Tokenizer

WORDS = ("<pad>", "<unk>", *(f"w{number}" for number in range(20)))
MATRIX = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)


class KeyedVectors:
    """As gensim's, as far as a pickle shows: its module and its attributes."""

    def __init__(self) -> None:
        self.index_to_key = list(WORDS[2:])
        self.vectors = MATRIX


def as_text(header: str = "") -> bytes:
    lines = [
        f"{word} {' '.join(f'{number:.5f}' for number in row)}\n"
        for word, row in zip(WORDS[2:], MATRIX, strict=True)
    ]
    return (header + "".join(lines)).encode()


def as_binary() -> bytes:
    return b"20 4\n" + b"".join(
        word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS[2:], MATRIX, strict=True)
    )


def made(folder: Path) -> Iterator[Path]:
    """A whole file of each format."""
    (folder / "words.txt").write_text("\n".join(WORDS[2:]))
    contents = {
        "glove.txt": as_text(),
        "word2vec.txt": as_text("20 4\n"),
        "word2vec.bin": as_binary(),
        "glove.txt.gz": gzip.compress(as_text()),
        "word2vec.bin.gz": gzip.compress(as_binary()),
        "v.kv": pickle.dumps(KeyedVectors(), 4).replace(
            __name__.encode(), b"gensim.".ljust(len(__name__), b"x")
        ),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    np.save(folder / "m.npy", MATRIX)
    np.savez(folder / "t.npz", words=np.array(WORDS[2:]), vectors=MATRIX)
    with zipfile.ZipFile(folder / "g.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glove.txt", as_text())
    content = {
        "embedding_matrix": torch.from_numpy(MATRIX),
        "word_to_index": {word: row for row, word in enumerate(WORDS[2:])},
    }
    torch.save(content, folder / "new.pt")
    torch.save(content | {"embedding_matrix": MATRIX}, folder / "array.pt")
    torch.save(content, folder / "old.pt", _use_new_zipfile_serialization=False)
    yield from sorted(path for path in folder.iterdir() if path.name != "words.txt")


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, a piece cut out, doubled or put elsewhere, or the end lost."""
    data = bytearray(content)
    start, stop = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    match rng.integers(5):
        case 0:
            for place in rng.integers(0, len(data), 1 + int(rng.integers(4))):
                data[place] = rng.integers(256)
        case 1:
            del data[start : min(stop, start + 40)]
        case 2:
            data[start:start] = data[start : start + 40]
        case 3:
            del data[stop:]
        case _:
            data[start:start] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(data)


def check(folder: Path, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = list(made(folder))
    whole = {path: path.read_bytes() for path in paths}
    loads = 0
    lines: list[str] = []
    for number in range(rounds):
        path = paths[number % len(paths)]
        path.write_bytes(mutated(whole[path], rng))
        try:
            loaded = vectors.load(str(path), WORDS, dim=1, rng=rng)
            vectors.frequent_words(str(path), 9, Tokenizer())
        except (ValueError, OSError) as error:
            lines.append(f"{path.name}|{error}")
        else:
            loads += 1
            assert len(loaded.matrix) == len(WORDS)
            assert np.isfinite(loaded.matrix).all()
        path.write_bytes(whole[path])
    assert [line for line in lines if "\n" in line or line.count(line.partition("|")[0]) < 2] == []
    assert len(lines) + loads == rounds
    assert min(len(lines), loads) > rounds / 20


def test_whole_files_of_every_format_give_one_matrix(tmp_path: Path) -> None:
    paths = list(made(tmp_path))
    assert len(paths) == 12
    for path in paths:
        loaded = vectors.load(str(path), WORDS, dim=1, rng=np.random.default_rng(0))
        np.testing.assert_allclose(loaded.matrix[2:], MATRIX, atol=1e-5, err_msg=path.name)
        assert vectors.frequent_words(str(path), 9, Tokenizer()) == list(WORDS[2:11])


def test_a_damaged_table_is_one_line_or_a_good_load(tmp_path: Path) -> None:
    check(tmp_path, 120, seed=0)


@pytest.mark.slow
def test_many_damaged_tables_are_one_line_or_a_good_load(tmp_path: Path) -> None:
    check(tmp_path, 1200, seed=1)
