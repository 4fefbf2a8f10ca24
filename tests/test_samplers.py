from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from twotower.sweeps import samplers, spec
from twotower.sweeps.file import Hyperband


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ({"values": ["a", "b"]}, CategoricalDistribution(range(2))),
        ({"min": 1, "max": 9}, IntDistribution(1, 9)),
        ({"min": 16, "max": 512, "distribution": "q_uniform", "q": 16}, IntDistribution(1, 32)),
        ({"min": 0.1, "max": 1.0}, FloatDistribution(0.1, 1.0)),
        (
            {"min": 0.1, "max": 1.0, "distribution": "log_uniform_values"},
            FloatDistribution(0.1, 1.0, log=True),
        ),
    ],
)
def test_a_parameter_in_optunas_words(content: dict[str, Any], want: Any) -> None:
    assert samplers.distribution(spec.parameter("dim", content)) == want


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ({"values": ["a", [1, 2]]}, [1, 2]),
        ({"min": 16, "max": 512, "distribution": "q_uniform", "q": 16}, 48),
        ({"min": 0.1, "max": 1.0}, 0.3),
        ({"mu": 2.0, "sigma": 1.0, "distribution": "normal"}, 2.5),
        ({"mu": 1.0, "sigma": 1.0, "distribution": "log_normal"}, 2.5),
        ({"distribution": "beta"}, 0.25),
    ],
)
def test_what_is_proposed_for_a_value_comes_out_as_that_value(content: dict[str, Any], value: Any) -> None:
    parameter = spec.parameter("dim", content)
    made = parameter.value(samplers.proposed(parameter, value))
    assert made == (pytest.approx(value) if isinstance(value, float) else value)


def stopped(early: Hyperband, histories: list[list[float]], *, maximised: bool = True) -> list[int]:
    """After how many evaluations each trial was stopped, one trial after another; 0: it was not."""
    study = optuna.create_study(pruner=samplers.Bands(early, maximised=maximised))
    found = []
    for values in histories:
        trial = study.ask()
        found.append(0)
        for step, value in enumerate(values, start=1):
            trial.report(value, step)
            if trial.should_prune():
                found[-1] = step
                break
    return found


def test_at_each_band_only_the_best_third_goes_on() -> None:
    early = Hyperband(min_iter=2, eta=3.0)  # bands at 2, 6, 18
    flat = [[0.5] * 7, [0.4] * 7, [0.6] * 7, [0.55] * 7, [0.1, 0.7, 0, 0, 0, 0, 0]]
    # the best so far goes on, at 2 and at 6; the last has its 0.7 in time, and keeps it
    assert stopped(early, flat) == [0, 2, 0, 2, 0]


def test_less_strict_is_more_generous() -> None:
    flat = [[0.5] * 3, [0.6] * 3, [0.7] * 3, [0.65] * 3]
    # of four, the best 4 / 3: one when strict, two when not
    assert stopped(Hyperband(min_iter=2, eta=3.0), flat)[3] == 2
    assert stopped(Hyperband(min_iter=2, eta=3.0, strict=False), flat)[3] == 0


def test_a_loss_is_stopped_where_it_is_high() -> None:
    assert stopped(Hyperband(min_iter=1), [[0.5], [0.9], [0.1]], maximised=False) == [0, 1, 0]
