"""How a knob says its bounds: `temperature: float = knob(0.05, above=0)`, its unit in the string below it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bounds:
    """The values that a number may take; None leaves a side open."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        """In words.

        >>> str(Bounds(above=0, at_most=1))
        'above 0 and at most 1'
        """
        sides = (
            (self.above, "above"),
            (self.at_least, "at least"),
            (self.below, "below"),
            (self.at_most, "at most"),
        )
        return " and ".join(f"{words} {value:g}" for value, words in sides if value is not None)

    def admit(self, value: float) -> bool:
        """Whether `value` lies inside.

        >>> Bounds(above=0).admit(-1.0), Bounds(above=0).admit(float("nan"))
        (False, False)
        """
        return (
            value == value
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )


CUT_OFFS = (1, 3, 5, 10, 20, 50, 100)
"""The default of `k` wherever metrics have cut-offs, in ranks."""


def knob(default: Any, **bounds: float) -> Any:
    """A dataclass field with a default and `Bounds`; a list's bounds hold for each of its items."""
    metadata = {"bounds": Bounds(**bounds)}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
