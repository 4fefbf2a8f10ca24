import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from twotower.config import Contrastive, Docstrings, MLPTower, Optimizer, Scheduler, Train
from twotower.model.words import WordTable, tensors
from twotower.text.ragged import Ragged
from twotower.training import optim


class Towers(nn.Module):
    """Parameters with the names that a model of ours has."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(3, 2)
        self.doc_words = nn.Embedding(3, 2)
        self.query_tower = nn.Linear(2, 2)


def knobs(**values: object) -> Train:
    choices = {
        "data": Docstrings(),
        "query_tower": MLPTower(),
        "doc_tower": MLPTower(),
        "loss": Contrastive(),
    }
    return Train(**choices, **values)  # type: ignore[arg-type]


def names_by_decay(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[float, set[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        group["weight_decay"]: {names[id(p)] for p in group["params"]} for group in optimizer.param_groups
    }


def rates(scheduler: Scheduler, steps: int, warmup: float, **values: object) -> Iterator[float]:
    """The learning rate of each step of a run of as many epochs as steps, unless `values` say otherwise."""
    values = {"epochs": steps, **values}
    cfg = knobs(scheduler=scheduler, warmup=warmup, learning_rate=0.5, optimizer=Optimizer.sgd, **values)
    optimizer = optim.build(cfg, {}, nn.Linear(1, 1))
    schedule = optim.Schedule(cfg, [optimizer], steps // cfg.epochs)
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"] / 0.5
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("optimizer", Optimizer)
def test_the_towers_matrices_decay_and_neither_vectors_nor_words_do(optimizer: Optimizer) -> None:
    model = Towers()
    built = optim.build(knobs(weight_decay=0.5, optimizer=optimizer), {}, model)
    assert names_by_decay(built, model) == {
        0.5: {"query_tower.weight"},
        0.0: {"words.weight", "doc_words.weight", "query_tower.bias"},
    }


def test_the_knobs_reach_the_optimizer() -> None:
    cfg = {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.9}
    adamw = optim.build(knobs(**cfg, optimizer=Optimizer.adamw), {}, Towers())
    adam = optim.build(knobs(**cfg, optimizer=Optimizer.adam), {}, Towers())
    sgd = optim.build(knobs(**cfg, optimizer=Optimizer.sgd), {}, Towers())
    assert [type(one).__name__ for one in (adamw, adam, sgd)] == ["AdamW", "Adam", "SGD"]
    for one in (adamw, adam):
        assert {group["betas"] for group in one.param_groups} == {(0.8, 0.9)}
    assert {group["momentum"] for group in sgd.param_groups} == {0.8}
    assert {group["lr"] for one in (adamw, adam, sgd) for group in one.param_groups} == {0.02}


def test_a_rate_multiplies_the_learning_rate_of_its_parameter_alone() -> None:
    model = Towers()
    built = optim.build(knobs(learning_rate=0.5), {"words.weight": 10.0}, model)
    rates = {id(p): group["lr"] for group in built.param_groups for p in group["params"]}
    assert rates[id(model.words.weight)] == 5.0
    assert {rates[id(p)] for p in (model.doc_words.weight, *model.query_tower.parameters())} == {0.5}


def test_a_parameter_of_two_modules_is_optimised_once() -> None:
    model = Towers()
    built = optim.build(knobs(), {}, model, model.query_tower, nn.Linear(1, 1))
    assert sum(len(group["params"]) for group in built.param_groups) == 4 + 2


def test_what_is_frozen_is_left_out() -> None:
    model = Towers()
    model.words.requires_grad_(False)
    built = optim.build(knobs(), {}, model)
    assert sum(len(group["params"]) for group in built.param_groups) == 3


def test_a_model_without_matrices_has_no_empty_group() -> None:
    model = nn.LayerNorm(2)
    assert len(optim.build(knobs(), {}, model).param_groups) == 1


def test_one_step_of_sgd_is_the_rate_times_the_gradient_and_the_decay() -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 2.0)
    cfg = knobs(optimizer=Optimizer.sgd, learning_rate=0.1, weight_decay=0.5, beta1=0.0)
    optimizer = optim.build(cfg, {}, model)
    model(torch.ones(1, 1)).sum().backward()  # both gradients are 1
    optimizer.step()
    assert model.weight.item() == pytest.approx(2 - 0.1 * (1 + 0.5 * 2))
    assert model.bias.item() == pytest.approx(2 - 0.1 * 1)


def test_the_rate_rises_linearly_then_follows_the_cosine() -> None:
    # 8 steps, a quarter of them warm-up; then (1 + cos(pi * i / 6)) / 2 for i = 0 to 5
    want = [0.5, 1.0] + [0.5 * (1 + math.cos(math.pi * i / 6)) for i in range(6)]
    assert list(rates(Scheduler.cosine, 8, 0.25)) == pytest.approx(want)


def test_a_linear_rate_falls_by_equal_steps() -> None:
    assert list(rates(Scheduler.linear, 6, 1 / 3)) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_a_constant_rate_stays_after_warm_up() -> None:
    assert list(rates(Scheduler.constant, 5, 0.4)) == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0])


def test_steps_fall_by_gamma_every_so_many_epochs() -> None:
    # 6 epochs of 2 steps: lowered after 2 epochs, 4 steps
    seen = rates(Scheduler.step, 12, 0.0, epochs=6, step_size=2, gamma=0.1)
    assert list(seen) == pytest.approx([1] * 4 + [0.1] * 4 + [0.01] * 4)


def test_steps_fall_while_the_rate_still_rises() -> None:
    # warm-up over 4 steps; lowered every 2
    seen = rates(Scheduler.step, 8, 0.5, epochs=8, step_size=2, gamma=0.5)
    assert list(seen) == pytest.approx([1 / 4, 2 / 4, 3 / 8, 4 / 8, 1 / 4, 1 / 4, 1 / 8, 1 / 8])


def plateau(**values: object) -> tuple[optim.Schedule, torch.optim.Optimizer]:
    cfg = knobs(scheduler=Scheduler.plateau, warmup=0.0, gamma=0.1, learning_rate=0.5, **values)
    optimizer = optim.build(cfg, {}, nn.Linear(1, 1))
    return optim.Schedule(cfg, [optimizer], 3), optimizer


def test_a_plateau_lowers_the_rate_until_something_better_comes() -> None:
    schedule, optimizer = plateau(plateau_patience=2)
    history, seen = [], []
    for value in (0.1, 0.3, 0.2, 0.3, 0.2, 0.4, 0.1, 0.1):
        history.append({"mrr_10": value})
        schedule.follow(history)
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"] / 0.5)
    # two without a better one at the fourth value, and again at the last
    assert seen == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_a_plateau_depends_on_the_history_alone() -> None:
    history = [{"mrr_10": 0.3}, {"mrr_10": 0.2}, {"epoch": 2}, {"mrr_10": 0.1}]
    step_by_step, at_once = plateau()[0], plateau()[0]
    for length in range(len(history) + 1):
        step_by_step.follow(history[:length])
    at_once.follow(history)
    at_once.follow(history)
    assert step_by_step.factor == at_once.factor == pytest.approx(0.01)


def test_other_schedules_do_not_follow_the_history() -> None:
    cfg = knobs(scheduler=Scheduler.constant, warmup=0.0)
    schedule = optim.Schedule(cfg, [optim.build(cfg, {}, nn.Linear(1, 1))], 3)
    schedule.follow([{"mrr_10": 0.3}] * 9)
    assert schedule.factor == 1


def test_each_group_keeps_its_own_multiple() -> None:
    model = Towers()
    cfg = knobs(scheduler=Scheduler.linear, warmup=0.0, epochs=2, learning_rate=0.5)
    optimizer = optim.build(cfg, {"words.weight": 10.0}, model)
    schedule = optim.Schedule(cfg, [optimizer], 2)
    schedule.step()
    assert {group["lr"] for group in optimizer.param_groups} == {0.75 * 0.5, 0.75 * 5}


@pytest.mark.parametrize("scheduler", Scheduler)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_rate_is_never_zero_and_never_above_its_peak(
    scheduler: Scheduler, warmup: float, steps: int
) -> None:
    seen = list(rates(scheduler, steps, warmup))
    assert all(0 < rate <= 1 for rate in seen)
    assert len(seen) == steps


@pytest.mark.parametrize("scheduler", Scheduler)
def test_a_step_beyond_the_last_is_no_error(scheduler: Scheduler) -> None:
    course = optim.course(scheduler, steps=3, warmup=0)
    assert 0 <= course(10) <= 1
    assert 0 <= optim.course(scheduler, steps=0, warmup=0)(0) <= 1


def table(rows: int = 6) -> nn.Module:
    """A module with a parameter of a row a word, and one without."""
    torch.manual_seed(0)
    module = nn.Module()
    module.words = WordTable(torch.randn(rows, 2).numpy())
    module.layer = nn.Linear(2, 2)
    return module


def train_table(module: nn.Module, cfg: Train, texts: list[list[int]], steps: int = 5) -> torch.Tensor:
    """The word vectors after some steps on `texts`, with rows' own updates if the knob says so."""
    module.words.sparse = cfg.sparse_words
    optimizers = [optim.build(cfg, {}, module)]
    optimizers += [optim.build_rows(cfg, {}, module)] if cfg.sparse_words else []
    bags = tensors(Ragged.of(texts), torch.device("cpu"))
    weights = torch.linspace(1, 2, 6)
    for _ in range(steps):
        module.zero_grad()
        module.layer(module.words.bags(*bags, weights)).square().sum().backward()
        optim.clip(optimizers, 1.0)
        for optimizer in optimizers:
            optimizer.step()
    return module.words.vectors.detach()


@pytest.mark.parametrize("optimizer", [Optimizer.adamw, Optimizer.adam, Optimizer.sgd])
def test_a_word_of_every_batch_is_updated_as_a_whole_table_is(optimizer: Optimizer) -> None:
    cfg = {"optimizer": optimizer, "learning_rate": 0.1}
    cfg |= {"beta1": 0.0} if optimizer is Optimizer.sgd else {}
    texts = [[2, 3], [3, 4]]
    dense = train_table(table(), knobs(**cfg), texts)
    rows = train_table(table(), knobs(**cfg, sparse_words=True), texts)
    torch.testing.assert_close(rows, dense, rtol=1e-5, atol=1e-6)


def test_a_word_that_a_batch_does_not_hold_stays_where_it_is() -> None:
    start = table().words.vectors.detach().clone()
    module = table()
    cfg = knobs(sparse_words=True, learning_rate=0.1)
    module.words.sparse = True
    rows = optim.build_rows(cfg, {}, module)
    for text in ([[2]], [[3]]):
        module.zero_grad()
        module.words.bags(*tensors(Ragged.of(text), torch.device("cpu")), torch.ones(6)).sum().backward()
        rows.step()
    moved = (module.words.vectors.detach() - start).abs().amax(dim=1)
    # in the second step word 2 stays, where a whole table's moments would have moved it on
    # word 3's first moments are corrected as those of a second step: 0.1 / 0.19 over sqrt(0.001 / 0.001999)
    assert moved.tolist() == pytest.approx([0, 0, 0.1, 0.07441, 0, 0], abs=1e-5)


def test_rows_have_their_own_rate_and_the_rest_is_left_to_the_other_optimizer() -> None:
    module, cfg = table(), knobs(sparse_words=True, learning_rate=0.5)
    rows, rest = optim.build_rows(cfg, {"words.vectors": 10.0}, module), optim.build(cfg, {}, module)
    assert [group["lr"] for group in rows.param_groups] == [5.0]
    assert sum(len(group["params"]) for group in rest.param_groups) == 2
    schedule = optim.Schedule(cfg, [rest, rows], 2)
    assert [group["lr"] for group in rows.param_groups] == [pytest.approx(5.0 * schedule.factor)]


def test_sparse_gradients_count_in_the_norm_that_is_clipped() -> None:
    module = table()
    module.words.sparse = True
    module.words.bags(*tensors(Ragged.of([[2, 2, 3]]), torch.device("cpu")), torch.ones(6)).sum().backward()
    module.layer.weight.grad = torch.full((2, 2), 2.0)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    # rows (2, 2) and (1, 1), and four entries of 2: a norm of sqrt(8 + 2 + 16)
    optim.clip([optimizer], 0.5)
    scale = 0.5 / math.sqrt(26)
    assert module.words.vectors.grad.to_dense()[2:4].tolist() == [
        pytest.approx([2 * scale] * 2),
        pytest.approx([scale] * 2),
    ]
    assert module.layer.weight.grad[0, 0].item() == pytest.approx(2 * scale)
