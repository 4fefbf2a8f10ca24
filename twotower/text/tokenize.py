"""Text to words: one tokenizer for every script, over whole collections at once.

    ["The cat sat.", "", "CAT"]  ->  words = ("the", "cat", "sat"), ids = [0, 1, 2, 1], offsets = [0, 3, 3, 4]

A word is a match of `pattern` in the text after Unicode's NFKC and lower-casing. The ids index the word list
of these texts alone; `Vocab.encode` turns them into a model's ids. Polars does the work, in blocks of texts
that share its threads: millions of words a second, where Python's `re` does one.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise, starmap
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twotower import config
from twotower.text import cache
from twotower.text.ragged import Ids, Ragged, Rows, offsets_of

FORMAT = 1
"""Of a cached tokenisation; another number is another entry."""

BLOCK = 1 << 21
"""Characters tokenised at a time by one thread; bounds memory, changes no word."""

UNSEGMENTED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Letters of scripts that are written without spaces between words."""

ASCII_WORD = re.compile("[a-z0-9]+")
"""What the default pattern matches in lower-cased ASCII, which NFKC leaves as it is."""

FEW = 1 << 12
"""Characters that are tokenised without Polars, which takes 0.2 s to import."""

HALF = re.compile("[\ud800-\udfff]")

NOTABLE = 0.05
"""Share of the characters from which `warn_unsegmented` speaks up."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokenised texts with the word list that is their own: `ragged.ids` index `words`.

    `words` are distinct, each occurs, and they stand in order of first appearance.
    """

    words: tuple[str, ...]
    ragged: Ragged

    def __len__(self) -> int:
        return len(self.ragged)

    def __getitem__(self, row: int) -> list[str]:
        return [self.words[token] for token in self.ragged[row]]

    @property
    def counts(self) -> Rows:
        """Occurrences of each word in all texts, (words,)."""
        return self._counts(self.ragged.ids)

    def word_counts(self, rows: Sequence[int] | Rows | None = None) -> Counter[str]:
        """Occurrences by word, in the texts at `rows` or in all; words that do not occur there are left out.

        >>> Tokenizer().tokenize(["a b", "b"]).word_counts([1])
        Counter({'b': 1})
        """
        counts = self.counts if rows is None else self._counts(self.ragged.take(rows).ids)
        return Counter(
            {word: count for word, count in zip(self.words, counts.tolist(), strict=True) if count}
        )

    def _counts(self, ids: Ids) -> Rows:
        return np.bincount(ids, minlength=len(self.words)).astype(np.int64, copy=False)


@dataclass(frozen=True)
class Tokenizer:
    """Finds words; equal tokenizers find equal words.

    `pattern` is a regular expression in Rust's syntax: no look-around, but classes of Unicode such as
    `\\p{L}`, and their differences, `[\\p{L}--\\p{Han}]`.
    """

    pattern: str = config.Train.pattern

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The words of each text; a text gives the same words alone and among others.

        Raises ValueError for a pattern that is malformed or matches the empty text, and for
        a text that is not a string or holds half of a surrogate pair.

        >>> Tokenizer().tokenize(["Smörgåsbord, № 5"])[0]
        ['smörgåsbord', 'no', '5']
        """
        if isinstance(texts, str):
            raise ValueError(f"texts: one string, {texts[:40]!r}, want a sequence of texts; put it in a list")
        if self.pattern == Tokenizer.pattern and (few := _few(texts)):
            return _joined([few])
        _check_pattern(self.pattern)
        cuts = _cuts(texts)
        blocks = [(self.pattern, texts[start:stop], start) for start, stop in pairwise(cuts)]
        if len(blocks) > 1:
            with ThreadPoolExecutor(_threads()) as threads:
                return _joined(list(threads.map(_block, *zip(*blocks, strict=True))))
        return _joined(list(starmap(_block, blocks)))

    def leaves_whole(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each string is one word and comes back unchanged, (words,).

        >>> Tokenizer().leaves_whole(["cat", "Cat", "it's", ","]).tolist()
        [True, False, False, False]
        """
        tokens = self.tokenize(words)
        alone = tokens.ragged.lengths == 1
        firsts = tokens.ragged.ids[tokens.ragged.offsets[:-1][alone]].tolist()
        whole = np.zeros(len(words), dtype=np.bool_)
        whole[alone] = [
            tokens.words[first] == words[row]
            for row, first in zip(np.flatnonzero(alone).tolist(), firsts, strict=True)
        ]
        return whole


def tokenize_cached(texts: Sequence[str], tokenizer: Tokenizer, key: str, cache_dir: Path) -> Tokens:
    """`tokenizer.tokenize(texts)`, kept under `cache_dir` and memory-mapped, read-only.

    `key` stands for the content of `texts`, such as its hash. A damaged entry is made anew; several
    processes may share the folder. Raises OSError where `cache_dir` cannot be written.
    """
    name = hashlib.sha256(json.dumps([FORMAT, key, len(texts), tokenizer.pattern]).encode()).hexdigest()[:32]
    folder = Path(cache_dir) / "tokens" / name
    arrays, words = cache.load(folder, ("ids", "offsets")) or _cached(tokenizer.tokenize(texts), folder)
    return Tokens(words, Ragged(arrays["ids"], arrays["offsets"]))


def _cached(tokens: Tokens, folder: Path) -> cache.Entry:
    """`tokens` as they lie in `folder` after saving, or as they are if another process is at it."""
    arrays: dict[str, cache.Array] = {"ids": tokens.ragged.ids, "offsets": tokens.ragged.offsets}
    cache.save(folder, arrays, tokens.words)
    return cache.load(folder, arrays) or (arrays, tokens.words)


def warn_unsegmented(texts: Sequence[str]) -> str | None:
    """A line where scripts written without spaces make up more than `NOTABLE` of the characters, else None.

    There a whole phrase is one word, and hardly any word occurs twice.
    """
    total = sum(map(len, texts))
    foreign = [text for text in texts if not text.isascii()]
    # these scripts' characters take three bytes or more, which settles it for nearly every collection
    if sum(len(text.encode()) - len(text) for text in foreign) // 2 <= NOTABLE * total:
        return None
    import polars as pl  # not at the top: 0.3 s, which a search or a trial that only opens arrays saves

    unsegmented = int(pl.Series(foreign, dtype=pl.String).str.count_matches(UNSEGMENTED).sum())
    if unsegmented <= NOTABLE * total:
        return None
    return (
        f"{unsegmented / total:.0%} of the characters belong to scripts written without spaces "
        r"(Han, Kana, Thai, Lao, Khmer, Myanmar), where a whole phrase is taken for one word; "
        r"a pattern such as \p{Han}|[\p{L}\p{M}\p{N}--\p{Han}]+ makes a word of each character"
    )


def _threads() -> int:
    import polars as pl  # see warn_unsegmented

    return pl.thread_pool_size()


@lru_cache
def _check_pattern(pattern: str) -> None:
    """Raises ValueError where Rust's engine refuses the pattern, or where it matches the empty text."""
    import polars as pl  # see warn_unsegmented

    try:
        empty = pl.Series([""], dtype=pl.String).str.extract_all(pattern).list.len().item() > 0
    except pl.exceptions.ComputeError as error:
        reason = (re.findall(r"^error: (.*)", str(error), re.MULTILINE) or ["too large"])[0]
        raise ValueError(f"pattern {pattern!r}: {reason}; want Rust's regular expressions") from None
    if empty:
        raise _empty_word(pattern)


def _empty_word(pattern: str) -> ValueError:
    return ValueError(
        f"pattern {pattern!r}: matches the empty text, want at least one character; use + for *"
    )


def _cuts(texts: Sequence[str]) -> list[int]:
    """Rows at which blocks of about `BLOCK` characters begin, and the end."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"text {row}: {type(text).__name__}, want str")
    block = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))) // BLOCK
    return [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(texts)]


def _block(pattern: str, texts: Sequence[str], start: int) -> tuple[list[str], Ids, Rows]:
    """Distinct words in order of first appearance, their ids for every word, words of each text.

    `start` is the row of the first text, for the error alone.
    """
    import polars as pl  # see warn_unsegmented

    try:
        column = pl.Series(texts, dtype=pl.String)
    except UnicodeEncodeError:
        raise _half_character(texts, start) from None
    if odd := [row for row, text in enumerate(texts) if not text.isascii()]:  # NFKC leaves ASCII as it is
        column = column.scatter(odd, column.gather(odd).str.normalize("NFKC"))
    found = column.str.to_lowercase().str.extract_all(pattern)
    lengths = found.list.len().to_numpy().astype(np.int64)
    flat = found.explode().drop_nulls()  # a text without words explodes to a null
    distinct = flat.unique(maintain_order=True)
    numbered = pl.DataFrame({"word": distinct, "id": np.arange(len(distinct), dtype=np.int32)})
    ids = flat.to_frame("word").join(numbered, on="word", how="left", maintain_order="left")["id"]
    words: list[str] = distinct.to_list()
    if "" in words:
        raise _empty_word(pattern)
    return words, ids.to_numpy(), lengths


def _few(texts: Sequence[str]) -> tuple[list[str], Ids, Rows] | None:
    """As `_block`, for a little text under the default pattern: a query need not wait 0.2 s for Polars.

    None for much text, and for characters that this Python's Unicode does not know and Rust's may.
    """
    if not 0 < len(texts) <= FEW or not all(isinstance(text, str) for text in texts):
        return None
    if sum(map(len, texts)) > FEW:
        return None
    found = [_found(text) for text in texts]
    if any(words is None for words in found):
        return None
    index: dict[str, int] = {}
    ids = [index.setdefault(word, len(index)) for words in found for word in words or ()]
    return list(index), np.array(ids, dtype=np.int32), np.array([len(words or ()) for words in found])


def _found(text: str) -> list[str] | None:
    """The default pattern's matches; None for a text with a character that is no character here."""
    if text.isascii():
        return ASCII_WORD.findall(text.lower())
    text = unicodedata.normalize("NFKC", text).lower()
    kinds = [unicodedata.category(character) for character in text]
    if not {"Cn", "Cs"}.isdisjoint(kinds):
        return None
    runs = groupby(zip((kind[0] in "LMN" for kind in kinds), text, strict=True), key=itemgetter(0))
    return ["".join(character for _, character in run) for matches, run in runs if matches]


def _half_character(texts: Sequence[str], start: int) -> ValueError:
    """The error for the first text that cannot be written as UTF-8."""
    row, half = next((row, half) for row, text in enumerate(texts, start) if (half := HALF.search(text)))
    return ValueError(
        f"text {row}: {half[0]!r} at character {half.start()}, half of a surrogate pair, want text"
    )


def _joined(blocks: list[tuple[list[str], Ids, Rows]]) -> Tokens:
    """Blocks of texts as one, their word lists merged in order."""
    index: dict[str, int] = {}
    parts = []
    for words, ids, _ in blocks:
        merged = np.array([index.setdefault(word, len(index)) for word in words], dtype=np.int32)
        parts.append(merged[ids])
    lengths = np.concatenate([lengths for _, _, lengths in blocks])
    return Tokens(tuple(index), Ragged(np.concatenate(parts), offsets_of(lengths)))
