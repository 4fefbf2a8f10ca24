import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower import config
from twotower.model import losses
from twotower.model.losses import accuracy, contrastive, triplet

SCORES = torch.tensor([[0.8, 0.5, 0.1], [0.6, 0.4, 0.2], [0.3, 0.9, 0.7]])
NONE = torch.eye(3, dtype=torch.bool)


def log_softmax(place: int, *values: float) -> float:
    return values[place] - math.log(sum(math.exp(value) for value in values))


def test_contrastive_is_the_mean_negative_log_softmax_over_documents():
    rows = [(0, 1.6, 1.0, 0.2), (1, 1.2, 0.8, 0.4), (2, 0.6, 1.8, 1.4)]  # scores / 0.5
    wanted = -sum(log_softmax(*row) for row in rows) / 3

    got = contrastive(SCORES, NONE, temperature=0.5, symmetric=False)

    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_symmetric_adds_the_softmax_over_queries():
    rows = [(0, 0.8, 0.5, 0.1), (1, 0.6, 0.4, 0.2), (2, 0.3, 0.9, 0.7)]
    columns = [(0, 0.8, 0.6, 0.3), (1, 0.5, 0.4, 0.9), (2, 0.1, 0.2, 0.7)]
    wanted = -sum(log_softmax(*values) for values in rows + columns) / 6

    got = contrastive(SCORES, NONE, temperature=1.0, symmetric=True)

    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_contrastive_leaves_other_known_positives_out():
    relevant = NONE.clone()
    relevant[0, 1] = True
    rows = [(0, 0.8, 0.1), (1, 0.6, 0.4, 0.2), (2, 0.3, 0.9, 0.7)]  # query 0 knows document 1
    columns = [(0, 0.8, 0.6, 0.3), (0, 0.4, 0.9), (2, 0.1, 0.2, 0.7)]  # and so does document 1 query 0
    wanted = -sum(log_softmax(*values) for values in rows + columns) / 6

    got = contrastive(SCORES, relevant, temperature=1.0, symmetric=True)

    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_documents_beyond_the_batch_are_negatives_of_queries_alone():
    wide = torch.cat([SCORES, torch.tensor([[0.2], [0.1], [0.5]])], dim=1)
    relevant = torch.eye(3, 4, dtype=torch.bool)
    rows = [(0, 0.8, 0.5, 0.1, 0.2), (1, 0.6, 0.4, 0.2, 0.1), (2, 0.3, 0.9, 0.7, 0.5)]
    columns = [(0, 0.8, 0.6, 0.3), (1, 0.5, 0.4, 0.9), (2, 0.1, 0.2, 0.7)]
    wanted = -sum(log_softmax(*values) for values in rows + columns) / 6

    got = contrastive(wide, relevant, temperature=1.0, symmetric=True)

    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_hardest_triplet_takes_each_querys_best_negative():
    # margin 0.2: 0.2 + 0.5 - 0.8 < 0;  0.2 + 0.6 - 0.4 = 0.4;  0.2 + 0.9 - 0.7 = 0.4
    got = triplet(SCORES, NONE, margin=0.2, hardest=True)

    assert got.item() == pytest.approx((0 + 0.4 + 0.4) / 3, rel=1e-6)


def test_triplet_averages_the_violations():
    # row 0: -0.1, -0.5;  row 1: 0.4, 0.0 (at the margin, no violation);  row 2: -0.2, 0.4
    got = triplet(SCORES, NONE, margin=0.19, hardest=False)

    assert got.item() == pytest.approx((0.39 + 0.39) / 2, rel=1e-5)


def test_triplet_leaves_other_known_positives_out():
    relevant = NONE.clone()
    relevant[2, 1] = True  # the negative at 0.9; the next, at 0.3, does not violate

    assert triplet(SCORES, relevant, margin=0.2, hardest=True).item() == pytest.approx(0.4 / 3, rel=1e-6)
    assert triplet(SCORES, relevant, margin=0.19, hardest=False).item() == pytest.approx(0.39, rel=1e-5)


def test_triplet_without_a_violation_is_zero():
    apart = 2 * torch.eye(3) - 1
    for hardest in (True, False):
        assert triplet(apart, NONE, margin=0.5, hardest=hardest).item() == 0


def test_accuracy_is_the_share_of_positives_on_top():
    assert accuracy(SCORES, NONE).item() == pytest.approx(1 / 3)  # query 0 alone
    relevant = NONE.clone()
    relevant[2, 1] = True  # what outscores query 2's positive is relevant too
    assert accuracy(SCORES, relevant).item() == pytest.approx(2 / 3)


def test_equal_scores_are_no_success():
    assert accuracy(torch.zeros(3, 3), NONE).item() == 0


CONFIGS = [
    config.Contrastive(symmetric=True),
    config.Contrastive(symmetric=False, learn_temperature=False),
    config.Triplet(hardest=True),
    config.Triplet(hardest=False),
]


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    relevant = (torch.rand(4, 9, generator=generator) < 0.3) | torch.eye(4, 9, dtype=torch.bool)
    return torch.rand(4, 9, generator=generator, dtype=torch.float64), relevant


@pytest.mark.parametrize("cfg", CONFIGS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_negatives_changes_nothing(cfg: config.Loss, seed: int):
    scores, relevant = batch(seed)
    order = torch.cat([torch.arange(4), 4 + torch.randperm(5, generator=torch.Generator().manual_seed(seed))])
    objective = losses.build(cfg)

    one, other = objective(scores, relevant), objective(scores[:, order], relevant[:, order])

    assert one.loss.item() == pytest.approx(other.loss.item(), abs=1e-12)
    assert one.accuracy == other.accuracy


@pytest.mark.parametrize("cfg", CONFIGS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_document_known_to_be_relevant_is_never_pushed_away(cfg: config.Loss, seed: int):
    scores, relevant = batch(seed)
    scores.requires_grad_()
    losses.build(cfg)(scores, relevant).loss.backward()

    own = torch.eye(4, 9, dtype=torch.bool)
    assert scores.grad[relevant & ~own].eq(0).all()
    assert scores.grad[own].le(0).all()
    assert scores.grad[~relevant].ge(0).all()


@pytest.mark.parametrize("cfg", CONFIGS)
def test_one_query_and_one_document_give_a_finite_loss(cfg: config.Loss):
    scores = torch.tensor([[0.3]], requires_grad=True)
    outcome = losses.build(cfg)(scores, torch.ones(1, 1, dtype=torch.bool))
    outcome.loss.backward()

    assert outcome.loss.item() == 0
    assert scores.grad.tolist() == [[0]]
    assert outcome.accuracy.item() == 1


def test_equal_scores_give_the_loss_of_chance():
    loss = contrastive(torch.zeros(3, 8), torch.eye(3, 8, dtype=torch.bool), temperature=0.1, symmetric=False)

    assert loss.item() == pytest.approx(math.log(8))


def test_a_learned_temperature_moves_and_stays_in_its_bounds():
    objective = losses.build(config.Contrastive(temperature=0.02))
    (parameter,) = objective.parameters()
    assert objective.state()["temperature"] == pytest.approx(0.02)

    objective(SCORES, NONE).loss.backward()
    assert parameter.grad.item() != 0
    parameter.data.fill_(-20.0)
    objective(SCORES, NONE).loss.backward()
    assert objective.state()["temperature"] == pytest.approx(0.01)
    parameter.data.fill_(20.0)
    assert objective.state()["temperature"] == pytest.approx(1.0)


def test_at_its_bound_a_temperature_can_still_come_back():
    objective = losses.build(config.Contrastive(temperature=0.01))
    objective(SCORES, NONE).loss.backward()

    (parameter,) = objective.parameters()
    assert parameter.grad.item() != 0


def test_a_fixed_temperature_is_no_parameter():
    objective = losses.build(config.Contrastive(temperature=3.0, learn_temperature=False))

    assert list(objective.parameters()) == []
    assert objective.state() == {"temperature": 3.0}
    assert losses.build(config.Triplet()).state() == {}


def test_an_unknown_loss_is_refused():
    with pytest.raises(TypeError, match="no loss for Loss; want Contrastive or Triplet"):
        losses.build(config.Loss())(SCORES, NONE)
