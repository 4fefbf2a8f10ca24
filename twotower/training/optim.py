"""Optimizer and learning-rate schedule from their knobs."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from twotower.config import Optimizer, Scheduler, Train


def build(cfg: Train, *modules: nn.Module) -> torch.optim.Optimizer:
    """One optimizer over all trainable parameters; matrices decay, vectors and word tables do not."""
    named = {
        id(p): (name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad
    }
    decayed = [
        p for name, p in named.values() if p.ndim > 1 and not name.startswith(("words.", "doc_words."))
    ]
    chosen = {id(p) for p in decayed}
    others = [p for _, p in named.values() if id(p) not in chosen]
    groups = [{"params": decayed, "weight_decay": cfg.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    match cfg.optimizer:
        case Optimizer.adamw:
            return torch.optim.AdamW(groups, lr=cfg.learning_rate, betas=(cfg.beta1, cfg.beta2))
        case Optimizer.adam:
            return torch.optim.Adam(groups, lr=cfg.learning_rate, betas=(cfg.beta1, cfg.beta2))
        case Optimizer.sgd:
            return torch.optim.SGD(groups, lr=cfg.learning_rate, momentum=cfg.beta1)


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
