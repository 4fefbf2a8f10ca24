"""What a pickle says, without doing what it says.

    b"\\x80\\x04...gensim.models.keyedvectors KeyedVectors..."  ->  Thing("gensim...KeyedVectors", (), {...})

A pickle is a program that builds an object, and unpickling one from a stranger runs a stranger's program.
Here it is read as text: what it would import is a name, what it would call is a record of the call. There is
nothing in this module that imports or calls by a name, so nothing in a pickle can make it.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

NUMBERS = ("f2", "f4", "f8")
"""Types of the arrays that are read."""


@dataclass(eq=False)
class Thing:
    """An object that a pickle would have built: by calling `name` with `given`, and then setting `state`."""

    name: str
    given: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)


class _Mark:
    """Where a group of values begins on the stack."""


def read(stream: BinaryIO) -> Any:
    """The object of the first pickle in `stream`, of plain values, containers and `Thing`.

    Raises ValueError for what is not a whole pickle.
    """
    machine = _Machine()
    try:
        for code, argument, _ in pickletools.genops(stream):
            if code.name == "STOP":
                return machine.stack.pop()
            machine.step(code.name, argument)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"damaged: {type(error).__name__}") from None
    raise ValueError("damaged: it has no end")


def array(thing: Any) -> NDArray[np.floating] | None:
    """The NumPy array that `thing` would have been, if it is one of real numbers; else None.

    Raises ValueError where its bytes do not fit its shape.
    """
    match thing:
        case Thing(name, _, (_, tuple(shape), Thing(_, (str(kind), *_), (_, str(order), *_)), fortran, data)):
            raw = _raw(data)
        case _:
            return None
    if not name.endswith("._reconstruct") or kind not in NUMBERS or order not in ("<", ">") or raw is None:
        return None
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        return None
    return np.frombuffer(raw, dtype=f"{order}{kind}").reshape(shape, order="F" if fortran else "C")


def _raw(data: Any) -> bytes | None:
    """Bytes, or those that protocol 2 writes as a text to be encoded."""
    match data:
        case bytes():
            return data
        case Thing("_codecs.encode", (str(text), "latin1")):
            return text.encode("latin1")
    return None


class _Machine:
    """The stack and the memory of a pickle's program, of which only the building of values is obeyed."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def step(self, code: str, argument: Any) -> None:
        """Obey one instruction; raises ValueError for one that is not known."""
        if code in VALUES:
            self.stack.append(argument)
        elif code in CONSTANTS:
            self.stack.append(CONSTANTS[code]())
        elif code in ACTIONS:
            ACTIONS[code](self, argument)
        elif code not in SILENT:
            raise ValueError(f"a pickle with {code}, which is not read")

    def group(self) -> list[Any]:
        """The values since the last mark, taken off."""
        values: list[Any] = []
        while not isinstance(value := self.stack.pop(), _Mark):
            values.append(value)
        return values[::-1]

    def memorise(self, place: int | None) -> None:
        """Remember the top of the stack."""
        self.memory[len(self.memory) if place is None else place] = self.stack[-1]

    def tuple_of(self, count: int) -> None:
        """The last `count` values as one."""
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(values)

    def fill(self, values: list[Any]) -> None:
        """Put `values` into the list on top of the stack."""
        top = self.stack[-1]
        (top.items if isinstance(top, Thing) else top).extend(values)

    def set(self, values: list[Any]) -> None:
        """Put keys and values, in turn, into the dictionary on top of the stack."""
        top = self.stack[-1]
        pairs = zip(values[::2], values[1::2], strict=True)
        if isinstance(top, Thing):
            top.items.extend(pairs)
        else:
            top.update(pairs)

    def make(self, given: Any) -> None:
        """What calling the top of the stack would give, as a record of the call."""
        self.stack.append(Thing(self.stack.pop().name, tuple(given)))

    def build(self) -> None:
        """Give its state to the object on top of the stack."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Thing):
            raise TypeError("only an object has a state")
        self.stack[-1].state = state

    def name(self, module: str, name: str) -> None:
        """What would be imported: its name alone."""
        self.stack.append(Thing(f"{module}.{name}"))


VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
    | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
"""Instructions that put their argument on the stack."""

CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}
"""Instructions that put a new value on the stack."""

SILENT = ("PROTO", "FRAME")
"""Instructions about the file alone."""

ACTIONS: Mapping[str, Callable[[_Machine, Any], object]] = {
    "MEMOIZE": lambda machine, _: machine.memorise(None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.memorise),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, place: machine.stack.append(machine.memory[place])
    ),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.group(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.group())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda machine, _: machine.stack.append(machine.group())),
    "APPEND": lambda machine, _: machine.fill([machine.stack.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.fill(machine.group())),
    "SETITEM": lambda machine, _: machine.set([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set(machine.group()),
    "GLOBAL": lambda machine, both: machine.name(*both.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(machine.stack.pop(-2), machine.stack.pop()),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: machine.make(machine.stack.pop())),
    "BUILD": lambda machine, _: machine.build(),
}
"""All other instructions that are read."""
