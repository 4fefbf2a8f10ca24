"""Recurrent layers; the GRU's with its backward pass written out, for CPUs.

    x (b, L, E)  ->  gates (L, b, 3H), one product for all places  ->  a state (b, H) after another

PyTorch multiplies for the gradient of a GRU's weights at every place; here the places' gradients are
collected and multiplied once, and what does not depend on the state's gradient is computed for all places
together. PyTorch's LSTM takes no longer than that, and its plain cells less, so these are used as they are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from twotower import config


def layer_of(cell: config.Cell, before: int, width: int) -> nn.RNNBase:
    """One layer, read one way, from inputs of width `before` to states of width `width`.

    A GRU is Cho et al., 2014; an LSTM Hochreiter and Schmidhuber, 1997, whose forget gates start open, with a
    bias of 1 (Jozefowicz et al., 2015); an RNN Elman, 1990, with tanh.
    """
    match cell:
        case config.Cell.gru:
            return nn.GRU(before, width, batch_first=True)
        case config.Cell.lstm:
            lstm = nn.LSTM(before, width, batch_first=True)
            _, _, input_bias, bias = lstm.parameters()
            with torch.no_grad():  # the gates stand in the order input, forget, cell, output
                input_bias[width : 2 * width] = 1
                bias[width : 2 * width] = 0
            return lstm
        case config.Cell.rnn:
            return nn.RNN(before, width, batch_first=True)


def states_of(layer: nn.RNNBase, x: Float[Tensor, "b L E"]) -> Float[Tensor, "b L H"]:
    """The states of a one-layer, one-way recurrence after each place.

    Other devices than the CPU have fast kernels of their own for a GRU too, which are used there.
    """
    if not isinstance(layer, nn.GRU) or x.device.type != "cpu":
        states: Tensor = layer(x)[0]
        return states
    input_weight, weight, input_bias, bias = layer.parameters()  # the order in which nn.GRU registers them
    gates = F.linear(x.transpose(0, 1), input_weight, input_bias)
    after: Tensor = _Recurrence.apply(gates, weight, bias)  # type: ignore[no-untyped-call]
    return after.transpose(0, 1)


class _Recurrence(torch.autograd.Function):
    """A GRU: gates (L, b, 3H) to states (L, b, H); r, z and n stand in that order, as PyTorch keeps them.

    r, z = sigmoid(gates + W h + b);  n = tanh(gates + r (W h + b));  h' = (1 - z) n + z h
    """

    @staticmethod
    # autocast's bf16 would meet float32 weights here
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        places, texts, width = gates.shape[0], gates.shape[1], weight.shape[1]
        states = gates.new_zeros(places + 1, texts, width)
        rz = gates.new_empty(places, texts, 2 * width)
        inner, new = gates.new_empty(2, places, texts, width)
        for t in range(places):
            hidden = torch.addmm(bias, states[t], weight.T)
            torch.add(gates[t, :, : 2 * width], hidden[:, : 2 * width], out=rz[t]).sigmoid_()
            inner[t] = hidden[:, 2 * width :]
            torch.addcmul(gates[t, :, 2 * width :], rz[t, :, :width], inner[t], out=new[t]).tanh_()
            torch.lerp(new[t], states[t], rz[t, :, width:], out=states[t + 1])
        ctx.save_for_backward(weight, states, rz, inner, new)
        return states[1:]

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, states, rz, inner, new = ctx.saved_tensors
        (gradient,) = gradients
        width = weight.shape[1]
        r, z = rz.split(width, dim=2)
        to_new = (1 - z) * (1 - new * new)  # what a state's gradient is times, to reach n, z and r before
        to_z = (states[:-1] - new) * z * (1 - z)  # their non-linearities
        to_r = inner * r * (1 - r)
        d_gates, d_hidden = rz.new_empty(2, *rz.shape[:2], 3 * width)
        d_state = torch.zeros_like(states[0])
        for t in reversed(range(len(rz))):
            d_state = d_state + gradient[t]
            d_new = torch.mul(d_state, to_new[t], out=d_gates[t, :, 2 * width :])
            torch.mul(d_new, r[t], out=d_hidden[t, :, 2 * width :])
            torch.mul(d_new, to_r[t], out=d_hidden[t, :, :width])
            torch.mul(d_state, to_z[t], out=d_hidden[t, :, width : 2 * width])
            d_state = torch.addmm(d_state * z[t], d_hidden[t], weight)
        d_gates[:, :, : 2 * width] = d_hidden[:, :, : 2 * width]
        flat = d_hidden.flatten(0, 1)
        return d_gates, flat.T @ states[:-1].flatten(0, 1), flat.sum(dim=0)
