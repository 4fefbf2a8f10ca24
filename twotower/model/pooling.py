"""The states of a padded piece of texts to one vector a text; padding counts for nothing.

states (b, L, H), lengths (b,)  ->  pooled (b, H)
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from twotower import config

States = Float[Tensor, "b L H"]
Pooled = Float[Tensor, "b H"]


class Pool(nn.Module):
    """Pooling as the knobs say; `attention` alone has a parameter: what a state is compared with, (H,).

    The states of the reader from the start are the first `width` of the H units; those of the reader from
    the end, if there is one, the rest: its last state stands at the first place.
    """

    def __init__(self, kind: config.Pooling, width: int, directions: int) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        if kind is config.Pooling.attention:
            self.attention = nn.Parameter(torch.zeros(width * directions))  # it starts as the mean

    def forward(self, states: States, lengths: Int[Tensor, " b"]) -> Pooled:
        """One vector a text; `lengths` are at least 1."""
        inside = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        match self.kind:
            case config.Pooling.last:
                ends = states[torch.arange(len(states), device=states.device), lengths - 1, : self.width]
                return torch.cat([ends, states[:, 0, self.width :]], dim=1)
            case config.Pooling.mean:
                return (states * inside[:, :, None]).sum(dim=1) / lengths[:, None]
            case config.Pooling.max:
                return states.masked_fill(~inside[:, :, None], -torch.inf).amax(dim=1)
            case config.Pooling.attention:
                return (states * attention(states, self.attention, inside)[:, :, None]).sum(dim=1)


def attention(
    states: States, query: Float[Tensor, " H"], inside: Bool[Tensor, "b L"]
) -> Float[Tensor, "b L"]:
    """Weights of the places of each text: softmax of state times query, exactly 0 outside.

    Yang et al., 2016, eq. 6, with the states themselves compared instead of a layer over them.
    """
    return (states @ query).masked_fill(~inside, -torch.inf).softmax(dim=1)
