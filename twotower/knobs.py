"""Command-line words to typed knobs: `batch_size=512` -> ("batch_size", 512), or one line on what is wrong.

["a query", "k=3"]  ->  bare ["a query"], settings {"k": "3"}
short name hidden_dim=64  ->  query_tower.hidden_dim=64 and doc_tower.hidden_dim=64
"""

import ast
import difflib
import inspect
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin

from twotower.config import GROUPS

_KNOB = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)=(.*)", re.DOTALL)
_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}

Types = Mapping[str, Any]
"""Dotted name of each knob in force, and its type."""


def split(words: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Bare arguments, and settings by name; after a lone `--` every word is bare.

    >>> split(["read a = b", "k=3", "--", "e=mc2"])
    (['read a = b', 'e=mc2'], {'k': '3'})
    """
    bare: list[str] = []
    settings: dict[str, str] = {}
    words = iter(words)
    for word in words:
        if word == "--":
            bare += words
        elif match := _KNOB.fullmatch(word):
            settings[match[1]] = match[2]
        else:
            bare.append(word)
    return bare, settings


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint, or nothing.

    >>> nearest("batchsize", ["batch_size", "dim"])
    '; did you mean batch_size?'
    """
    whole = {one.lower(): one for one in known}
    short = {full.rpartition(".")[2]: one.rpartition(".")[2] for full, one in whole.items()}
    for names in (whole, short) if "." in name else (short, whole):
        if close := difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6):
            return f"; did you mean {names[close[0]]}?"
    return ""


def types_of(kind: type, prefix: str = "") -> dict[str, Any]:
    """Dotted names and types of a config dataclass, groups left out."""
    return {
        f"{prefix}{field.name}": field.type
        for field in fields(kind)
        if get_origin(field.type) is list or not is_dataclass(field.type)
    }


def resolve(name: str, types: Types, elsewhere: Mapping[str, str]) -> list[str]:
    """The dotted names that `name` stands for: itself, or as a short name every group's knob of that name.

    A short name that only a choice not in force has (`margin` under `loss=contrastive`) stands for nothing:
    a sweep over losses sets both. `elsewhere` says which choice has it. Raises ValueError for a name that
    no choice has, and for one that only other data have: a run on the wrong collection is a waste.
    """
    if name in types:
        return [name]
    ends = [full for full in types if full.endswith(f".{name}")]
    others = [full for full in elsewhere if name in (full, full.rpartition(".")[2])]
    if "." not in name and (ends or any(not full.startswith("data.") for full in others)):
        return ends
    if others:
        group = others[0].split(".")[0]
        have = ", ".join(full for full in types if full.startswith(f"{group}.")) or "none"
        raise ValueError(f"{name}: belongs to {elsewhere[others[0]]}, the {group} in force has {have}")
    known = dict.fromkeys([*types, *(full.split(".")[0] for full in elsewhere), *elsewhere])
    raise ValueError(f"{name}: no such knob{nearest(name, known)} (--help lists them)")


def convert(name: str, text: str, kind: Any) -> Any:
    """`text` as a value of type `kind`.

    >>> convert("k", "1,5,10", list[int])
    [1, 5, 10]

    Raises:
        ValueError: `text` is not of that type; the line names the knob, what was got and what is wanted.
    """
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return _list(name, text, item)
    if issubclass(kind, Enum):
        return _member(name, text, kind)
    if kind is bool:
        if text.lower() not in _TRUTH:
            raise ValueError(f"{name}: got {text!r}, want true or false")
        return _TRUTH[text.lower()]
    try:
        value = kind(text)
    except ValueError:
        want = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name}: got {text!r}, want {want}") from None
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{name}: got {text!r}, want a finite number")
    return value


def _list(name: str, text: str, item: Any) -> list[Any]:
    inner = text.strip()
    if inner.startswith("[") != inner.endswith("]"):
        raise ValueError(f"{name}: got {text!r}, want a list such as a,b or [a,b]")
    parts = [part.strip().strip("'\"") for part in inner.removeprefix("[").removesuffix("]").split(",")]
    if not parts[-1]:  # a comma at the end
        parts.pop()
    if not parts:
        raise ValueError(f"{name}: got an empty list, want at least one {item.__name__}")
    return [convert(name, part, item) for part in parts]


def _member(name: str, text: str, kind: type[Enum]) -> Enum:
    choices = [member.name for member in kind]
    if text not in choices:
        raise ValueError(f"{name}: got {text!r}, want {' or '.join(choices)}{nearest(text, choices)}")
    return kind[text]


def check_bounds(values: Any, prefix: str = "") -> None:
    """Raises ValueError naming the first number that lies outside its knob's bounds."""
    for field in fields(values):
        value = getattr(values, field.name)
        if is_dataclass(value):
            check_bounds(value, f"{prefix}{field.name}.")
            continue
        bounds = field.metadata.get("bounds")
        for one in value if isinstance(value, list) else [value]:
            if bounds is not None and not bounds.admit(one):
                raise ValueError(f"{prefix}{field.name}: got {one}, want {bounds}")


@cache
def docs_of(kind: type) -> dict[str, str]:
    """The string below each knob of a config class and its parents."""
    docs: dict[str, str] = {}
    for parent in reversed(kind.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        assert isinstance(tree, ast.ClassDef)
        for knob, below in zip(tree.body, tree.body[1:], strict=False):
            match knob, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(text)):
                    docs[name] = str(text)
    return docs


def lines_of(kind: type, defaults: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(`name=default`, what it is) for each knob of a config class, for `--help`."""
    docs = docs_of(kind)
    bounds = {field.name: field.metadata.get("bounds") for field in fields(kind)}
    for name in types_of(kind):
        limits = f" ({bounds[name]})" if bounds[name] is not None and str(bounds[name]) else ""
        yield f"{prefix}{name}={shown(defaults.get(name))}", docs.get(name, "") + limits


def plain(values: Any) -> dict[str, Any]:
    """A config object as plain types, each choice with its word: `{"query_tower": {"kind": "mlp", ...}}`."""
    made: dict[str, Any] = {}
    for field in fields(values):
        value = getattr(values, field.name)
        if is_dataclass(value):
            kinds = {kind: word for word, kind in GROUPS[field.name].items()}
            made[field.name] = {"kind": kinds[type(value)], **plain(value)}
        else:
            made[field.name] = value.name if isinstance(value, Enum) else value
    return made


@dataclass(frozen=True)
class Stored:
    """The knobs of an earlier run: the choice of each group, and the values of the rest by dotted name."""

    groups: Mapping[str, str]
    values: Mapping[str, Any]


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested knobs by dotted name.

    >>> flat({"loss": {"kind": "triplet", "margin": 0.2}, "dim": 8})
    {'loss.kind': 'triplet', 'loss.margin': 0.2, 'dim': 8}
    """
    made: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            made |= flat(value, f"{prefix}{key}.")
        else:
            made[f"{prefix}{key}"] = value
    return made


def stored(kind: type, values: Mapping[str, Any]) -> Stored:
    """Choices and values back from `plain`; raises ValueError for what this version does not know."""
    choices = {name: restore(name, values[name]) for name in GROUPS if isinstance(values.get(name), Mapping)}
    types = types_of(kind)
    rest = {name: value for name, value in values.items() if name not in choices}
    if strange := sorted(rest.keys() - types.keys()):
        raise ValueError(f"{strange[0]}: not a knob of this version")
    known = {name: _restored(name, value, types[name]) for name, value in rest.items()}
    for group, made in choices.items():
        known |= {f"{group}.{field.name}": getattr(made, field.name) for field in fields(made)}
    return Stored({group: str(values[group]["kind"]) for group in choices}, known)


def restore(group: str, values: Mapping[str, Any]) -> Any:
    """A choice back from `plain`; raises ValueError for what this version does not know or would refuse."""
    word = str(values.get("kind"))
    if word not in GROUPS[group]:
        raise ValueError(f"{group}: got kind {word!r}, want {' or '.join(GROUPS[group])}")
    kind = GROUPS[group][word]
    types = types_of(kind)
    given = {name: value for name, value in values.items() if name != "kind"}
    if strange := sorted(given.keys() - types.keys()):
        raise ValueError(f"{group}.{strange[0]}: not a knob of {group}={word} in this version")
    if lacking := [field.name for field in fields(kind) if is_required(field) and field.name not in given]:
        raise ValueError(f"{group}.{lacking[0]}: missing from {group}={word}")
    made = kind(**{name: _restored(f"{group}.{name}", value, types[name]) for name, value in given.items()})
    check_bounds(made, f"{group}.")
    return made


def is_required(field: Field[Any]) -> bool:
    """Whether a knob has no default."""
    return field.default in (MISSING, "???") and field.default_factory is MISSING


def _restored(name: str, value: Any, kind: Any) -> Any:
    """A stored value, of the type that its knob has."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(name, str(value), kind)
    plain_kind = get_origin(kind) or kind
    if type(value) is plain_kind or (kind is float and type(value) is int):
        return value
    raise ValueError(f"{name}: got {value!r}, want {plain_kind.__name__}")


def shown(value: Any) -> str:
    """A default as one would type it.

    >>> shown([1, 5]), shown(True), shown(None)
    ('1,5', 'true', '???')
    """
    if value is None:
        return "???"
    if isinstance(value, list):
        return ",".join(map(shown, value))
    if isinstance(value, Enum):
        return value.name
    return str(value).lower() if isinstance(value, bool) else str(value)
