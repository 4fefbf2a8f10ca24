import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower import config
from twotower.model import losses

SCORES = torch.tensor([[0.8, 0.5, 0.1], [0.6, 0.4, 0.2], [0.3, 0.9, 0.7]])
NONE = torch.eye(3, dtype=torch.bool)
COSINE, L2 = config.Distance


def contrastive(
    scores: torch.Tensor, relevant: torch.Tensor, *, temperature: float, symmetric: bool
) -> torch.Tensor:
    cfg = config.Contrastive(temperature=temperature, learn_temperature=False, symmetric=symmetric)
    return losses.build(cfg)(scores, relevant, ~relevant).loss


def triplet(scores: torch.Tensor, relevant: torch.Tensor, **knobs: object) -> torch.Tensor:
    return losses.build(config.Triplet(**knobs))(scores, relevant, ~relevant).loss  # type: ignore[arg-type]


def judged_margin(
    scores: torch.Tensor, relevant: torch.Tensor, given: torch.Tensor, *, margin: float
) -> torch.Tensor:
    return losses.build(config.Margin(margin=margin))(scores, relevant, given).loss


def accuracy(scores: torch.Tensor, relevant: torch.Tensor) -> torch.Tensor:
    return losses.build(config.Triplet())(scores, relevant, ~relevant).accuracy


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
    got = triplet(SCORES, NONE, margin=0.2, hardest=True, distance=COSINE)

    assert got.item() == pytest.approx((0 + 0.4 + 0.4) / 3, rel=1e-6)


def test_triplet_averages_the_violations():
    # row 0: -0.1, -0.5;  row 1: 0.4, 0.0 (at the margin, no violation);  row 2: -0.2, 0.4
    got = triplet(SCORES, NONE, margin=0.19, hardest=False, distance=COSINE)

    assert got.item() == pytest.approx((0.39 + 0.39) / 2, rel=1e-5)


def test_triplet_leaves_other_known_positives_out():
    relevant = NONE.clone()
    relevant[2, 1] = True  # the negative at 0.9; the next, at 0.3, does not violate

    assert triplet(SCORES, relevant, margin=0.2, hardest=True, distance=COSINE).item() == pytest.approx(
        0.4 / 3, rel=1e-6
    )
    assert triplet(SCORES, relevant, margin=0.19, hardest=False, distance=COSINE).item() == pytest.approx(
        0.39, rel=1e-5
    )


def test_triplet_without_a_violation_is_zero():
    apart = 2 * torch.eye(3) - 1
    for hardest in (True, False):
        assert triplet(apart, NONE, margin=0.5, hardest=hardest, distance=COSINE).item() == 0


def test_triplet_in_l2_is_the_hinge_of_distances():
    # distances sqrt(2 - 2 s): 0.632, 1, 1.342;  0.894, 1.095, 1.265;  1.183, 0.447, 0.775
    # 0.2 + positive - nearest negative: 0.2 + 0.632 - 1 < 0;  0.2 + 1.095 - 0.894;  0.2 + 0.775 - 0.447
    wanted = [0, 0.2 + 1.2**0.5 - 0.8**0.5, 0.2 + 0.6**0.5 - 0.2**0.5]

    assert triplet(SCORES, NONE, margin=0.2, hardest=True, distance=L2).item() == pytest.approx(
        sum(wanted) / 3, abs=1e-5
    )
    # beyond the nearest ones, query 1 has 0.2 + 1.095 - 1.265 = 0.030 to document 2
    wanted += [0.2 + 1.2**0.5 - 1.6**0.5]
    assert triplet(SCORES, NONE, margin=0.2, hardest=False, distance=L2).item() == pytest.approx(
        sum(wanted) / 3, abs=1e-5
    )


def test_triplet_in_l2_is_pytorchs():
    torch.manual_seed(0)
    queries, positives, negatives = F.normalize(torch.randn(3, 5, 4, dtype=torch.float64), dim=2)
    scores = queries @ torch.cat([positives, negatives]).T
    own = torch.eye(5, dtype=torch.bool)
    left_out = torch.cat([own | True, ~own], dim=1)  # one negative a row, as PyTorch has it
    wanted = torch.nn.TripletMarginLoss(margin=0.7, p=2)(queries, positives, negatives)

    got = triplet(scores, left_out, margin=0.7, hardest=True, distance=L2)

    assert got.item() == pytest.approx(wanted.item(), abs=1e-5)


def test_triplet_in_l2_has_a_finite_gradient_at_distance_0():
    scores = torch.ones(2, 3, requires_grad=True)
    triplet(scores, torch.eye(2, 3, dtype=torch.bool), margin=0.2, hardest=False, distance=L2).backward()

    assert scores.grad.isfinite().all()
    assert scores.grad[:, 2].gt(0).all()


GIVEN = torch.tensor([[False, True, False], [False, False, False], [True, True, False]])


def test_triplet_of_given_negatives_leaves_all_others_alone():
    objective = losses.build(config.Triplet(margin=0.6, hardest=False, negatives=config.Negatives.given))

    # query 0: 0.6 + 0.5 - 0.8 = 0.3;  query 1 has none;  query 2: 0.6 + 0.3 - 0.7 and 0.6 + 0.9 - 0.7
    assert objective(SCORES, NONE, GIVEN).loss.item() == pytest.approx((0.3 + 0.2 + 0.8) / 3, rel=1e-6)


def test_margin_is_the_mean_over_judged_pairs():
    # positives 0.2, 0.6, 0.3;  given 0.5 - 0.4 at (0, 1), nothing at (2, 0), 0.9 - 0.4 at (2, 1): six pairs
    got = judged_margin(SCORES, NONE, GIVEN, margin=0.4)

    assert got.item() == pytest.approx((0.2 + 0.6 + 0.3 + 0.1 + 0 + 0.5) / 6, rel=1e-6)


def test_margin_leaves_other_known_positives_out():
    relevant = NONE.clone()
    relevant[2, 1] = True

    got = judged_margin(SCORES, relevant, GIVEN, margin=0.4)

    assert got.item() == pytest.approx((0.2 + 0.6 + 0.3 + 0.1 + 0) / 5, rel=1e-6)


@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.4])
def test_margin_is_pytorchs_cosine_embedding_loss(margin: float):
    torch.manual_seed(0)
    queries, docs = (F.normalize(torch.randn(n, 4, dtype=torch.float64), dim=1) for n in (3, 7))
    given = torch.rand(3, 7) < 0.4
    given[:, :3] &= ~NONE
    rows, columns = torch.nonzero(given | torch.eye(3, 7, dtype=torch.bool), as_tuple=True)
    signs = torch.where(rows == columns, 1, -1)
    wanted = torch.nn.CosineEmbeddingLoss(margin=margin)(queries[rows], docs[columns], signs)

    got = judged_margin(queries @ docs.T, torch.eye(3, 7, dtype=torch.bool), given, margin=margin)

    assert got.item() == pytest.approx(wanted.item(), rel=1e-9)


def test_a_row_whose_own_column_is_given_is_pushed_and_not_pulled():
    given = GIVEN.clone()
    given[0, 0] = True  # score 0.8

    # positives 0.6 and 0.3;  given 0.8 - 0.4 at (0, 0), 0.5 - 0.4, nothing, 0.9 - 0.4: six pairs still
    outcome = losses.build(config.Margin(margin=0.4))(SCORES, NONE & ~given, given)

    assert outcome.loss.item() == pytest.approx((0.6 + 0.3 + 0.4 + 0.1 + 0 + 0.5) / 6, rel=1e-6)
    assert outcome.accuracy.item() in (0.0, 0.5, 1.0)  # of two rows


def test_margin_without_given_negatives_pulls_the_positives_alone():
    scores = SCORES.clone().requires_grad_()
    judged_margin(scores, NONE, torch.zeros_like(NONE), margin=-1.0).backward()

    torch.testing.assert_close(scores.grad, -torch.eye(3) / 3)


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
    config.Triplet(hardest=True, distance=L2),
    config.Triplet(hardest=False, distance=L2, negatives=config.Negatives.given),
    config.Margin(margin=-0.2),
]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def batch(seed: int) -> Batch:
    """Scores and masks; what is given is relevant too here and there, as no batch of ours has it."""
    generator = torch.Generator().manual_seed(seed)
    relevant = (torch.rand(4, 9, generator=generator) < 0.3) | torch.eye(4, 9, dtype=torch.bool)
    scores = torch.rand(4, 9, generator=generator, dtype=torch.float64)
    return scores, relevant, torch.rand(4, 9, generator=generator) < 0.3


@pytest.mark.parametrize("cfg", CONFIGS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_negatives_changes_nothing(cfg: config.Loss, seed: int):
    masked = batch(seed)
    order = torch.cat([torch.arange(4), 4 + torch.randperm(5, generator=torch.Generator().manual_seed(seed))])
    objective = losses.build(cfg)

    one, other = objective(*masked), objective(*(part[:, order] for part in masked))

    assert one.loss.item() == pytest.approx(other.loss.item(), abs=1e-12)
    assert one.accuracy == other.accuracy


@pytest.mark.parametrize("cfg", CONFIGS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_document_known_to_be_relevant_is_never_pushed_away(cfg: config.Loss, seed: int):
    scores, relevant, given = batch(seed)
    scores.requires_grad_()
    losses.build(cfg)(scores, relevant, given).loss.backward()

    own = torch.eye(4, 9, dtype=torch.bool)
    assert scores.grad[relevant & ~own].eq(0).all()
    assert scores.grad[own].le(0).all()
    assert scores.grad[~relevant].ge(0).all()
    if losses.needs_given(cfg):
        assert scores.grad[~relevant & ~given].eq(0).all()


@pytest.mark.parametrize("cfg", CONFIGS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_some_rows_and_columns_at_a_time_add_up_to_the_whole(cfg: config.Loss, size: int):
    scores, relevant, given = batch(1)
    objective = losses.build(cfg)
    parts = []
    for first in range(0, 4, size):
        some = slice(first, first + size)
        parts.append(objective.rows(scores[some], relevant[some], given[some], first=first))
        if objective.symmetric:
            columns = slice(first, min(4, first + size))
            parts.append(objective.columns(scores[:, columns], relevant[:, columns], first=first))

    loss = sum(part.total for part in parts) / sum(part.weight for part in parts)
    assert loss.item() == pytest.approx(objective(scores, relevant, given).loss.item(), rel=1e-12)


@pytest.mark.parametrize("cfg", CONFIGS)
def test_one_query_and_one_document_give_a_finite_loss(cfg: config.Loss):
    scores = torch.tensor([[0.3]], requires_grad=True)
    one = torch.ones(1, 1, dtype=torch.bool)
    outcome = losses.build(cfg)(scores, one, ~one)
    outcome.loss.backward()

    pulls = isinstance(cfg, config.Margin)  # to cosine 1, whatever else there is
    assert outcome.loss.item() == pytest.approx(0.7 if pulls else 0)
    assert scores.grad.tolist() == [[-1 if pulls else 0]]
    assert outcome.accuracy.item() == 1


def test_equal_scores_give_the_loss_of_chance():
    loss = contrastive(torch.zeros(3, 8), torch.eye(3, 8, dtype=torch.bool), temperature=0.1, symmetric=False)

    assert loss.item() == pytest.approx(math.log(8))


def test_a_learned_temperature_moves_and_stays_in_its_bounds():
    objective = losses.build(config.Contrastive(temperature=0.02))
    (parameter,) = objective.parameters()
    assert objective.state()["temperature"] == pytest.approx(0.02)

    objective(SCORES, NONE, ~NONE).loss.backward()
    assert parameter.grad.item() != 0
    parameter.data.fill_(-20.0)
    objective(SCORES, NONE, ~NONE).loss.backward()
    assert objective.state()["temperature"] == pytest.approx(0.01)
    parameter.data.fill_(20.0)
    assert objective.state()["temperature"] == pytest.approx(1.0)


def test_at_its_bound_a_temperature_can_still_come_back():
    objective = losses.build(config.Contrastive(temperature=0.01))
    objective(SCORES, NONE, ~NONE).loss.backward()

    (parameter,) = objective.parameters()
    assert parameter.grad.item() != 0


def test_a_fixed_temperature_is_no_parameter():
    objective = losses.build(config.Contrastive(temperature=3.0, learn_temperature=False))

    assert list(objective.parameters()) == []
    assert objective.state() == {"temperature": 3.0}
    assert losses.build(config.Triplet()).state() == {}


def test_an_unknown_loss_is_refused():
    with pytest.raises(TypeError, match="no loss for Loss; want Contrastive, Triplet or Margin"):
        losses.build(config.Loss())(SCORES, NONE, ~NONE)
