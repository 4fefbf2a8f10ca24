"""One paragraph of a docstring to plain words: roles, links, emphasis, formulae and placeholders go.

"See :func:`~os.path.join` and ``x`` [1]_."  ->  "See join and x."
"""

import re

_ABBREVIATIONS = "".join(
    rf"(?<!\b{re.escape(short)})" for short in ("e.g.", "i.e.", "cf.", "vs.", "a.k.a.", "resp.")
)
_SENTENCE_END = re.compile(_ABBREVIATIONS + r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])")

_INLINE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r":math:`\\?([A-Za-z]\w*)`", r"\1"),  # a symbol
        (r":math:`[^`]*`|\$[^$]{1,80}\$", ""),  # formulae
        (r":[\w:.+-]+:`~(?:[\w.]+\.)?(\w+)[^`]*`", r"\1"),  # :role:`~package.name`
        (r":[\w:.+-]+:`([^`<]+?)\s*<[^`>]*>`", r"\1"),  # :role:`text <target>`
        (r":[\w:.+-]+:`!?([^`]*)`", r"\1"),  # :role:`text`
        (r"`([^`<]+?)\s*<[^`>]*>`_{0,2}", r"\1"),  # `text <link>`_
        (r"\[([^\]]+)\]\(\w+://[^)]*\)", r"\1"),  # [text](link)
        (r"\s*\[[\w*#]+\]_", ""),  # footnotes
        (r"\s*\(?<?\b(?:URL:)?\w{2,6}://[^\s>)]+[>)]*", ""),  # bare links
        (r"``([^`]*)``", r"\1"),
        (r"`([^`]*)`_{0,2}", r"\1"),
        (r"(?<![\w*])\*\*(\S(?:[^*]*\S)?)\*\*(?!\w)", r"\1"),
        (r"(?<![\w*])\*(\w(?:[^*]*\w)?)\*(?!\w)", r"\1"),
        (r"(?<!\w)_([^\W_][^_\n]*[^\W_])_(?!\w)", r"\1"),
        (r"`([^`'\n]{1,60})'", r"\1"),  # `quoted'
        (r"\|(\w+)\|", r"\1"),
        (r"\{[\w.]*\}|%\(\w+\)s", ""),  # placeholders of str.format and %
        (r"\\(?=[*_`|\\ ]|s\b)|`+|(?<!\w)~(?=[\w.]+\b)", ""),
        (r"::", ":"),
        (r"\s\(\s*\)", ""),
        (r"\s+([.,;:])(?=\s|$)", r"\1"),
    )
]


def plain(text: str) -> str:
    """The paragraph without markup, white space as single spaces.

    >>> plain("See :func:`~os.path.join` and ``x`` in `the docs <https://a.b>`_ [1]_.")
    'See join and x in the docs.'
    """
    text = text.encode(errors="replace").decode()  # a literal may hold half a surrogate pair
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def words(text: str) -> int:
    """Pieces between spaces that hold a letter or a digit.

    >>> words("a - b, c")
    3
    """
    return sum(any(map(str.isalnum, piece)) for piece in text.split())


def sentences(text: str) -> list[str]:
    """Split after each full stop that ends a sentence.

    >>> sentences("One, e.g. This. Two.")
    ['One, e.g. This.', 'Two.']
    """
    return [part for part in _SENTENCE_END.split(text.strip()) if part]
