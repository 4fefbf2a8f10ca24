"""A file of word vectors, in whatever format it is: its words, and the rows of one vocabulary.

    GloVe's text   word2vec's text and binary   fastText's .vec   gensim's .kv and .model
    .npy with its words beside it   .npz   a checkpoint   each also gzipped, text and binary also in a zip

The format shows in the content; the name decides nothing but what lies beside a matrix.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from twotower.text import arrays, glove, keyed, streams, torchfile, word2vec
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.wanted import WIDEST, Matrix

FORMATS = "GloVe, word2vec, fastText .vec, .npy, .npz, gensim's .kv, .pt"
"""What an error offers."""

SAMPLE = 64 + 4 * WIDEST
"""Bytes in which a format shows."""


class Format(NamedTuple):
    """How one kind of file is read: `words` are all of them in its order, `rows` those of a vocabulary."""

    words: Callable[[Place], Iterable[str]]
    rows: Callable[[Place, Sequence[str]], tuple[Rows, Matrix]]


TEXT = Format(glove.text_words, glove.text_rows)
BINARY = Format(word2vec.words_of, word2vec.rows_of)
NPY = Format(arrays.npy_words, arrays.npy_rows)
NPZ = Format(arrays.npz_words, arrays.npz_rows)
KEYED = Format(keyed.words_of, keyed.rows_of)
TORCH = Format(torchfile.words_of, torchfile.rows_of)


def words_of(place: Place) -> Iterable[str]:
    """The words of a table in its order, which by custom is most frequent first; not UTF-8: left out.

    Raises ValueError for a file that is no table or a malformed one, OSError for one that cannot be read.
    """
    place, form = recognised(place)
    return form.words(place)


def rows_of(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E); equal words: the first.

    Raises as `words_of`, also for a row that is wanted and holds a number that is not finite.
    """
    place, form = recognised(place)
    return form.rows(place, words)


def found(name: str) -> Place | None:
    """The file, or the member of an archive, `archive.zip!member`, that `name` stands for, if any."""
    path = Path(name).expanduser()
    if path.is_file():
        return Place(path)
    outer, mark, member = name.rpartition("!")
    archive = Path(outer).expanduser()
    if mark and archive.is_file() and member in (streams.members(archive) or ()):
        return Place(archive, member)
    return None


def absent(name: str, others: str) -> FileNotFoundError:
    """The error for a name that is no table; `others` are the words that stand for one."""
    path = Path(name).expanduser()
    outer = Path(name.rpartition("!")[0]).expanduser()
    what = "no such file"
    if path.is_dir():
        what = "a folder"
    elif "!" in name and outer.is_file():
        names = streams.members(outer)
        what = "not an archive" if names is None else f"no such file in it, there is {', '.join(names[:9])}"
    return FileNotFoundError(f"{name}: {what}, want word vectors: {others}, or a file ({FORMATS})")


def recognised(place: Place) -> tuple[Place, Format]:
    """The format of a table; an archive of one file becomes that file.

    Raises ValueError for an archive of several, and for what is known to be something else.
    """
    start = streams.head(place, SAMPLE)
    if not start:
        raise ValueError(f"{place}: empty, want word vectors: {FORMATS}")
    if start.startswith(streams.ZIP):
        return _archive(place, start)
    if start.startswith(arrays.MAGIC):
        return place, NPY
    if start.startswith(torchfile.LEGACY):
        return place, TORCH
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return place, KEYED
    if start.startswith(word2vec.FASTTEXT):
        raise ValueError(f"{place}: a model in fastText's own format, want its vectors; name the .vec file")
    return place, BINARY if word2vec.is_binary(start) else TEXT


def _archive(place: Place, start: bytes) -> tuple[Place, Format]:
    """Torch and NumPy write archives too; their first member tells them."""
    first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
    if first.endswith((b"/data.pkl", b"/.format_version")):
        return place, TORCH
    if place.member or streams.is_gzip(place.path):
        raise ValueError(f"{place}: an archive within an archive; unpack it and name what is in it")
    if first.endswith(b".npy"):
        return place, NPZ
    names = streams.members(place.path) or []
    if not names:
        raise ValueError(f"{place}: an archive of nothing, want one of a table")
    if len(names) > 1:
        some = ", ".join(names[:9])
        raise ValueError(f"{place}: an archive of {some}, want one table; name it, as in {place}!{names[0]}")
    return recognised(Place(place.path, names[0]))
