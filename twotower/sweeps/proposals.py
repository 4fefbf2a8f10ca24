"""Which configuration next, and which trial is not worth going on with.

    grid    every point once, in the file's order           random  W&B's own distributions
    bayes   Optuna's TPE over the shapes of `space`         bands   successive halving, as W&B stops runs

The study lies in a journal file or a database, which several processes on several machines may share. A
trial's configuration is claimed in it, by its hash, before it runs: none is run twice. All that is random
follows from the seed and the number of the trial, so a sweep that is continued does not repeat itself.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from twotower import show
from twotower.sweeps import samplers, space
from twotower.sweeps.file import Method, Sweep
from twotower.sweeps.folder import Trial
from twotower.sweeps.space import Options, Parameter, Point, Whole

FEW = 10
"""Proposals in a row that were run before, after which a bayes sweep draws at random."""
REPEATS = 100
"""And after which a sweep ends, for there is hardly anything new to find."""
CLAIM, VOID = "claim", "void"
"""What a trial says in the study: whose and of which configuration it is; why it does not count."""


@dataclass(frozen=True)
class Place:
    """Where a sweep's study is kept, and who asks it."""

    storage: str
    """A URL, or a path of a journal file."""
    name: str
    worker: str
    seed: int


class Proposals:
    """The study of one sweep, as one of its workers sees it."""

    def __init__(self, sweep: Sweep, place: Place, key: Callable[[Point], str]) -> None:
        """`key` is the hash of the configuration that a point stands for."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.place, self._key = sweep, place, key
        self.maximised = sweep.metric is None or sweep.metric.maximised
        self.swept: Mapping[str, Parameter] = {
            name: one for name, one in sweep.parameters.items() if len(one.ends()) > 1
        }
        self._constant = {
            name: one.ends()[0] for name, one in sweep.parameters.items() if len(one.ends()) == 1
        }
        self._distributions = {name: samplers.distribution(one) for name, one in self.swept.items()}
        self._size = _size(self.swept)
        self._grid = _different(sweep, key) if sweep.method is Method.grid else {}
        pruner = (
            samplers.Bands(sweep.early, maximised=self.maximised)
            if sweep.early
            else optuna.pruners.NopPruner()
        )
        self.study = optuna.create_study(
            storage=_storage(place.storage),
            study_name=place.name,
            direction="maximize" if self.maximised else "minimize",
            pruner=pruner,
            load_if_exists=True,
        )
        self._going: dict[int, optuna.Trial] = {}

    @property
    def total(self) -> int:
        """How many trials the sweep has in the end; 0 where it is not known."""
        cap, points = self.sweep.run_cap, len(self._grid)
        return min(cap or points, points) if points else cap

    def trials(self) -> list[FrozenTrial]:
        """Those that count, in order."""
        every = self.study.get_trials(deepcopy=False)
        return [one for one in every if CLAIM in one.user_attrs and VOID not in one.user_attrs]

    def next(self) -> Trial | None:
        """A configuration that nobody has run; None where there is none left, or the cap is reached."""
        for repeats in range(REPEATS):
            known = {one.user_attrs[CLAIM]["key"]: one for one in self.trials()}
            sampler = self._sampler(set(known), repeats)
            if sampler is None or any(0 < limit <= len(known) for limit in (self.sweep.run_cap, self._size)):
                return None
            self.study.sampler = sampler
            asked = self.study.ask(self._distributions)
            point = self._point(asked.params)
            key = self._key(point)
            if key in known:
                self._repeat(asked, known[key])
            elif self._claimed(asked, key):
                self._going[asked.number] = asked
                return Trial(asked.number, point, key)
        show.talk(f"{REPEATS} proposals in a row were run before: there is hardly anything new to find")
        return None

    def mine(self) -> list[int]:
        """Numbers of the trials that this worker has claimed and that have not ended."""
        return [
            one.number
            for one in self.trials()
            if one.state is TrialState.RUNNING and one.user_attrs[CLAIM]["worker"] == self.place.worker
        ]

    def take_up(self, number: int) -> None:
        """Go on with a trial that was interrupted."""
        (frozen,) = [one for one in self.trials() if one.number == number]
        self.study.sampler = samplers.Given({})
        self._going[number] = optuna.Trial(self.study, frozen._trial_id)

    def report(self, number: int, step: int, value: float) -> bool:
        """The trial's evaluation number `step`, from 1 on; whether the trial should be stopped."""
        trial = self._going[number]
        known = self.study.get_trials(deepcopy=False)[number].intermediate_values
        if step not in known:  # a trial that goes on tells again what it told before
            trial.report(value, step)
        return trial.should_prune()

    def done(self, number: int, value: float) -> None:
        """A trial came to its end."""
        self._tell(number, TrialState.COMPLETE, value)

    def pruned(self, number: int) -> None:
        """A trial was stopped early."""
        self._tell(number, TrialState.PRUNED)

    def failed(self, number: int) -> None:
        """A trial came to nothing, and is not tried again."""
        self._tell(number, TrialState.FAIL)

    def void(self, number: int, why: str) -> None:
        """A trial that never began; its configuration is free again."""
        self._storage_of_study.set_trial_user_attr(self._id(number), VOID, why)
        self._tell(number, TrialState.FAIL)

    def importance(self) -> dict[str, float]:
        """The share of each swept knob in what made trials good, the largest first; empty for few trials.

        PED-ANOVA (Watanabe et al., 2023): which knobs tell the best tenth of the trials from the rest.
        """
        done = [one for one in self.trials() if one.state is TrialState.COMPLETE]
        different = [name for name in self._distributions if len({one.params[name] for one in done}) > 1]
        if len(done) < 10 or len(different) < 2 or len({one.value for one in done}) < 2:
            return {}
        counted = optuna.create_study(direction=self.study.direction)
        counted.add_trials(done)
        found = optuna.importance.get_param_importances(
            counted, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), params=different
        )
        return {name: float(share) for name, share in found.items()}

    @property
    def _storage_of_study(self) -> optuna.storages.BaseStorage:
        return self.study._storage

    def _id(self, number: int) -> int:
        return int(self.study.get_trials(deepcopy=False)[number]._trial_id)

    def _tell(self, number: int, state: TrialState, value: float | None = None) -> None:
        self._going.pop(number, None)
        self.study.tell(number, value, state=state, skip_if_finished=True)

    def _sampler(self, known: set[str], repeats: int) -> BaseSampler | None:
        """Who makes the next proposal; None where a grid is done."""
        number = len(self.study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self.place.seed, number]).generate_state(1)[0])
        match self.sweep.method:
            case Method.grid:
                point = next((point for key, point in self._grid.items() if key not in known), None)
                return None if point is None else self._given(point)
            case Method.bayes if repeats < FEW:
                return TPESampler(seed=seed, multivariate=True, constant_liar=True)
        return self._given(space.sample(self.swept, np.random.default_rng(seed)))

    def _given(self, point: Point) -> samplers.Given:
        return samplers.Given({name: samplers.proposed(one, point[name]) for name, one in self.swept.items()})

    def _point(self, params: Point) -> dict[str, Any]:
        """What is proposed as the values of knobs, in the file's order."""
        return {
            name: self._constant[name] if name in self._constant else one.value(params[name])
            for name, one in self.sweep.parameters.items()
        }

    def _claimed(self, trial: optuna.Trial, key: str) -> bool:
        """Claim a configuration; where another worker did at the same time, neither has it.

        Each claims first and looks then, so of two that claim at least one sees the other's.
        """
        trial.set_user_attr(CLAIM, {"key": key, "worker": self.place.worker})
        rivals = [one for one in self.trials() if one.user_attrs[CLAIM]["key"] == key]
        if [one.number for one in rivals] == [trial.number]:
            return True
        self.void(trial.number, "claimed by another worker")
        time.sleep(random.uniform(0, 0.2))  # or they would meet again
        return False

    def _repeat(self, trial: optuna.Trial, known: FrozenTrial) -> None:
        """A configuration was proposed again: what it came to is told, and it is not run."""
        trial.set_user_attr(VOID, f"as trial {known.number}")
        finished = known.state is TrialState.COMPLETE
        self._tell(
            trial.number,
            TrialState.COMPLETE if finished else TrialState.FAIL,
            known.value if finished else None,
        )


def _swept(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Those with more than one value."""
    return {name: one for name, one in parameters.items() if len(one.ends()) > 1}


def _size(parameters: Mapping[str, Parameter]) -> int:
    """How many points there are; 0 where they are not finitely many."""
    size = 1
    for shape in (parameter.shape() for parameter in parameters.values()):
        match shape:
            case Options(count):
                size *= count
            case Whole(low, high):
                size *= high - low + 1
            case _:
                return 0
    return size


def _different(sweep: Sweep, key: Callable[[Point], str]) -> dict[str, Point]:
    """The points of a grid that are different configurations, by their hashes."""
    made: dict[str, Point] = {}
    for point in space.grid(sweep.parameters):
        made.setdefault(key(point), point)
    return made


def _storage(storage: str) -> Any:
    """A URL as it is, a path as a journal file. Raises OSError where its folder is missing."""
    if "://" in storage:
        return storage
    path = Path(storage)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"storage: {path.parent}: no such folder")
    return JournalStorage(JournalFileBackend(storage))
