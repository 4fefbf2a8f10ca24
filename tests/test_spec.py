import math
import re
from typing import Any

import pytest

from twotower.sweeps import spec
from twotower.sweeps.space import Bell, Beta, Choice, Parameter, Range, Steps


@pytest.mark.parametrize(
    ("content", "made"),
    [
        ({"value": 3}, Choice(name="x", values=(3,))),
        ({"value": [1, 5]}, Choice(name="x", values=([1, 5],))),
        ({"value": 3, "distribution": "constant"}, Choice(name="x", values=(3,))),
        ({"values": [1, "a", True]}, Choice(name="x", values=(1, "a", True))),
        (
            {"values": [1, 2], "probabilities": [0.25, 0.75]},
            Choice(name="x", values=(1, 2), weights=(0.25, 0.75)),
        ),
        (
            {"values": [1, 2], "probabilities": [1, 0], "distribution": "categorical_w_probabilities"},
            Choice(name="x", values=(1, 2), weights=(1, 0)),
        ),
        ({"min": 1, "max": 4}, Steps(name="x", low=1, high=4, even=True)),
        ({"min": 1, "max": 4.0}, Range(name="x", low=1, high=4.0)),
        ({"min": 1, "max": 4, "distribution": "uniform"}, Range(name="x", low=1, high=4)),
        ({"min": 1, "max": 4, "distribution": "int_uniform"}, Steps(name="x", low=1, high=4, even=True)),
        ({"min": 1, "max": 4, "distribution": "q_uniform"}, Steps(name="x", low=1, high=4, q=1)),
        ({"min": 1, "max": 4, "q": 0.5, "distribution": "q_uniform"}, Steps(name="x", low=1, high=4, q=0.5)),
        ({"min": -7, "max": -2, "distribution": "log_uniform"}, (math.exp(-7), math.exp(-2), 0)),
        ({"min": 2, "max": 7, "distribution": "inv_log_uniform"}, (math.exp(-7), math.exp(-2), 0)),
        ({"min": 0.1, "max": 2, "distribution": "log_uniform_values"}, (0.1, 2, 0)),
        ({"min": 0.1, "max": 2, "distribution": "inv_log_uniform_values"}, (0.1, 2, 0)),
        ({"min": 3, "max": 6, "q": 4, "distribution": "q_log_uniform"}, (math.exp(3), math.exp(6), 4)),
        ({"min": 16, "max": 64, "q": 16.0, "distribution": "q_log_uniform_values"}, (16, 64, 16)),
        ({"distribution": "normal", "mu": 1, "sigma": 2}, Bell(name="x", mu=1, sigma=2)),
        ({"distribution": "q_normal", "mu": 9}, Bell(name="x", mu=9, sigma=1.0, q=1)),
        ({"distribution": "log_normal"}, Bell(name="x", mu=0.0, sigma=1.0, log=True)),
        ({"distribution": "q_log_normal", "q": 0.5}, Bell(name="x", mu=0.0, sigma=1.0, log=True, q=0.5)),
        ({"distribution": "beta", "a": 2}, Beta(name="x", a=2, b=1.0)),
        ({"distribution": "q_beta", "q": 0.25}, Beta(name="x", a=1.0, b=1.0, q=0.25)),
    ],
)
def test_every_distribution_of_wandb_is_read(content: dict[str, Any], made: object) -> None:
    read = spec.parameter("x", content)
    if isinstance(made, tuple):  # low, high and step of a log scale
        assert isinstance(read, Range | Steps)
        assert (read.low, read.high, getattr(read, "q", 0)) == pytest.approx(made)
        assert read.log
    else:
        assert read == made


def test_every_distribution_that_can_be_named_is_tried_here() -> None:
    test = test_every_distribution_of_wandb_is_read
    (mark,) = (one for one in test.pytestmark if one.name == "parametrize")
    named = {content.get("distribution") for content, _ in mark.args[1]}
    assert set(spec.DISTRIBUTIONS) - named == {"categorical"}


FAULTY: list[tuple[Any, str]] = [
    (0.1, "got 0.1 alone; write value: 0.1"),
    ([1, 2], "got [1, 2] alone; write values: [1, 2]"),
    ({}, "got nothing; want value, values, or min and max"),
    ({"vals": [1]}, "got vals; want value, values, or min and max; did you mean values?"),
    ({"value": None}, "got null, which no knob takes; leave the parameter out"),
    ({"value": {"a": 1}}, "got {'a': 1}, want a number, a text, true, false or a list of such"),
    ({"value": math.inf}, "got inf, want a finite number"),
    ({"values": 3}, "values: got 3, want a list; write values: [3], or value: 3"),
    ({"values": []}, "values: got an empty list, want at least one value"),
    ({"values": [1], "min": 0}, "min: no key of categorical, which has values, probabilities"),
    ({"values": [1, 2], "probabilities": [1]}, "probabilities: got 1 of them, want 2, one for each value"),
    (
        {"values": [1, 2], "probabilities": [0.5, 0.6]},
        "probabilities: got [0.5, 0.6], want numbers from 0 on",
    ),
    ({"min": 3}, "max: missing, int_uniform needs min and max"),
    ({"min": 3, "max": 1}, "min 3 is above max 1; write min: 1 and max: 3"),
    ({"min": 3, "max": 3}, "min and max are both 3; write value: 3"),
    ({"min": "1", "max": 3}, "min: got '1', want a number"),
    ({"min": 0, "max": 1, "q": 0.1}, "distribution: missing; write distribution: q_uniform"),
    ({"mu": 0}, "distribution: missing; write distribution: normal"),
    ({"min": 0, "max": 1, "distribution": "loguniform"}, "distribution: got 'loguniform', want one of const"),
    ({"min": 0.5, "max": 2, "distribution": "int_uniform"}, "got min 0.5 and max 2, want whole numbers, or"),
    ({"min": 0, "max": 1, "distribution": "log_uniform_values"}, "min: got 0, want above 0 on a log scale"),
    (
        {"min": 1e-4, "max": 0.1, "distribution": "log_uniform"},
        "log_uniform takes exponents, and e**0.0001 to e**0.1 cannot be meant; write distribution: "
        "log_uniform_values",
    ),
    ({"min": 16, "max": 512, "distribution": "q_log_uniform"}, "q_log_uniform takes exponents, and e**16 to"),
    ({"min": 1, "max": 3, "q": 0, "distribution": "q_uniform"}, "q: got 0, want above 0, the step"),
    (
        {"min": 1, "max": 3, "q": 9, "distribution": "q_uniform"},
        "q: 9 is too coarse, it makes 0 of 1; want a",
    ),
    ({"min": 3, "max": 99, "q": 9, "distribution": "q_log_uniform_values"}, "q: 9 is too coarse, it makes 0"),
    ({"distribution": "normal", "sigma": 0}, "sigma: got 0, want above 0; or write value: 0"),
    ({"distribution": "log_normal", "mu": 256}, "log_normal takes the mean of the logarithm, e**256 cannot"),
    ({"distribution": "beta", "a": 0}, "got a 0 and b 1.0, want both above 0"),
]


@pytest.mark.parametrize(("content", "says"), FAULTY, ids=[says[:40] for _, says in FAULTY])
def test_what_cannot_be_meant_says_what_to_write(content: Any, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        spec.parameter("x", content)


def test_a_misspelt_distribution_is_guessed() -> None:
    with pytest.raises(ValueError, match=r"did you mean log_uniform\?$"):
        spec.parameter("x", {"min": 0, "max": 1, "distribution": "loguniform"})


def test_a_parameter_knows_its_name() -> None:
    made: Parameter = spec.parameter("query_tower.dropout", {"min": 0.0, "max": 0.5})
    assert made.name == "query_tower.dropout"
