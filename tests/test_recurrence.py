import math

import pytest
import torch
from torch import nn

from twotower import config
from twotower.model.recurrence import layer_of, states_of


def outcome(
    gru: nn.GRU, x: torch.Tensor, seed: torch.Tensor, *, ours: bool
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """States, and the gradients of the input and of every parameter."""
    x = x.clone().requires_grad_()
    states = states_of(gru, x) if ours else gru(x)[0]
    return states.detach(), list(torch.autograd.grad((states * seed).sum(), [x, *gru.parameters()]))


@pytest.mark.parametrize(("texts", "places"), [(1, 1), (1, 7), (5, 1), (6, 9)])
def test_states_and_gradients_are_those_of_pytorch(texts: int, places: int) -> None:
    torch.manual_seed(texts + places)
    gru = nn.GRU(4, 3, batch_first=True).double()
    x, seed = torch.randn(texts, places, 4).double(), torch.randn(texts, places, 3).double()
    (states, gradients), (wanted, theirs) = (outcome(gru, x, seed, ours=ours) for ours in (True, False))
    assert torch.allclose(states, wanted, atol=1e-12)
    assert all(torch.allclose(a, b, atol=1e-11) for a, b in zip(gradients, theirs, strict=True))


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    gru = nn.GRU(2, 2, batch_first=True).double()
    x = torch.randn(2, 3, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: states_of(gru, x), (x,))


def test_a_state_by_hand() -> None:
    gru = nn.GRU(1, 1, batch_first=True)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.fill_(0.0)
        gru.bias_ih_l0[2] = 1.0
    # r = z = sigmoid(0) = 1/2 and n = tanh(1): h1 = n / 2, h2 = n / 2 + h1 / 2
    n = torch.tanh(torch.tensor(1.0)).item()
    assert states_of(gru, torch.zeros(1, 2, 1)).flatten().tolist() == pytest.approx([n / 2, 3 * n / 4])


def test_an_lstm_starts_with_its_forget_gates_open() -> None:
    lstm = layer_of(config.Cell.lstm, 2, 3)
    inner, outer = lstm.bias_ih_l0.tolist(), lstm.bias_hh_l0.tolist()
    assert (inner[3:6], outer[3:6]) == ([1, 1, 1], [0, 0, 0])
    assert 0 < max(map(abs, inner[:3] + inner[6:])) < 3**-0.5  # the others as PyTorch starts them


def test_an_lstm_by_hand() -> None:
    lstm = layer_of(config.Cell.lstm, 1, 1)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.fill_(0.0)
        lstm.bias_ih_l0[2] = 1.0
    # i = f = o = 1/2 and g = tanh(1): c1 = g / 2, c2 = c1 / 2 + g / 2 = 3 g / 4, h = tanh(c) / 2
    g = torch.tanh(torch.tensor(1.0))
    wanted = [torch.tanh(g / 2).item() / 2, torch.tanh(3 * g / 4).item() / 2]
    assert states_of(lstm, torch.zeros(1, 2, 1)).flatten().tolist() == pytest.approx(wanted)


def test_a_plain_cell_by_hand() -> None:
    rnn = layer_of(config.Cell.rnn, 1, 1)
    with torch.no_grad():
        for parameter, value in zip(rnn.parameters(), (2.0, 0.5, 0.0, 0.0), strict=True):
            parameter.fill_(value)
    # h1 = tanh(2 x1), h2 = tanh(2 x2 + h1 / 2), with x1 = 1 and x2 = 0
    first = math.tanh(2)
    states = states_of(rnn, torch.tensor([[[1.0], [0.0]]])).flatten().tolist()
    assert states == pytest.approx([first, math.tanh(first / 2)])
