"""A parameter as a W&B sweep file writes it, to what `space` knows.

    {min: 16, max: 512, distribution: q_log_uniform_values, q: 16}  ->  Steps(16, 512, q=16, log=True)
    {min: -7, max: -2, distribution: log_uniform}                   ->  Range(e**-7, e**-2, log=True)

Without a `distribution`: `value` is a constant, `values` a choice, two whole numbers `int_uniform`, other
`min` and `max` `uniform`. Every ValueError says what to write instead.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from twotower import knobs
from twotower.sweeps.space import Bell, Beta, Choice, Parameter, Range, Steps

_BELL: Mapping[str, Any] = {"mu": 0.0, "sigma": 1.0}
_KEYS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "constant": ({"value": None}, {}),
    "categorical": ({"values": None}, {"probabilities": None}),
    "categorical_w_probabilities": ({"values": None, "probabilities": None}, {}),
    **dict.fromkeys(
        ("int_uniform", "uniform", "log_uniform", "log_uniform_values"), ({"min": 0, "max": 0}, {})
    ),
    **dict.fromkeys(("inv_log_uniform", "inv_log_uniform_values"), ({"min": 0, "max": 0}, {})),
    **dict.fromkeys(("q_uniform", "q_log_uniform", "q_log_uniform_values"), ({"min": 0, "max": 0}, {"q": 1})),
    **dict.fromkeys(("normal", "log_normal"), ({}, _BELL)),
    **dict.fromkeys(("q_normal", "q_log_normal"), ({}, {**_BELL, "q": 1})),
    "beta": ({}, {"a": 1.0, "b": 1.0}),
    "q_beta": ({}, {"a": 1.0, "b": 1.0, "q": 1}),
}
"""Every distribution of W&B: the keys that it needs, and those it may have with their defaults."""

DISTRIBUTIONS = tuple(_KEYS)


def parameter(name: str, content: Any) -> Parameter:
    """The parameter that one entry of `parameters` describes.

    >>> parameter("dim", {"values": [64, 128]})
    Choice(name='dim', values=(64, 128), weights=())

    Raises:
        ValueError: something of it cannot be meant; the line says what to write.
    """
    if not isinstance(content, Mapping):
        key = "values" if isinstance(content, list) else "value"
        raise ValueError(f"got {content!r} alone; write {key}: {content}")
    distribution = _distribution(content)
    keys = _keys(distribution, content)
    if distribution in ("constant", "categorical", "categorical_w_probabilities"):
        return _choice(name, keys)
    numbers = {key: _number(key, value) for key, value in keys.items()}
    if "q" in numbers and numbers["q"] <= 0:
        raise ValueError(f"q: got {numbers['q']}, want above 0, the step between values")
    if distribution.endswith("normal"):
        return _bell(name, distribution, numbers)
    if distribution.endswith("beta"):
        return _beta(name, numbers)
    return _range(name, distribution, numbers)


def _distribution(content: Mapping[str, Any]) -> str:
    """The one that is named, or that W&B takes where none is."""
    named = content.get("distribution")
    if named is not None:
        if named not in _KEYS:
            near = knobs.nearest(str(named), DISTRIBUTIONS)
            raise ValueError(f"distribution: got {named!r}, want one of {', '.join(DISTRIBUTIONS)}{near}")
        return str(named)
    if "value" in content:
        return "constant"
    if "values" in content:
        return "categorical"
    ways = {"q": "q_uniform", "mu": "normal", "sigma": "normal", "a": "beta", "b": "beta"}
    if said := [way for key, way in ways.items() if key in content]:
        raise ValueError(f"distribution: missing; write distribution: {said[0]}, or another of W&B's")
    if content.keys() & {"min", "max"}:
        whole = all(type(content.get(key, 0)) is int for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    have = ", ".join(map(str, content)) or "nothing"
    known = {key for keys in _KEYS.values() for key in (*keys[0], *keys[1])} | {"distribution", "parameters"}
    near = next((hint for key in content if (hint := knobs.nearest(str(key), sorted(known)))), "")
    raise ValueError(f"got {have}; want value, values, or min and max{near}")


def _keys(distribution: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a distribution, defaults filled in."""
    needed, free = _KEYS[distribution]
    known = [*needed, *free, "distribution"]
    if strange := [key for key in content if key not in known]:
        near = knobs.nearest(str(strange[0]), known)
        raise ValueError(f"{strange[0]}: no key of {distribution}, which has {', '.join(known[:-1])}{near}")
    if lacking := [key for key in needed if key not in content]:
        raise ValueError(f"{lacking[0]}: missing, {distribution} needs {' and '.join(needed)}")
    return {key: content.get(key, free.get(key)) for key in known[:-1]}


def _choice(name: str, keys: Mapping[str, Any]) -> Choice:
    values = [keys["value"]] if "value" in keys else keys["values"]
    if not isinstance(values, list):
        raise ValueError(f"values: got {values!r}, want a list; write values: [{values}], or value: {values}")
    if not values:
        raise ValueError("values: got an empty list, want at least one value")
    for value in values:
        _check_value(value)
    weights = keys.get("probabilities")
    return Choice(
        name=name, values=tuple(values), weights=() if weights is None else _weights(weights, values)
    )


def _check_value(value: Any) -> None:
    """Raises ValueError for what no knob can be set to."""
    if value is None:
        raise ValueError("got null, which no knob takes; leave the parameter out to have the default")
    if isinstance(value, list):
        for item in value:
            _check_value(item)
    elif not isinstance(value, str | bool | int | float):
        raise ValueError(f"got {value!r}, want a number, a text, true, false or a list of such")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"got {value}, want a finite number")


def _weights(given: Any, values: Sequence[Any]) -> tuple[float, ...]:
    if not isinstance(given, list) or len(given) != len(values):
        got = f"{len(given)} of them" if isinstance(given, list) else repr(given)
        raise ValueError(f"probabilities: got {got}, want {len(values)}, one for each value")
    weights = [_number("probabilities", weight) for weight in given]
    total = sum(weights)
    if min(weights) < 0 or abs(total - 1) > 1e-6:
        raise ValueError(f"probabilities: got {given}, want numbers from 0 on that sum to 1")
    return tuple(weight / total for weight in weights)


def _number(key: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key}: got {value!r}, want a number")
    return value


def _range(name: str, distribution: str, numbers: Mapping[str, Any]) -> Parameter:
    low, high = numbers["min"], numbers["max"]
    if low > high:
        raise ValueError(f"min {low} is above max {high}; write min: {high} and max: {low}")
    if low == high:
        raise ValueError(f"min and max are both {low}; write value: {low}")
    log = "log" in distribution
    if log:
        low, high = _on_log_scale(distribution, low, high)
    q = numbers.get("q")
    if distribution == "int_uniform":
        if not isinstance(low, int) or not isinstance(high, int):
            raise ValueError(f"got min {low} and max {high}, want whole numbers, or distribution: uniform")
        return Steps(name=name, low=low, high=high, even=True)
    if q is None:
        return Range(name=name, low=low, high=high, log=log)
    made = Steps(name=name, low=low, high=high, q=_plain(q), log=log)
    if made.shape().low == made.shape().high or (log and made.shape().low < 1):
        raise ValueError(f"q: {q} is too coarse, it makes {made.ends()[0]} of {low:g}; want a smaller q")
    return made


def _plain(q: float) -> float:
    """A whole step as an `int`, so that the values are whole numbers too."""
    return int(q) if float(q).is_integer() else q


def _on_log_scale(distribution: str, low: float, high: float) -> tuple[float, float]:
    """The values themselves: without `_values` in their name, W&B's distributions take exponents of e."""
    want = f"{distribution}_values"
    if distribution.endswith("_values"):
        if low <= 0:
            raise ValueError(f"min: got {low}, want above 0 on a log scale")
        return low, high
    if abs(low) > 50 or abs(high) > 50 or 0 < low < high <= 1:
        raise ValueError(
            f"{distribution} takes exponents, and e**{low} to e**{high} cannot be meant; "
            f"write distribution: {want}"
        )
    if distribution.startswith("inv"):  # 1/x is log-uniform between e**min and e**max
        return math.exp(-high), math.exp(-low)
    return math.exp(low), math.exp(high)


def _bell(name: str, distribution: str, numbers: Mapping[str, Any]) -> Bell:
    mu, sigma, log = numbers["mu"], numbers["sigma"], "log" in distribution
    if sigma <= 0:
        raise ValueError(f"sigma: got {sigma}, want above 0; or write value: {math.exp(mu) if log else mu:g}")
    if log and abs(mu) + 3 * sigma > 50:
        raise ValueError(f"{distribution} takes the mean of the logarithm, e**{mu} cannot be meant")
    return Bell(name=name, mu=mu, sigma=sigma, log=log, q=_plain(numbers.get("q", 0)))


def _beta(name: str, numbers: Mapping[str, Any]) -> Beta:
    if min(numbers["a"], numbers["b"]) <= 0:
        raise ValueError(f"got a {numbers['a']} and b {numbers['b']}, want both above 0")
    return Beta(name=name, a=numbers["a"], b=numbers["b"], q=_plain(numbers.get("q", 0)))
