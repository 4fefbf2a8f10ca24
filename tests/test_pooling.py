import math

import pytest
import torch

from twotower import config
from twotower.model.pooling import Pool, attention

STATES = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]], [[3.0, 4.0], [5.0, 8.0], [7.0, 6.0]]])
LENGTHS = torch.tensor([2, 3])  # the first text ends before its third place


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (config.Pooling.last, [[0, 2], [7, 6]]),
        (config.Pooling.mean, [[0.5, 1], [5, 6]]),
        (config.Pooling.max, [[1, 2], [7, 8]]),
        (config.Pooling.attention, [[0.5, 1], [5, 6]]),  # the mean, until it is trained
    ],
)
def test_states_become_one_vector_a_text(kind: config.Pooling, wanted: list[list[float]]) -> None:
    torch.testing.assert_close(Pool(kind, 2, 1)(STATES, LENGTHS), torch.tensor(wanted, dtype=torch.float))


def test_the_last_state_of_the_reader_from_the_end_is_at_the_first_place() -> None:
    pooled = Pool(config.Pooling.last, 1, 2)(STATES, LENGTHS)
    assert pooled.tolist() == [[0, 0], [7, 4]]


def test_attention_is_the_softmax_of_state_times_query() -> None:
    pool = Pool(config.Pooling.attention, 2, 1)
    with torch.no_grad():
        pool.attention.copy_(torch.tensor([math.log(3), 0.0]))
    # the first text's products are log 3 and 0: weights 3/4 and 1/4
    assert pool(STATES, LENGTHS)[0].tolist() == pytest.approx([0.75, 0.5])


def test_attention_gives_padding_exactly_nothing() -> None:
    inside = torch.arange(3) < LENGTHS[:, None]
    weights = attention(STATES, torch.tensor([50.0, 50.0]), inside)
    assert weights[0, 2].item() == 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("kind", config.Pooling)
def test_what_stands_behind_a_text_changes_nothing(kind: config.Pooling) -> None:
    pool, other = Pool(kind, 2, 1), STATES.clone()
    other[0, 2] = -100.0
    assert torch.equal(pool(STATES, LENGTHS), pool(other, LENGTHS))


def test_attention_alone_has_a_parameter() -> None:
    sizes = {kind: [len(one) for one in Pool(kind, 2, 2).parameters()] for kind in config.Pooling}
    assert sizes == {kind: [4] if kind is config.Pooling.attention else [] for kind in config.Pooling}
