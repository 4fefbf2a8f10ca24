"""Parameters, points and early stopping in Optuna's words.

Steps(16, 512, q=16)  ->  IntDistribution(1, 32)        48  ->  3
"""

import math
from statistics import NormalDist
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from twotower.sweeps import space
from twotower.sweeps.file import Hyperband
from twotower.sweeps.space import Bell, Choice, Options, Parameter, Real, Steps, Whole


class Bands(BasePruner):
    """Stops a trial that at one of the bands is not among the best 1/eta of those that came so far.

    Successive halving without waiting: Li et al., A System for Massively Parallel Hyperparameter Tuning,
    2020, algorithm 2; with the bands that W&B computes. The first to reach a band goes on.
    """

    def __init__(self, early: Hyperband, *, maximised: bool) -> None:
        self.early, self.sign = early, 1 if maximised else -1
        self.bands = early.bands(10**6)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial, which has just been evaluated, should stop."""
        step = trial.last_step
        if step not in self.bands:
            return False
        there = [one for one in study.get_trials(deepcopy=False) if (one.last_step or 0) >= step]
        values = sorted((self._best(one, step) for one in there), reverse=True)
        share = len(values) / self.early.eta
        kept = max(1, math.floor(share) if self.early.strict else math.ceil(share))
        return self._best(trial, step) < values[min(kept, len(values)) - 1]

    def _best(self, trial: FrozenTrial, step: int) -> float:
        """The best that the trial had found by then; more is better."""
        return max(self.sign * value for at, value in trial.intermediate_values.items() if at <= step)


class Given(BaseSampler):
    """Proposes what it is given."""

    def __init__(self, params: dict[str, Any]) -> None:
        self._params = params

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: parameters do not depend on each other."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What was given for this parameter."""
        return self._params[param_name]


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna is to propose for a parameter."""
    match parameter.shape():
        case Options(count):
            return CategoricalDistribution(range(count))
        case Whole(low, high, log):
            return IntDistribution(low, high, log=log)
        case Real(low, high, log):
            return FloatDistribution(low, high, log=log)


def proposed(parameter: Parameter, value: Any) -> Any:
    """What is to be proposed for a value: the inverse of `Parameter.value`."""
    match parameter:
        case Choice():
            return list(parameter.values).index(value)
        case Steps():
            return round(value / parameter.q)
        case Bell():
            raw = value if not parameter.log else math.log(value) if value > 0 else -math.inf
            quantile = NormalDist(parameter.mu, parameter.sigma).cdf(raw)
            return min(1 - space.TAIL, max(space.TAIL, quantile))
    return value
