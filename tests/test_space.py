import math
from collections import Counter
from statistics import NormalDist, fmean

import numpy as np
import pytest

from twotower.sweeps import space
from twotower.sweeps.space import Bell, Beta, Choice, Options, Parameter, Range, Real, Steps, Whole

EVERY: list[Parameter] = [
    Choice(name="x", values=[64, 128, 256]),
    Choice(name="x", values=["mlp", "gru"], weights=[0.25, 0.75]),
    Steps(name="x", low=1, high=6, even=True),
    Steps(name="x", low=0.1, high=0.5, q=0.1),
    Steps(name="x", low=16, high=512, q=16, log=True),
    Range(name="x", low=0.0, high=0.5),
    Range(name="x", low=1e-4, high=1e-2, log=True),
    Bell(name="x", mu=0.0, sigma=2.0),
    Bell(name="x", mu=0.0, sigma=1.0, log=True, q=0.5),
    Beta(name="x", a=2.0, b=5.0),
    Beta(name="x", a=2.0, b=5.0, q=0.25),
]


def drawn(parameter: Parameter, number: int = 2_000) -> list[float]:
    rng = np.random.default_rng(0)
    return [parameter.sample(rng) for _ in range(number)]


def proposals(parameter: Parameter) -> list[float]:
    match parameter.shape():
        case Options(count):
            return list(range(count))
        case Whole(low, high):
            return list(range(low, high + 1))
        case Real(low, high):
            return np.linspace(low, high, 50).tolist()


@pytest.mark.parametrize("parameter", EVERY, ids=str)
def test_what_is_sampled_and_what_is_proposed_lie_between_the_ends_that_are_checked(
    parameter: Parameter,
) -> None:
    made = [*drawn(parameter, 500), *map(parameter.value, proposals(parameter))]
    ends = parameter.ends()
    if isinstance(parameter, Choice):
        assert set(made) == set(ends)
    else:
        assert all(ends[0] <= value <= ends[-1] for value in made)
    assert {type(value) for value in made} == {type(ends[0])}


@pytest.mark.parametrize("parameter", EVERY, ids=str)
def test_one_seed_decides_what_is_sampled(parameter: Parameter) -> None:
    assert drawn(parameter, 20) == drawn(parameter, 20)


@pytest.mark.parametrize("parameter", [one for one in EVERY if not isinstance(one, Choice)], ids=str)
def test_the_ends_are_plain_numbers(parameter: Parameter) -> None:
    assert {type(end) for end in parameter.ends()} <= {int, float}


def test_weights_are_how_often_a_value_is_drawn() -> None:
    assert Counter(drawn(EVERY[1]))["gru"] == pytest.approx(1500, abs=60)  # three sigma are 58


def test_a_log_scale_is_even_in_the_logarithm() -> None:
    values = drawn(EVERY[6])
    assert fmean(map(math.log10, values)) == pytest.approx(
        -3, abs=0.04
    )  # sigma 2/sqrt(12)/sqrt(2000) = 0.013


def test_steps_are_multiples_and_whole_where_the_step_is() -> None:
    assert EVERY[3].grid() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert EVERY[2].grid() == [1, 2, 3, 4, 5, 6]
    assert EVERY[4].shape() == Whole(1, 32, log=True)
    assert {value % 16 for value in drawn(EVERY[4])} == {0}


def test_whole_numbers_are_all_alike_in_int_uniform_and_half_as_likely_at_the_ends_of_q_uniform() -> None:
    even = Counter(drawn(EVERY[2], 6_000))
    rounded = Counter(drawn(Steps(name="x", low=1, high=6), 5_000))
    assert all(even[value] == pytest.approx(1000, abs=120) for value in range(1, 7))
    # 1.0 to 1.5 rounds to 1, 1.5 to 2.5 to 2: shares 0.5 and 1 of 5
    assert [rounded[1], rounded[2]] == pytest.approx([500, 1000], abs=120)


def test_even_quantiles_of_a_bell_are_normally_distributed() -> None:
    values = [Bell(name="x", mu=3.0, sigma=2.0).value(one) for one in (0.16, 0.5, 0.84)]
    assert values == pytest.approx([3 - 2 * 0.9945, 3.0, 3 + 2 * 0.9945], abs=1e-3)  # the 84th percentile
    assert Bell(name="x", mu=0.0, sigma=1.0).ends() == pytest.approx([-3.0, 3.0])
    assert NormalDist().cdf(-3.0) == space.TAIL


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        (Range(name="x", low=0.0, high=1.0), "a range has no grid; want values"),
        (Steps(name="x", low=16, high=512, q=16, log=True), "a log scale has no grid; want values"),
        (Steps(name="x", low=0, high=10**9), "more than 10,000 values for a grid; want values"),
        (Bell(name="x", mu=0.0, sigma=1.0), "a normal distribution has no grid; want values"),
        (Beta(name="x", a=1.0, b=1.0), "a beta distribution has no grid; want values"),
        (Choice(name="x", values=[1, 2], weights=[0.5, 0.5]), "probabilities mean nothing to method: grid"),
    ],
)
def test_what_has_no_grid_says_so_and_how_it_gets_one(parameter: Parameter, says: str) -> None:
    with pytest.raises(ValueError, match=rf"^parameters\.x: {says}"):
        space.count({"x": parameter})


def test_a_grid_is_every_combination_once_the_last_changing_fastest() -> None:
    parameters = {"a": Choice(name="a", values=[1, 2]), "b": Choice(name="b", values=["x", "y"])}
    points = [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    assert list(space.grid(parameters)) == points
    assert space.count(parameters) == 4


def test_a_sampled_point_has_every_parameter() -> None:
    parameters = {"a": EVERY[0], "b": EVERY[5]}
    point = space.sample(parameters, np.random.default_rng(0))
    assert list(point) == ["a", "b"]
    assert point["a"] in (64, 128, 256)


def test_words_are_those_of_the_agent_of_wandb() -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    point = {"learning_rate": 1e-05, "tied": False, "k": [1, 5], "query_tower": "gru", "data.packages": ["a"]}
    sent = create_sweep_command_args({"args": {name: {"value": value} for name, value in point.items()}})
    assert space.words(point) == sent["args_no_hyphens"]
