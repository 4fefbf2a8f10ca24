"""A docstring to a summary and a body that read like prose.

    Return the mean of the values.                  summary  Return the mean of the values
                                                    body     The mean is accurate but slow.
    The mean is *accurate* but slow.          ->             The data to average.

    Args:
        values (list): the data to average.

Signatures, doctests, code, headings, references and the markup of reStructuredText, Google and NumPy style
go; of lists of parameters the descriptions stay.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twotower.data.markup import plain, sentences, words

SUMMARY_WORDS = range(3, 31)
BODY_WORDS = 12
"""Words of a body at least."""

UNDERLINE = re.compile(r"^\s*([-=~^*#+.])\1{2,}\s*$")
DIRECTIVE = re.compile(r"^\s*\.\.\s*([\w:-]*?)(?:\s?::\s*(.*)|(?:\s.*)?)$")
"""`.. name:: argument`, or a comment or link target, which have no name."""
FIELD = re.compile(r"^\s*[:@](\w+)(?:\s[^:`]*)?:(?!`)\s*(.*)$")
"""`:param name: description` of Sphinx, `@param name: description` of epydoc."""
HEADING = re.compile(r"^\s*\**(\w[\w/-]*(?: [\w/-]+){0,2})\**:{1,2}\**\s*$")
NAME = r"(?:[\w.()\[\], *`'\"=/-]{1,40}?\s+--|[*`']{0,2}[\w.]{1,30}[`'*]{0,2}\s+-)\s+"
ITEM = re.compile(rf"^\s*(?:(?:[-*+•]|\(?\d+[.)]|#\.)\s+(?:{NAME})?|{NAME})")
"""A bullet, a number, or `name -- ` before a description, or both."""
UNSAID = re.compile(
    r"^TODO|\b(?:a|an|and|as|at|by|either|example|following|follows|for|from|if|in|into|is|of|or|respects|see|that|the"
    r"|then|this|to|usage|via|where|with|default:)[.,:]*$|^examples?\b.*:$",
    re.IGNORECASE,
)
"""Sentences that are left out: those whose end was markup, and notes to oneself."""
ENTRY = re.compile(
    r"^(?:[-*+]\s+)?[*`]*[\w.]+[`\w\[\]., |]*(?:\s*,\s*[*`]*[\w.]+`*)*"
    r"(?:\s*\((?:[^()]|\([^()]*\))*\))?\s*:\s+(?:--\s+)?(?=\S)"
)
"""`name (type): ` before a description, in Google style."""
SIGNATURE = re.compile(
    r"^(?:\w+\s?=\s?)?[\w.]+\s?\([^.]*\)(?:\s*(?:->|-->|=>).*)?$|^[\w.]+\(.*\)\s*->.*$", re.DOTALL
)
CODE_LINE = re.compile(
    r"^\s*(?:>>> |\.\.\. |[$%#] |#|@\w|import \w|from [\w.]+ import |def \w+\(|class \w+[(:]|return \w+$"
    r"|[\w.\[\], ]+ [-+*]?= ?\S"
    r"|(?:for|while|if|with|try|else|elif)\b.*:$|[\w.]+\(.*\)$|[|+\\/_=-]{3,})"
)
TABLE_RULE = re.compile(r"^[\s|+=-]*[=-]{3,}[\s|+=-]*$")
CODE_MARKS = re.compile(r"[=()\[\]{}<>_|\\/*+^#~@&%]")

NO_SUMMARY = re.compile(
    r"[\[\]{}=|\\<>]|[:,]$|^\W*$|warranty|copyright|rights reserved|deprecated", re.IGNORECASE
)
"""Code, the opening of a list, or a legal notice in place of a summary."""

DESCRIBED = frozenset({
    "arg", "args", "argument", "arguments", "attributes", "input", "inputs", "keyword args",
    "keyword arguments", "kwargs", "optional arguments", "other parameters", "output", "outputs", "param",
    "parameter", "parameters", "params", "receives", "return", "return value", "returns", "yields",
})  # fmt: skip
DROPPED = frozenset({
    "doctest", "doctests", "example", "example usage", "examples", "exceptions", "for example", "methods",
    "raise", "raises", "reference", "references", "sample usage", "see also", "seealso", "shape", "shapes",
    "synopsis", "throws", "todo", "usage", "usage example", "usage examples", "variables", "warns",
})  # fmt: skip
PROSE = frozenset({
    "admonition", "attention", "caution", "hint", "important", "note", "notes", "tip", "warning", "warnings",
})  # fmt: skip
KEPT_FIELDS = frozenset(
    {"arg", "argument", "ivar", "key", "keyword", "param", "parameter", "return", "returns"}
)


@dataclass(frozen=True)
class Block:
    """Lines that belong together: a paragraph, an item, or an opening line with what is indented below."""

    lines: Sequence[str]
    opens: bool = False


def summary_and_body(doc: str) -> tuple[str, str] | None:
    """The first sentence, without its full stop, and the rest, both cleaned.

    None where the summary has not 3 to 30 words or the body fewer than 12, or the body repeats the summary.

    >>> doc = "Return the mean.\\n\\nThe mean of `values`, which are numbers, of which one must exist."
    >>> summary_and_body(doc)
    ('Return the mean', 'The mean of values, which are numbers, of which one must exist.')
    """
    paragraphs = [text for text in _prose(inspect.cleandoc(doc).split("\n")) if text]
    said = [sentence for text in paragraphs for sentence in sentences(text)]
    said = said[:1] + [sentence for sentence in said[1:] if not UNSAID.search(sentence)]
    if not said or NO_SUMMARY.search(said[0]):
        return None
    summary = said[0].rstrip(".").strip()
    # a sentence is said once, and the summary not again
    body = " ".join(text for text in dict.fromkeys(said[1:]) if text.rstrip(".").lower() != summary.lower())
    if words(summary) not in SUMMARY_WORDS or words(body) < BODY_WORDS:
        return None
    return None if summary.lower() in body.lower() else (summary, body)


def _prose(lines: Sequence[str]) -> list[str]:
    """Cleaned paragraphs, section by section."""
    paragraphs: list[str] = []
    for title, section in _sections(lines):
        if title in DESCRIBED:
            paragraphs += _numpy_descriptions(section)
        elif title not in DROPPED:
            paragraphs += _running(section)
    return paragraphs


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Underlined sections: title in lower case, "" for the start, and lines."""
    title, start = "", 0
    for number in range(1, len(lines)):
        above = lines[number - 1].strip()
        if above and not UNDERLINE.match(above) and UNDERLINE.match(lines[number]):
            yield title, lines[start : number - 1]
            title, start = above.rstrip(":").lower(), number + 1
    yield title, lines[start:]


def _running(lines: Sequence[str]) -> list[str]:
    """Paragraphs of running text; code goes, together with the sentence that announces it."""
    paragraphs: list[str] = []
    literal = -1
    """Indent below which a block after `::` ends; -1 outside of one."""
    for block in _blocks(lines):
        first = block.lines[0]
        if literal >= 0 and _indent(first) > literal:
            continue
        literal = -1
        if block.opens:
            paragraphs += _opened(block)
            continue
        text = _until_doctest(block.lines)
        cleaned = plain(ITEM.sub("", "\n".join(text)))
        if not cleaned or _is_code(text, cleaned) or SIGNATURE.match(" ".join(text).strip()):
            _drop_announcement(paragraphs)
            continue
        paragraphs.append(_finished(cleaned))
        if text[-1].rstrip().endswith("::"):
            literal = _indent(first)
            _drop_announcement(paragraphs)
    return paragraphs


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        opens = _is_opening(lines[at])
        end = _end_of_indented(lines, at) if opens else _end_of_paragraph(lines, at)
        yield Block(lines[at:end], opens)
        at = end


def _is_opening(line: str) -> bool:
    """Whether what is indented below `line` belongs to it: directives, fields, headings of Google style."""
    heading = HEADING.match(line)
    known = heading is not None and heading[1].lower() in DESCRIBED | DROPPED | PROSE
    return known or bool(DIRECTIVE.match(line) or FIELD.match(line))


def _end_of_indented(lines: Sequence[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > _indent(lines[at])):
        end += 1
    return end


def _end_of_paragraph(lines: Sequence[str], at: int) -> int:
    end = at + 1
    while (
        end < len(lines)
        and lines[end].strip()
        and _indent(lines[end]) >= _indent(lines[at])
        and not ITEM.match(lines[end])
        and not _is_opening(lines[end])
    ):
        end += 1
    return end


def _opened(block: Block) -> list[str]:
    """What stays of a directive, a field, or a section of Google style."""
    first, inner = block.lines[0], textwrap.dedent("\n".join(block.lines[1:])).split("\n")
    if heading := HEADING.match(first):
        name = heading[1].lower()
        if name in DESCRIBED:
            return _google_descriptions(inner)
        return [] if name in DROPPED else _running(inner)
    if directive := DIRECTIVE.match(first):
        return _running([directive[2] or "", *inner]) if directive[1].lower() in PROSE else []
    field = FIELD.match(first)
    if field and field[1].lower() in KEPT_FIELDS:
        return _running([_capitalised(field[2]), *inner])
    return []


def _google_descriptions(lines: Sequence[str]) -> list[str]:
    """Descriptions of `name (type): description`; what does not look so stays as it is."""
    paragraphs: list[str] = []
    for block in (lines[start:end] for start, end in _entries(lines)):
        paragraphs += _running(
            [_capitalised(ENTRY.sub("", block[0])), *textwrap.dedent("\n".join(block[1:])).split("\n")]
        )
    return paragraphs


def _numpy_descriptions(lines: Sequence[str]) -> list[str]:
    """Descriptions of `name : type` with the description indented below."""
    paragraphs: list[str] = []
    for start, end in _entries(lines):
        paragraphs += _running(textwrap.dedent("\n".join(lines[start + 1 : end])).split("\n"))
    return paragraphs


def _entries(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each line that is not indented, with what is indented below."""
    at = 0
    while at < len(lines):
        end = _end_of_indented(lines, at) if lines[at].strip() else at + 1
        if lines[at].strip():
            yield at, end
        at = end


def _until_doctest(lines: Sequence[str]) -> Sequence[str]:
    for number, line in enumerate(lines):
        if line.lstrip().startswith(">>>"):
            return lines[:number]
    return lines


def _is_code(lines: Sequence[str], cleaned: str) -> bool:
    """Whether it is a table, or most lines look like code, or the cleaned text is full of code's marks."""
    marks = len(CODE_MARKS.findall(cleaned)) / max(1, len(cleaned) - cleaned.count(" "))
    if any(map(TABLE_RULE.match, lines)):
        return True
    code_lines = sum(bool(CODE_LINE.match(line)) for line in lines)
    return 2 * code_lines > len(lines) or marks > (0.06 if code_lines else 0.1)


def _drop_announcement(paragraphs: list[str]) -> None:
    """Take away the last sentence where it ends in a colon: what it announces has been dropped."""
    if paragraphs and paragraphs[-1].endswith(":"):
        paragraphs[-1] = " ".join(sentences(paragraphs[-1])[:-1])


def _finished(text: str) -> str:
    """`text` as sentences: a capital first, a full stop last.

    >>> _finished("the data")
    'The data.'
    """
    text = _capitalised(text).rstrip(" ,;-")
    return text if not text or text[-1] in ".!?:" else f"{text}."


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
