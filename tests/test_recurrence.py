import pytest
import torch
from torch import nn

from twotower.model.recurrence import states_of


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
