"""Known words that are spelled like an unknown one: one slip away, or else alike in most letters.

like("retreival", vocabulary)  ->  ("retrieval",)
"""

import difflib
from collections.abc import Iterator

from twotower.text.vocabulary import UNKNOWN, Vocab

SHOWN = 3
"""Words named."""
SHORTEST, LONGEST = 4, 24
"""Letters of a word that is looked for: shorter ones are one slip from anything."""
START = 2
"""Letters that words which are alike begin with."""
ALIKE = 0.75
"""Least share of letters in common, as `difflib` counts them."""


def like(word: str, vocab: Vocab) -> tuple[str, ...]:
    """At most three known words, the most frequent first where they are one slip away."""
    if not SHORTEST <= len(word) <= LONGEST or not word.isalpha():
        return ()
    index = vocab.index
    near = {other for other in slips(word) if index.get(other, UNKNOWN) > UNKNOWN}
    if near:
        return tuple(sorted(near, key=index.__getitem__)[:SHOWN])
    begin, length = word[:START], len(word)
    some = [one for one in vocab.words if one.startswith(begin) and abs(len(one) - length) <= START]
    return tuple(difflib.get_close_matches(word, some, n=SHOWN, cutoff=ALIKE))


def slips(word: str) -> Iterator[str]:
    """Every word that one letter left out, added, changed or swapped with the next makes of it.

    >>> sorted(set(slips("at")))[:4], "ta" in slips("at"), "cat" in slips("at")
    (['a', 'aa', 'aat', 'ab'], True, True)
    """
    letters = "".join(dict.fromkeys("abcdefghijklmnopqrstuvwxyz" + word))
    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        for letter in letters:
            yield before + letter + after
            if after:
                yield before + letter + after[1:]
