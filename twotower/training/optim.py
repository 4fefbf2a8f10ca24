"""Optimizer and learning-rate schedule from their knobs."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from twotower.config import Optimizer, Scheduler, Train
from twotower.training.history import Row, drops


def build(cfg: Train, rates: Mapping[str, float], *modules: nn.Module) -> torch.optim.Optimizer:
    """One optimizer over all trainable parameters; `rates` multiply the learning rate, 1 if left out.

    The towers' matrices decay; vectors, and word tables, of which a batch holds few rows, do not.
    """
    named = {
        id(p): (name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named.values():
        decays = parameter.ndim > 1 and not name.startswith(("words.", "doc_words."))
        groups.setdefault((rates.get(name, 1.0), cfg.weight_decay if decays else 0.0), []).append(parameter)
    settings = [
        {"params": parameters, "lr": cfg.learning_rate * rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    fused = all(parameter.device.type in ("cpu", "cuda") for _, parameter in named.values())
    match cfg.optimizer:
        case Optimizer.adamw:
            return torch.optim.AdamW(settings, betas=(cfg.beta1, cfg.beta2), fused=fused)
        case Optimizer.adam:
            return torch.optim.Adam(settings, betas=(cfg.beta1, cfg.beta2), fused=fused)
        case Optimizer.sgd:
            return torch.optim.SGD(settings, momentum=cfg.beta1, fused=fused)


class Schedule:
    """The learning rate, set in the optimizer before each step: a course over the steps, and drops.

    Its state is the number of steps taken and, for `plateau`, what the history says; nothing else.
    """

    def __init__(self, cfg: Train, optimizer: torch.optim.Optimizer, epoch_steps: int) -> None:
        """`epoch_steps` is the number of steps of an epoch."""
        self._cfg, self._groups, self._drops = cfg, optimizer.param_groups, 0
        self._peaks = [float(group["lr"]) for group in self._groups]
        steps = cfg.epochs * epoch_steps
        self._course = course(
            cfg.scheduler,
            steps=steps,
            warmup=round(cfg.warmup * steps),
            every=cfg.step_size * epoch_steps,
            gamma=cfg.gamma,
        )
        self.taken = 0
        """Steps taken so far."""
        self._set()

    @property
    def factor(self) -> float:
        """What each group's learning rate is times, in the next step."""
        return self._course(self.taken) * float(self._cfg.gamma**self._drops)

    def step(self) -> None:
        """A step was taken."""
        self.taken += 1
        self._set()

    def follow(self, history: Sequence[Row]) -> None:
        """Between epochs: `plateau` lowers the rate as often as the evaluations so far say."""
        if self._cfg.scheduler is Scheduler.plateau:
            self._drops = drops(history, self._cfg.select, self._cfg.plateau_patience)
            self._set()

    def _set(self) -> None:
        for group, peak in zip(self._groups, self._peaks, strict=True):
            group["lr"] = peak * self.factor


def course(
    scheduler: Scheduler, *, steps: int, warmup: int, every: int = 1, gamma: float = 1.0
) -> Callable[[int], float]:
    """Step (from 0) to the factor of the learning rate, which rises to 1 over `warmup` steps.

    Then cosine and linear end near 0; `step` is times `gamma` after every so many steps, counted from the
    first; constant and plateau stay, for the latter's drops depend on the evaluations.

    >>> [round(course(Scheduler.linear, steps=6, warmup=2)(step), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
        done = min(1.0, max(0, step - warmup) / max(1, steps - warmup))
        match scheduler:
            case Scheduler.cosine:
                return rise * 0.5 * (1 + math.cos(math.pi * done))
            case Scheduler.linear:
                return rise * (1 - done)
            case Scheduler.step:
                return float(rise * gamma ** (step // max(1, every)))
            case Scheduler.constant | Scheduler.plateau:
                return rise

    return factor
