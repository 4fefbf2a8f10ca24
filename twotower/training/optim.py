"""Optimizer and learning-rate schedule from their knobs."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from twotower.config import Optimizer, Scheduler, Train


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


def schedule(cfg: Train, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """The learning rate's course over `steps` steps, warm-up included."""
    return LambdaLR(optimizer, course(cfg.scheduler, steps=steps, warmup=round(cfg.warmup * steps)))


def course(scheduler: Scheduler, *, steps: int, warmup: int) -> Callable[[int], float]:
    """Step (from 0) to the factor of the learning rate; it rises to 1 over `warmup` steps and ends near 0.

    >>> [round(course(Scheduler.linear, steps=6, warmup=2)(step), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        match scheduler:
            case Scheduler.cosine:
                return 0.5 * (1 + math.cos(math.pi * done))
            case Scheduler.linear:
                return 1 - done
            case Scheduler.constant:
                return 1.0

    return factor
