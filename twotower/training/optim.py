"""Optimizer and learning-rate schedule from their knobs."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from twotower.config import Optimizer, Scheduler, Train
from twotower.training.history import Row, drops

ROW_A_WORD = (".vectors", ".word_weights")
"""How the names of parameters end that have one row a word."""


def build(cfg: Train, rates: Mapping[str, float], *modules: nn.Module) -> torch.optim.Optimizer:
    """One optimizer over all trainable parameters; `rates` multiply the learning rate, 1 if left out.

    The towers' matrices decay; vectors, and word tables, of which a batch holds few rows, do not. With
    `sparse_words` what has a row a word is left to `build_rows`.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in _named(*modules):
        if cfg.sparse_words and name.endswith(ROW_A_WORD):
            continue
        decays = parameter.ndim > 1 and not name.startswith(("words.", "doc_words."))
        groups.setdefault((rates.get(name, 1.0), cfg.weight_decay if decays else 0.0), []).append(parameter)
    settings = [
        {"params": parameters, "lr": cfg.learning_rate * rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    fused = all(parameter.device.type in ("cpu", "cuda") for _, parameter in _named(*modules))
    match cfg.optimizer:
        case Optimizer.adamw:
            return torch.optim.AdamW(settings, betas=(cfg.beta1, cfg.beta2), fused=fused)
        case Optimizer.adam:
            return torch.optim.Adam(settings, betas=(cfg.beta1, cfg.beta2), fused=fused)
        case Optimizer.sgd:
            # fused, it wants all momenta from the first step on, and frozen words come later
            return torch.optim.SGD(settings, momentum=cfg.beta1, fused=fused and cfg.freeze_epochs < 1)


def build_rows(cfg: Train, rates: Mapping[str, float], *modules: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of what has a row a word, with sparse gradients: rows without one stay as they are.

    A row's moments decay only in the steps that hold its word; sgd has no momentum here.
    """
    settings = [
        {"params": [parameter], "lr": cfg.learning_rate * rates.get(name, 1.0)}
        for name, parameter in _named(*modules)
        if name.endswith(ROW_A_WORD)
    ]
    if cfg.optimizer is Optimizer.sgd:
        return torch.optim.SGD(settings, foreach=False)
    return torch.optim.SparseAdam(settings, betas=(cfg.beta1, cfg.beta2))


def clip(optimizers: Sequence[torch.optim.Optimizer], most: float) -> None:
    """Scale the gradients of all parameters together to a norm of at most `most`; sparse ones count too."""
    owners = [p for one in optimizers for group in one.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_([_dense(owner) for owner in owners], most)


def _dense(parameter: nn.Parameter) -> Tensor:
    """The parameter, or where its gradient is sparse a stand-in whose gradient is the rows that it holds."""
    if parameter.grad is None or not parameter.grad.is_sparse:
        return parameter
    parameter.grad = parameter.grad.coalesce()
    rows = parameter.grad._values()  # they share memory with the gradient: scaling them scales it
    stand_in = torch.empty_like(rows)
    stand_in.grad = rows
    return stand_in


def _named(*modules: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """All trainable parameters by name, each once."""
    found = {
        id(p): (name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad
    }
    return list(found.values())


class Schedule:
    """The learning rate, set in the optimizer before each step: a course over the steps, and drops.

    Its state is the number of steps taken and, for `plateau`, what the history says; nothing else.
    """

    def __init__(self, cfg: Train, optimizers: Sequence[torch.optim.Optimizer], epoch_steps: int) -> None:
        """`epoch_steps` is the number of steps of an epoch."""
        self._cfg, self._optimizers, self._drops = cfg, optimizers, 0
        self._peaks = [float(group["lr"]) for group in self._groups()]
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

    def resume(self, taken: int) -> None:
        """Go on after so many steps; the optimizers have their own state back already."""
        self.taken = taken
        self._set()

    def follow(self, history: Sequence[Row]) -> None:
        """Between epochs: `plateau` lowers the rate as often as the evaluations so far say."""
        if self._cfg.scheduler is Scheduler.plateau:
            self._drops = drops(history, self._cfg.select, self._cfg.plateau_patience)
            self._set()

    def _groups(self) -> list[dict[str, Any]]:
        # asked for each time: an optimizer that is given a state back has other dicts than before
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    def _set(self) -> None:
        for group, peak in zip(self._groups(), self._peaks, strict=True):
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
