"""Our tokenizer and vocabulary in the form of the `tokenizers` library, whose JSON other libraries read.

NFKC, lower case, words by the pattern, each to its id, the first `limit` of them:

    "The cat, Ø!"  ->  "the cat, ø!"  ->  ["the", "cat", "ø"]  ->  [2, 3, 1]
    "?!"           ->  "X"            ->  ["X"]               ->  [1]

Text in lower case holds no X, which can so stand for a text without words. A text of no characters gets
no id there, so each is given with `LEAD` before it.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import PAD, SPECIAL, UNKNOWN, Vocab

WORDLESS = "X"
"""Stands for a text without words; it is unknown, as they are."""
LEAD = " "
"""Stands before each text; a model's prompt in sentence-transformers."""
PADDING = "PAD"
"""The padding's entry; in capitals, so that no text spells it."""
FINAL_SIGMA = r"\p{Cased}\p{Case_Ignorable}*\KΣ(?!\p{Case_Ignorable}*\p{Cased})"
"""A capital sigma that ends a word (Unicode's SpecialCasing); the library lowers letter by letter."""
REIWA = ("\u32ff", "令和")
"""The one compatibility character in common use that is younger than the library's NFKC."""
DIFFERENCE = re.compile(r"--(\\[pP]\{\^?\w+\}|\[[^\[\]]+\])")
"""A class less another, as Rust writes it: `[\\p{L}--\\p{Han}]`."""
JOINED = 10_000
"""Words of the vocabulary that are compared as one text too."""
ALIKE = (range(0x3400, 0xA000), range(0xAC00, 0xD7A4), range(0x20000, 0x2A6D7))
"""Ideographs and the syllables of Hangul: many characters of one kind."""
ESCAPE = re.compile(r"\\[pP]\{[^{}]*\}|\\.|--|~~", re.DOTALL)


def build(tokenizer: Tokenizer, vocab: Vocab, limits: Sequence[int]) -> list[Any]:
    """A `tokenizers.Tokenizer` for each limit; it gives `LEAD` and a text the ids that ours gives the text.

    They are compared with ours on the vocabulary and on the characters of Unicode 3.2; of those that came
    later some have compatibility forms that the library does not know yet.

    Raises:
        ValueError: the pattern cannot be written in the library's syntax, or finds other words there.
    """
    words = translated(tokenizer.pattern)
    _regex(words)  # alone first, so that a mistake is shown in it
    _compare(words, tokenizer, vocab)
    made = [_pipeline(words, vocab) for _ in limits]
    for fast, limit in zip(made, limits, strict=True):
        fast.enable_truncation(max_length=limit)
    return made


def _pipeline(words: str, vocab: Vocab) -> Any:
    """The library's tokenizer for a translated pattern, without a limit."""
    # optional, of the extra `export`
    from tokenizers import Tokenizer as Fast
    from tokenizers import models, normalizers, pre_tokenizers

    # words of capitals, which no text holds, make room for ours; each id has one word, or saving loses one
    ids = {
        f"{word} " if word in (WORDLESS, PADDING) else word: place for place, word in enumerate(vocab.words)
    }
    ids[PADDING] = ids.pop(vocab.words[PAD])
    fast = Fast(models.WordLevel(ids, unk_token=vocab.words[UNKNOWN]))
    fast.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(*REIWA),
            normalizers.NFKC(),
            normalizers.Replace(_regex(FINAL_SIGMA), "ς"),
            normalizers.Lowercase(),
            normalizers.Replace(_regex(rf"\A(?![\s\S]*?(?:{words}))[\s\S]+\z"), WORDLESS),
        ]
    )
    pattern = _regex(f"{words}|{WORDLESS}")
    fast.pre_tokenizer = pre_tokenizers.Split(pattern, behavior="removed", invert=True)
    return fast


def translated(pattern: str) -> str:
    r"""A pattern in Rust's syntax in that of Oniguruma, which the library uses.

    Differences of classes are rewritten; other differences raise a ValueError. What both engines accept and
    read otherwise is left to the comparison.

    >>> translated(r"\p{Han}|[\p{L}\p{N}--\p{Han}--[0-9]]+")
    '\\p{Han}|[\\p{L}\\p{N}&&[^\\p{Han}]&&[^[0-9]]]+'
    """
    made = DIFFERENCE.sub(r"&&[^\1]", pattern)
    if left := [part for part in ESCAPE.findall(made) if part in ("--", "~~")]:
        raise _refused(pattern, f"its {left[0]} cannot be written in the tokenizers library's syntax")
    return made


def _regex(pattern: str) -> Any:
    from tokenizers import Regex  # see _pipeline

    try:
        return Regex(pattern)
    except BaseException as error:
        if type(error) is not Exception:  # the library has no narrower type for a bad pattern
            raise
        raise _refused(pattern, f"the tokenizers library says {error}") from None


def _refused(pattern: str, why: str) -> ValueError:
    return ValueError(f"pattern {pattern!r}: {why}; an export as safetensors takes any pattern")


def _compare(words: str, tokenizer: Tokenizer, vocab: Vocab) -> None:
    """Raises ValueError for the first text in which the library finds other words than we."""
    texts = ["", *_characters(), *vocab.words[len(SPECIAL) :], " ".join(vocab.words[:JOINED])]
    tokens = tokenizer.tokenize(texts)
    every = Vocab((*SPECIAL, *(word for word in tokens.words if word not in SPECIAL)))
    ours = every.encode(tokens, int(tokens.ragged.lengths.max()))
    theirs = _pipeline(words, every).encode_batch([LEAD + text for text in texts], add_special_tokens=False)
    for row, encoding in enumerate(theirs):
        if encoding.ids != ours[row].tolist():
            raise _refused(tokenizer.pattern, f"the tokenizers library finds other words in {texts[row]!r}")


@lru_cache(maxsize=1)
def _characters() -> tuple[str, ...]:
    """Each character that Unicode 3.2 assigned, between two letters; of `ALIKE` every sixteenth."""
    old = unicodedata.ucd_3_2_0
    codes = (code for code in range(0x30000) if code % 16 == 0 or not any(code in alike for alike in ALIKE))
    known = (chr(code) for code in codes if old.category(chr(code)) not in ("Cn", "Co", "Cs"))
    return tuple(f"a{char}b" for char in known)
