"""What is shown of a text: 60 characters of it, on one line.

    "where was\\n einstein born ..."      ->  "where was einstein born ..."
    "(long) in May", "(long) in June"    ->  "... in May", "... in June"

Of two texts that are alike at first the place is shown where they part.
"""

from itertools import takewhile

WINDOW = 60
"""Characters that are shown."""


def beginning(text: str) -> str:
    """The first characters of a text.

    >>> beginning("where was\\neinstein   born")
    'where was einstein born'
    """
    return " ".join(text[: 10 * WINDOW].split())[:WINDOW].rstrip()  # white space may stand among them


def apart(one: str, other: str) -> tuple[str, str]:
    """The beginnings of two texts or, where those are alike, the place from which the texts differ."""
    one, other = (" ".join(text.split()) for text in (one, other))
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    if alike < WINDOW or one == other:
        return beginning(one), beginning(other)
    start = one.rfind(" ", 0, alike - WINDOW // 3) + 1
    return f"... {beginning(one[start:])}", f"... {beginning(other[start:])}"
