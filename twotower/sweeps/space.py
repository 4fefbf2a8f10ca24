"""What a sweep may set a knob to: W&B's distributions as a grid, as samples, and as an optimiser sees them.

    {min: 16, max: 512, distribution: q_log_uniform_values, q: 16}  ->  Steps: 16, 32, 48 ... 512
    shape() -> Whole(1, 32, log=True)     what is proposed: 5     value(5) -> 80

An optimiser knows three shapes only, and `value` makes of what it proposes what the knob is set to: quantised
distributions are proposed as the count of their steps, normal ones by their quantile, choices by their place.
A point is the value of every parameter by name; `words` spells it as W&B's agent would, to the letter.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from statistics import NormalDist
from typing import Any

import numpy as np

Point = Mapping[str, Any]
"""A value for every parameter, by the parameter's name."""

MOST = 10_000
"""Values that one parameter of a grid may have."""

TAIL = NormalDist().cdf(-3.0)
"""Normal distributions are cut at three sigma on either side, so that what is checked is what is proposed."""


@dataclass(frozen=True)
class Options:
    """One of so many, by its place from 0 on, without an order."""

    count: int


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`."""

    low: float
    high: float
    log: bool = False


Shape = Options | Whole | Real
"""What an optimiser proposes."""


@dataclass(frozen=True, kw_only=True)
class Parameter(ABC):
    """One knob of a sweep, by its dotted name."""

    name: str

    @abstractmethod
    def grid(self) -> list[Any]:
        """All its values; ValueError if they are not finitely many."""

    @abstractmethod
    def shape(self) -> Shape:
        """What an optimiser proposes for it."""

    @abstractmethod
    def value(self, proposed: float) -> Any:
        """What the knob is set to, for what an optimiser proposed within `shape`."""

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Any:
        """A value drawn from its distribution, as `method: random` of W&B draws it."""

    @abstractmethod
    def ends(self) -> list[Any]:
        """The values that decide whether all are allowed: every choice, or the lowest and the highest."""


@dataclass(frozen=True, kw_only=True)
class Choice(Parameter):
    """A constant, or one of several values."""

    values: Sequence[Any]
    weights: Sequence[float] = ()
    """How likely each is when it is sampled; empty: all alike. An optimiser does without."""

    def grid(self) -> list[Any]:
        """All its values, in the file's order."""
        if self.weights:
            raise ValueError("probabilities mean nothing to method: grid; want them gone, or method: random")
        return list(self.values)

    def shape(self) -> Options:
        """A place in `values`."""
        return Options(len(self.values))

    def value(self, proposed: float) -> Any:
        """The value at a place."""
        return self.values[int(proposed)]

    def sample(self, rng: np.random.Generator) -> Any:
        """Any of the values, by their weights."""
        return self.values[int(rng.choice(len(self.values), p=list(self.weights) or None))]

    def ends(self) -> list[Any]:
        """Every value."""
        return list(self.values)


@dataclass(frozen=True, kw_only=True)
class Steps(Parameter):
    """Multiples of `q` from about `low` to about `high`; whole numbers are those of q = 1."""

    low: float
    high: float
    q: float = 1
    log: bool = False
    even: bool = False
    """Every step equally likely (`int_uniform`); otherwise a number is drawn first and then rounded."""

    def grid(self) -> list[Any]:
        """All its steps; ValueError on a log scale, as on a W&B server, and where they are too many."""
        if self.log:
            raise ValueError("a log scale has no grid; want values: [...], or method: random or bayes")
        shape = self.shape()
        if shape.high - shape.low >= MOST:
            raise ValueError(f"more than {MOST:,} values for a grid; want values: [...], or method: random")
        return [self.value(step) for step in range(shape.low, shape.high + 1)]

    def shape(self) -> Whole:
        """Which multiple of `q`."""
        return Whole(round(self.low / self.q), round(self.high / self.q), self.log)

    def value(self, proposed: float) -> Any:
        """So many times `q`: a whole number if `q` is."""
        return multiple(int(proposed), self.q)

    def sample(self, rng: np.random.Generator) -> Any:
        """A number of the range, rounded to a multiple of `q`."""
        shape = self.shape()
        if self.even:
            return self.value(int(rng.integers(shape.low, shape.high + 1)))
        return self.value(round(_drawn(self.low, self.high, self.log, rng) / self.q))

    def ends(self) -> list[Any]:
        """The lowest and the highest multiple."""
        return [self.value(self.shape().low), self.value(self.shape().high)]


@dataclass(frozen=True, kw_only=True)
class Range(Parameter):
    """Any number from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def grid(self) -> list[Any]:
        """None; it raises ValueError with the way out."""
        raise ValueError("a range has no grid; want values: [...], or q_uniform with q, or method: random")

    def shape(self) -> Real:
        """The range itself."""
        return Real(self.low, self.high, self.log)

    def value(self, proposed: float) -> float:
        """What was proposed."""
        return float(min(self.high, max(self.low, proposed)))

    def sample(self, rng: np.random.Generator) -> float:
        """Evenly, or evenly on a log scale."""
        return self.value(_drawn(self.low, self.high, self.log, rng))

    def ends(self) -> list[Any]:
        """Both ends."""
        return [float(self.low), float(self.high)]


@dataclass(frozen=True, kw_only=True)
class Bell(Parameter):
    """Normal with mean `mu` and deviation `sigma`, cut at three of them; its exponential with `log`."""

    mu: float
    sigma: float
    log: bool = False
    q: float = 0
    """What the values are multiples of; 0: of nothing."""

    def grid(self) -> list[Any]:
        """None; it raises ValueError with the way out."""
        raise ValueError("a normal distribution has no grid; want values: [...], or method: random")

    def shape(self) -> Real:
        """A quantile: evenly proposed ones are normally distributed values."""
        return Real(TAIL, 1 - TAIL)

    def value(self, proposed: float) -> Any:
        """The value at a quantile."""
        deviation = NormalDist().inv_cdf(min(1 - TAIL, max(TAIL, proposed)))
        raw = self.mu + self.sigma * deviation
        return _rounded(math.exp(raw) if self.log else raw, self.q)

    def sample(self, rng: np.random.Generator) -> Any:
        """The value at a quantile that is drawn evenly."""
        return self.value(rng.uniform(TAIL, 1 - TAIL))

    def ends(self) -> list[Any]:
        """Three sigma below the mean, and three above."""
        return [self.value(0.0), self.value(1.0)]


@dataclass(frozen=True, kw_only=True)
class Beta(Parameter):
    """Beta distributed between 0 and 1; an optimiser takes the interval as even."""

    a: float
    b: float
    q: float = 0
    """What the values are multiples of; 0: of nothing."""

    def grid(self) -> list[Any]:
        """None; it raises ValueError with the way out."""
        raise ValueError("a beta distribution has no grid; want values: [...], or method: random")

    def shape(self) -> Real:
        """The interval from 0 to 1."""
        return Real(0.0, 1.0)

    def value(self, proposed: float) -> Any:
        """What was proposed, short of 0 and 1, rounded if there is a `q`."""
        return _rounded(min(1 - 1e-9, max(1e-9, proposed)), self.q)

    def sample(self, rng: np.random.Generator) -> Any:
        """A number between 0 and 1."""
        return self.value(float(rng.beta(self.a, self.b)))

    def ends(self) -> list[Any]:
        """Nearly 0 and nearly 1."""
        return [self.value(0.0), self.value(1.0)]


def multiple(times: int, q: float) -> Any:
    """So many times `q`, without the dirt of binary fractions; whole if `q` is.

    >>> multiple(3, 0.1), multiple(3, 16)
    (0.3, 48)
    """
    return times * q if isinstance(q, int) else float(Decimal(str(q)) * times)


def _rounded(value: float, q: float) -> Any:
    return multiple(round(value / q), q) if q else float(value)


def _drawn(low: float, high: float, log: bool, rng: np.random.Generator) -> float:
    if log:
        return math.exp(rng.uniform(math.log(low), math.log(high)))
    return float(rng.uniform(low, high))


def count(parameters: Mapping[str, Parameter]) -> int:
    """How many points the grid has; ValueError, naming the parameter, if one has none."""
    return math.prod(len(_values(parameter)) for parameter in parameters.values())


def grid(parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
    """Every point of the grid, the last parameter's value changing fastest; ValueError as `count`."""
    lists = [_values(parameter) for parameter in parameters.values()]
    return (dict(zip(parameters, values, strict=True)) for values in product(*lists))


def _values(parameter: Parameter) -> list[Any]:
    try:
        return parameter.grid()
    except ValueError as error:
        raise ValueError(f"parameters.{parameter.name}: {error}") from None


def sample(parameters: Mapping[str, Parameter], rng: np.random.Generator) -> dict[str, Any]:
    """A point drawn at random."""
    return {name: parameter.sample(rng) for name, parameter in parameters.items()}


def words(point: Point) -> list[str]:
    """A point as words for `twotower train`, spelled as W&B's agent spells them.

    >>> words({"learning_rate": 1e-05, "tied": True, "k": [1, 5]})
    ['learning_rate=1e-05', 'tied=True', 'k=[1, 5]']
    """
    return [f"{name}={value}" for name, value in point.items()]
