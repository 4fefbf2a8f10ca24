"""gensim's own files, `KeyedVectors.save` and `Word2Vec.save`, read without gensim and without unpickling.

    vectors.kv  (a pickle: the words, and a small matrix)  +  vectors.kv.vectors.npy  (a large matrix)

A pickle can run code when it is loaded. This one is not loaded but read, as a list of words and of numbers
(`twotower.text.pickled`); whatever else is in it stays a name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twotower.text import arrays, pickled, streams
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.wanted import Matrix, Numbers, check_matrix, pick

NAMES = ("index_to_key", "index2word", "index2entity")
"""What gensim 4, and those before it, call the list of words."""

WAY_OUT = "write it with kv.save_word2vec_format('vectors.txt') and name that"


def words_of(place: Place) -> list[str]:
    """The words, in the order of the file, which is most frequent first."""
    return _names(_state(place)[0], place)


def rows_of(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E); equal words: the first.

    Raises ValueError for a file that is not what gensim writes, with the way out.
    """
    state, inner = _state(place)
    names = _names(state, place)
    with _matrix(state, inner, place) as matrix:
        check_matrix(matrix, len(names), place, "the file")
        return pick(matrix, names, words, place)


def _state(place: Place) -> tuple[Mapping[str, Any], str]:
    """Attributes of the vectors by name, and where they lie in a whole model (``.wv``)."""
    try:
        with streams.on_disk(place) as path, path.open("rb") as file:
            thing = pickled.read(file)
    except ValueError as error:
        raise ValueError(f"{place}: not gensim's KeyedVectors ({error}); {WAY_OUT}") from None
    state, inner = _attributes(thing), ""
    if isinstance(state.get("wv"), pickled.Thing):
        state, inner = _attributes(state["wv"]), ".wv"
    if not state:
        what = thing.name if isinstance(thing, pickled.Thing) else type(thing).__name__
        raise ValueError(
            f"{place}: a pickle of {what[:60]}, refused, nothing in it was executed; "
            f"want gensim's KeyedVectors, a .pt file, or {WAY_OUT}"
        )
    return state, inner


def _attributes(thing: Any) -> Mapping[str, Any]:
    match thing:
        case pickled.Thing(name, _, dict() as state) if name.startswith("gensim."):
            return state
    return {}


def _names(state: Mapping[str, Any], place: Place) -> list[str]:
    names = next((state[name] for name in NAMES if name in state), None)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{place}: no list of words in it, want gensim's KeyedVectors; {WAY_OUT}")
    return names


@contextmanager
def _matrix(state: Mapping[str, Any], inner: str, place: Place) -> Iterator[Numbers]:
    """The vectors, from the pickle or from the file beside it."""
    try:
        held = pickled.array(state.get("vectors", state.get("syn0")))
    except ValueError as error:
        raise ValueError(f"{place}: vectors: {error}, want a matrix") from None
    if held is not None:
        yield held
        return
    beside = list(_beside(place.path, inner))
    for path, member in beside:
        if path.is_file():
            with arrays.mapped(Place(path, member)) as matrix:
                yield matrix
            return
    raise FileNotFoundError(f"{beside[0][0]}: no such file, it lies beside {place.path.name}; {WAY_OUT}")


def _beside(path: Path, inner: str) -> Iterator[tuple[Path, str]]:
    """Where gensim puts a large matrix; with a name in .gz, into an archive."""
    for name in (path.name, path.name.removesuffix(".gz")):
        for attribute in ("vectors", "syn0"):
            yield path.with_name(f"{name}{inner}.{attribute}.npy"), ""
            yield path.with_name(f"{name}{inner}.{attribute}.npz"), "val.npy"
