"""The towers of older checkpoints as ours, where ours compute the very same function.

    embedding.weight (V, E)   query_embedding.weight   document_embedding.weight
    query_rnn.weight_ih_l0, ..._reverse   query_projection.weight  ->  GRUTower, word weights of 1
    query_tower.0.weight, query_tower.3.weight, ...                ->  MLPTower bag=mean, word weights of 1

and so for documents, whose names begin with `document_` or `doc_`.

Our towers scale their vectors to length 1. What has no place in them (LSTM cells, normalisation layers, a
second layer after a GRU) is refused by its name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from twotower import config
from twotower.model.legacy import ZEROS, Legacy, Words
from twotower.model.two_tower import Shape, TwoTower

SIDES: Mapping[str, str] = {"query": "query_tower", "document": "doc_tower", "doc": "doc_tower"}
"""First word of an older tensor's name, and our tower of that side."""
WORDS: Mapping[str, str] = {"query_tower": "query", "doc_tower": "document"}
"""What our towers' sides are called in messages."""
TABLES: Mapping[str, str] = {"query_tower": "words.vectors", "doc_tower": "doc_words.vectors"}
"""Name of each side's word table."""
_SIDE = re.compile(rf"({'|'.join(SIDES)})_(.+)")
_TABLE = re.compile(r"(?:(?:.*[._])?embeddings?)\.weight")
_CELL = re.compile(r"(?:.*\.)?((?:weight|bias)_[ih]h)_l(\d+)(_reverse)?")
_LAYER = re.compile(r"(.*?)\.?(weight|bias)")

Tensors = Mapping[str, Tensor]
Part = tuple[config.Tower, dict[str, Tensor]]
"""A tower of ours and its tensors, but for the word weights."""


@dataclass(frozen=True)
class Said:
    """What the tensors do not say."""

    pooling: config.Pooling
    activation: config.Activation


@dataclass(frozen=True, eq=False)
class Parts:
    """Older tensors, sorted."""

    tables: Mapping[str, Tensor]
    """Word table of each side."""
    sides: Mapping[str, Tensors]
    """All else of each side, by name within it."""
    scalars: Sequence[str]
    """Names of single numbers, such as a temperature, which change no vector."""

    @property
    def has_activation(self) -> bool:
        """Whether something stands between linear layers."""
        return any(
            not _cells(part) and sum(name.endswith("weight") for name in part) > 1
            for part in self.sides.values()
        )


def sort(legacy: Legacy) -> Parts:
    """Tables, and what belongs to each side; ValueError for what belongs to none, or a side without any."""
    tables: dict[str, Tensor] = {}
    sides: dict[str, dict[str, Tensor]] = {name: {} for name in TABLES}
    scalars = []
    for name, tensor in legacy.state.items():
        side = _SIDE.fullmatch(name)
        if _TABLE.fullmatch(name):
            tables |= dict.fromkeys([SIDES[side[1]]] if side else TABLES, tensor)
        elif side:
            sides[SIDES[side[1]]][side[2]] = tensor
        elif tensor.numel() == 1:
            scalars.append(name)
        else:
            raise _refused(legacy, f"{name} belongs to no tower, want names query_... and document_...")
    return Parts(_complete(legacy, tables, sides), sides, scalars)


def _complete(legacy: Legacy, tables: dict[str, Tensor], sides: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """A table for each side, from `embedding_matrix` where the state has none."""
    for side, part in sides.items():
        if not part:
            word = WORDS[side]
            raise _refused(
                legacy, f"model_state_dict has no {word} tower, want names query_... and document_..."
            )
        if side not in tables:
            if legacy.vectors is None:
                raise _refused(legacy, "it has no embedding.weight and no embedding_matrix")
            tables[side] = legacy.vectors
    return tables


def build(legacy: Legacy, parts: Parts, words: Words, said: Said) -> TwoTower:
    """Our model of the older one; ValueError, naming the part, where ours cannot compute what it computes."""
    tables = {side: _table(legacy, table, words.rows) for side, table in parts.tables.items()}
    share = torch.equal(tables["query_tower"], tables["doc_tower"])
    towers: dict[str, config.Tower] = {}
    state = {TABLES[side]: table for side, table in tables.items() if not share or side == "query_tower"}
    dims = set()
    for side, tensors in parts.sides.items():
        towers[side], made = _tower(legacy, side, tensors, said)
        dims.add(_out(made))
        if words.skip_unknown and isinstance(towers[side], config.GRUTower):
            raise _refused(legacy, "unknown=skip: our GRU reads an unknown word as a word and cannot skip it")
        weights = torch.ones(len(words.vocab))
        weights[1] = 0 if words.skip_unknown else 1
        state |= {f"{side}.word_weights": weights, **{f"{side}.{name}": one for name, one in made.items()}}
    if len(dims) > 1:
        raise _refused(legacy, f"the towers give vectors of {' and '.join(map(str, sorted(dims)))} numbers")
    form = Shape(**towers, dim=dims.pop(), tied=False, share_words=share)
    model = TwoTower(form, tables["query_tower"].numpy())
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise _refused(legacy, " ".join(str(error).split())) from None
    return model.eval()


def _refused(legacy: Legacy, why: str) -> ValueError:
    return ValueError(f"{legacy.path}: cannot be carried over: {why}")


def _table(legacy: Legacy, table: Tensor, rows: Sequence[int]) -> Tensor:
    """Rows of an older word table by our ids."""
    if table.ndim != 2 or max(rows) >= len(table):
        raise _refused(
            legacy, f"its word table is {tuple(table.shape)}, want two dimensions and {max(rows) + 1} rows"
        )
    extended = torch.cat([table, torch.zeros(1, table.shape[1])])
    return extended[[len(table) if row == ZEROS else row for row in rows]]


def _out(made: Tensors) -> int:
    """Width of the vectors: the last layer's rows."""
    return len(list(made.values())[-1])


def _tower(legacy: Legacy, side: str, tensors: Tensors, said: Said) -> Part:
    cells = _cells(tensors)
    layers = _layers(legacy, side, {name: one for name, one in tensors.items() if not _CELL.fullmatch(name)})
    return _gru(legacy, cells, layers, said) if cells else _mlp(legacy, layers, said)


def _cells(tensors: Tensors) -> dict[tuple[int, int, str], Tensor]:
    """A recurrent layer's tensors by (layer, direction, name)."""
    found = ((_CELL.fullmatch(name), tensor) for name, tensor in tensors.items())
    return {(int(match[2]), int(bool(match[3])), match[1]): tensor for match, tensor in found if match}


@dataclass(frozen=True, eq=False)
class _Linear:
    name: str
    weight: Tensor
    bias: Tensor


def _layers(legacy: Legacy, side: str, tensors: Tensors) -> list[_Linear]:
    """Linear layers in the order of their registration; ValueError for anything else."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if not match or tensor.ndim != (2 if match[2] == "weight" else 1):
            name = f"{WORDS[side]}_{name}"
            raise _refused(legacy, f"{name} {tuple(tensor.shape)} is part of no linear or GRU layer")
        found.setdefault(match[1], {})[match[2]] = tensor
    if alone := [name for name, one in found.items() if "weight" not in one]:
        raise _refused(legacy, f"{WORDS[side]}_{alone[0]} has a bias and no weight")
    return [
        _Linear(
            f"{WORDS[side]}_{name}",
            one["weight"],
            one.get("bias", torch.zeros(len(one["weight"]))),
        )
        for name, one in found.items()
    ]


def _mlp(legacy: Legacy, layers: Sequence[_Linear], said: Said) -> Part:
    """Hidden layers of several widths are padded to the widest: each activation of ours maps 0 to 0."""
    if said.pooling is not config.Pooling.mean:
        raise _refused(
            legacy, f"pooling={said.pooling.name}: linear layers over words that are not pooled by mean"
        )
    for before, after in pairwise(layers):
        if len(before.weight) != after.weight.shape[1]:
            raise _refused(
                legacy, f"{after.name} reads {after.weight.shape[1]} numbers, {len(before.weight)} come"
            )
        if _adjoin(before.name, after.name):
            raise _refused(legacy, f"nothing stands between {before.name} and {after.name}")
    hidden = max((len(one.weight) for one in layers[:-1]), default=1)
    made: dict[str, Tensor] = {}
    for number, one in enumerate(layers):
        rows = len(one.weight) if number == len(layers) - 1 else hidden
        columns = hidden if number else one.weight.shape[1]
        weight, bias = torch.zeros(rows, columns), torch.zeros(rows)
        weight[: len(one.weight), : one.weight.shape[1]] = one.weight
        bias[: len(one.bias)] = one.bias
        made |= {f"layers.{number}.weight": weight, f"layers.{number}.bias": bias}
    tower = config.MLPTower(
        hidden_dim=hidden,
        num_layers=len(layers) - 1,
        activation=said.activation,
        residual=False,
        bag=config.Bag.mean,
    )
    return tower, made


def _adjoin(before: str, after: str) -> bool:
    """Whether two names are of neighbours in one `nn.Sequential`, such as `tower.0` and `tower.1`."""
    (home, _, place), (other, _, next_place) = before.rpartition("."), after.rpartition(".")
    numbered = place.isdecimal() and next_place.isdecimal()
    return numbered and home == other and int(next_place) == int(place) + 1


def _gru(
    legacy: Legacy, cells: Mapping[tuple[int, int, str], Tensor], layers: Sequence[_Linear], said: Said
) -> Part:
    first = cells.get((0, 0, "weight_hh"))
    if first is None:
        raise _refused(legacy, "its recurrent layer has no weight_hh_l0")
    width = first.shape[-1]
    gates = len(first) // width
    if gates != 3:
        kind = {1: "a plain recurrent layer", 4: "an LSTM"}.get(gates, f"a recurrent layer of {gates} gates")
        raise _refused(legacy, f"it has {kind}, want a GRU")
    depth = 1 + max(layer for layer, _, _ in cells)
    directions = 1 + max(way for _, way, _ in cells)
    made = {
        # a GRU may have no biases; a weight that is missing is found when the model takes its tensors
        f"layers.{layer}.{way}.{kind}_l0": cells.get((layer, way, kind), torch.zeros(3 * width))
        for layer in range(depth)
        for way in range(directions)
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    states = width * directions
    if len(layers) > 1:
        raise _refused(legacy, f"{layers[1].name}: a second layer after the GRU, want one projection at most")
    (project,) = layers or [_Linear("none", torch.eye(states), torch.zeros(states))]
    if project.weight.shape[1] != states:
        raise _refused(
            legacy, f"{project.name} reads {project.weight.shape[1]} numbers, want all {states} of the GRU's"
        )
    made |= {"project.weight": project.weight, "project.bias": project.bias}
    tower = config.GRUTower(
        hidden_dim=width, num_layers=depth, bidirectional=directions == 2, pooling=said.pooling
    )
    return tower, made
