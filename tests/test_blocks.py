import pytest
import torch
from torch import nn

from twotower import config
from twotower.model import blocks, losses
from twotower.model.blocks import Pieces, Tally, cut
from twotower.text.ragged import Ragged

LOSSES = [
    config.Contrastive(),
    config.Contrastive(symmetric=False, learn_temperature=False),
    config.Triplet(hardest=True),
    config.Triplet(hardest=False),
    config.Triplet(hardest=False, distance=config.Distance.l2),
    config.Triplet(hardest=True, negatives=config.Negatives.given),
    config.Margin(margin=-0.2),
]
QUERIES, DOCS = 7, 11
TEXTS = Ragged.of([[2, 3], [4], [], [5, 5, 2], [3]])


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, ...]:
    """Unit vectors and masks; blocks are of three rows."""
    monkeypatch.setattr(blocks, "ROWS", 3)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(QUERIES + DOCS, 4, dtype=torch.float64, generator=generator)
    queries, docs = nn.functional.normalize(vectors).split([QUERIES, DOCS])
    relevant, given = torch.rand(2, QUERIES, DOCS, generator=generator) < 0.2
    return queries, docs, relevant | torch.eye(QUERIES, DOCS, dtype=torch.bool), given


def plain(cfg: config.Loss, batch: tuple[torch.Tensor, ...]) -> tuple[Tally, list[torch.Tensor]]:
    """Tally and gradients of the loss by autograd, from the whole score matrix."""
    queries, docs, relevant, given = batch
    leaves = [queries.clone().requires_grad_(), docs.clone().requires_grad_()]
    objective = losses.build(cfg).double()
    loss, tally = blocks.whole(objective, leaves[0] @ leaves[1].T, relevant, given)
    return tally, list(torch.autograd.grad(loss, [*leaves, *objective.parameters()]))


@pytest.mark.parametrize("cfg", LOSSES)
@pytest.mark.parametrize("shares", [[QUERIES], [4, 0, 3], [1] * QUERIES])
def test_blocks_give_the_plain_loss_and_gradients(
    batch: tuple[torch.Tensor, ...], cfg: config.Loss, shares: list[int]
) -> None:
    queries, docs, relevant, given = batch
    objective, counted, start = losses.build(cfg).double(), Tally(), 0
    summed: list[torch.Tensor] = []
    for share in shares:
        rows = slice(start, start + share)
        marks = lambda rows, columns: (relevant[rows, columns], given[rows, columns])  # noqa: E731
        tally, found = blocks.gradients(objective, (queries, docs), marks, rows)
        parts = [found.queries, found.docs, *found.parameters]
        summed = [a + b for a, b in zip(summed, parts, strict=True)] if summed else parts
        counted, start = counted + tally, start + share

    wanted, gradients = plain(cfg, batch)
    for got, want in zip(summed, gradients, strict=True):
        torch.testing.assert_close(got / max(counted.weight, 1), want, rtol=1e-9, atol=1e-12)
    assert counted.loss == pytest.approx(wanted.loss, rel=1e-12)
    assert counted.chance_loss == pytest.approx(wanted.chance_loss, rel=1e-12)
    assert counted.correct == pytest.approx(wanted.correct)
    assert counted.chance == pytest.approx(wanted.chance)


def test_a_tally_needs_no_gradient(batch: tuple[torch.Tensor, ...]) -> None:
    queries, docs, relevant, given = batch
    marks = lambda rows, columns: (relevant[rows, columns], given[rows, columns])  # noqa: E731
    objective = losses.build(LOSSES[0])
    with torch.inference_mode():
        tally = blocks.tally(objective, (queries, docs), marks, slice(0, QUERIES))
    assert tally.loss == pytest.approx(plain(LOSSES[0], batch)[0].loss)


def test_no_block_is_larger_than_it_may_be(batch: tuple[torch.Tensor, ...]) -> None:
    queries, docs, relevant, given = batch
    asked = []

    def marks(rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append((rows.stop - rows.start, columns.stop - columns.start))
        return relevant[rows, columns], given[rows, columns]

    blocks.gradients(losses.build(LOSSES[0]), (queries, docs), marks, slice(0, QUERIES))
    assert asked == [(3, DOCS), (3, DOCS), (1, DOCS), (QUERIES, 3), (QUERIES, 3), (QUERIES, 1)]


def test_no_violation_is_a_loss_of_0() -> None:
    assert Tally(total=0.0, weight=0.0).loss == 0


class Bags(nn.Module):
    """Mean of random rows, a layer, dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows = nn.Embedding(6, 4).double()
        self.layer = nn.Linear(4, 3).double()
        self.dropout = nn.Dropout(0.5)
        self.calls: list[int] = []

    def forward(self, texts: Ragged) -> torch.Tensor:
        self.calls.append(len(texts))
        bags = [
            self.rows(torch.from_numpy(text).long()).sum(0)
            for text in map(texts.__getitem__, range(len(texts)))
        ]
        return self.dropout(self.layer(torch.stack(bags)))


NONE = torch.zeros(0, 3, dtype=torch.float64)


@pytest.mark.parametrize("size", [0, 1, 2, 4, 5])
def test_pieces_repeat_their_dropout_and_add_up_to_the_gradient(size: int) -> None:
    signs = torch.arange(12, dtype=torch.float64).reshape(4, 3).sin()
    rows = slice(1, 5)
    model, wanted = Bags(), Bags()
    torch.manual_seed(7)
    pieces = Pieces(model, TEXTS, list(cut(rows, size)), NONE)
    after = torch.rand(1)
    pieces.backward(signs)

    torch.manual_seed(7)
    whole = torch.cat([wanted(TEXTS.take(range(part.start, part.stop))) for part in cut(rows, size)])
    assert torch.equal(torch.rand(1), after)
    (whole * signs).sum().backward()
    torch.testing.assert_close(pieces.vectors, whole.detach(), rtol=0, atol=0)
    for got, want in zip(model.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(got.grad, want.grad)


def test_generators_go_on_as_if_nothing_had_been_repeated() -> None:
    torch.manual_seed(7)
    pieces = Pieces(Bags(), TEXTS, list(cut(slice(0, 5), 2)), NONE)
    state = torch.get_rng_state()
    pieces.backward(torch.ones(5, 3, dtype=torch.float64))
    assert torch.equal(torch.get_rng_state(), state)


def test_one_piece_is_embedded_once_and_several_twice() -> None:
    for size, calls in ((0, [5]), (5, [5]), (3, [3, 2, 3, 2])):
        model = Bags()
        Pieces(model, TEXTS, list(cut(slice(0, 5), size)), NONE).backward(
            torch.ones(5, 3, dtype=torch.float64)
        )
        assert model.calls == calls


def test_no_text_gives_no_vector_and_no_gradient() -> None:
    model = Bags()
    pieces = Pieces(model, TEXTS, list(cut(slice(2, 2), 3)), NONE)
    assert pieces.vectors.shape == (0, 3)
    pieces.backward(NONE)
    assert model.layer.weight.grad is None
