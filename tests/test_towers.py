import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower import config
from twotower.model import towers
from twotower.model.words import WordTable, tensors
from twotower.text.ragged import Ragged

VECTORS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
VECTORS[0] = 0
IDF = np.linspace(1, 3, 12, dtype=np.float32)
IDF[0] = 0

MLPS = [
    config.MLPTower(num_layers=0),
    config.MLPTower(num_layers=1, hidden_dim=7),
    config.MLPTower(num_layers=3, hidden_dim=7, activation=config.Activation.tanh),
    config.MLPTower(num_layers=2, hidden_dim=7, residual=False, activation=config.Activation.relu),
    config.MLPTower(num_layers=1, hidden_dim=7, bag=config.Bag.mean),
]
GRUS = [
    config.GRUTower(hidden_dim=4, bidirectional=both, num_layers=layers, pooling=pooling)
    for both, layers in ((True, 1), (False, 2))
    for pooling in config.Pooling
] + [
    config.GRUTower(hidden_dim=4, cell=cell, bidirectional=both, num_layers=2, pooling=pooling)
    for cell, both, pooling in (
        (config.Cell.lstm, True, config.Pooling.last),
        (config.Cell.lstm, False, config.Pooling.attention),
        (config.Cell.rnn, True, config.Pooling.max),
    )
]
EVERY = [*MLPS, *GRUS]
TEXTS = st.lists(st.lists(st.integers(1, 11), min_size=1, max_size=7), min_size=1, max_size=6)


def tower_of(cfg: config.Tower, dim: int = 6) -> tuple[towers.Tower, WordTable]:
    torch.manual_seed(0)
    return towers.build(cfg, 5, dim, IDF).eval(), WordTable(VECTORS)


def embed(tower: towers.Tower, words: WordTable, texts: list[list[int]]) -> torch.Tensor:
    with torch.no_grad():
        return tower(words, *tensors(Ragged.of(texts), torch.device("cpu")))


@pytest.mark.parametrize("cfg", EVERY)
@settings(max_examples=10, deadline=None)
@given(texts=TEXTS)
def test_a_text_alone_and_among_others_gives_the_same_unit_vector(cfg: config.Tower, texts: list[list[int]]):
    tower, words = tower_of(cfg)

    together = embed(tower, words, texts)
    alone = torch.cat([embed(tower, words, [text]) for text in texts])

    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(texts)))


@pytest.mark.parametrize("cfg", EVERY)
def test_every_parameter_is_reached_by_a_gradient(cfg: config.Tower):
    tower, words = tower_of(cfg)
    tower.train()
    ids, offsets = tensors(Ragged.of([[2, 3, 4], [5], [6, 7]]), torch.device("cpu"))
    signs = torch.arange(18.0).reshape(3, 6).sin()

    (tower(words, ids, offsets) * signs).sum().backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in tower.parameters())
    assert words.vectors.grad.any(dim=1).tolist() == [False, False, *[True] * 6, *[False] * 4]


@pytest.mark.parametrize("cfg", EVERY)
def test_padding_alone_gives_a_finite_vector(cfg: config.Tower):
    tower, words = tower_of(cfg)

    assert embed(tower, words, [[0, 0], [1]]).isfinite().all()


def test_one_linear_map_is_what_no_hidden_layer_leaves():
    tower, words = tower_of(config.MLPTower(num_layers=0))
    bag = 2 * IDF[2] * VECTORS[2] + IDF[7] * VECTORS[7]
    (layer,) = tower.dense

    wanted = layer.weight @ torch.from_numpy(bag) + layer.bias

    got = embed(tower, words, [[2, 7, 2]])[0]
    torch.testing.assert_close(got, F.normalize(wanted, dim=0), atol=1e-6, rtol=0)


def test_a_mean_bag_leaves_out_words_of_weight_0():
    tower, words = tower_of(config.MLPTower(num_layers=0, bag=config.Bag.mean))
    (layer,) = tower.dense
    with torch.no_grad():
        tower.word_weights[:] = 1
        tower.word_weights[3] = 0
    mean = torch.from_numpy(2 * VECTORS[2] + VECTORS[7]) / 3

    got = embed(tower, words, [[2, 3, 2, 7]])[0]

    torch.testing.assert_close(got, F.normalize(layer(mean), dim=0), atol=1e-6, rtol=0)
    assert embed(tower, words, [[3]]).isfinite().all()


def test_a_residual_layer_adds_to_its_input():
    tower, words = tower_of(config.MLPTower(num_layers=1, hidden_dim=7))
    first, inner, last = tower.dense
    with torch.no_grad():
        inner.weight.copy_(torch.randn(7, 7))
        x = first(F.normalize(torch.from_numpy(VECTORS[3]), dim=0) * 5**0.5)
        wanted = F.normalize(last(x + F.gelu(inner(x))), dim=0)

    torch.testing.assert_close(embed(tower, words, [[3]])[0], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cfg", MLPS[:3])
def test_an_untrained_mlp_keeps_the_cosines_of_its_bags(cfg: config.MLPTower):
    tower, words = tower_of(cfg, dim=8)
    bags = F.normalize(torch.from_numpy(VECTORS[1:]), dim=1)

    vectors = embed(tower, words, [[word] for word in range(1, 12)])

    torch.testing.assert_close(vectors @ vectors.T, bags @ bags.T, atol=0.1, rtol=0)


def test_dropout_acts_in_training_alone():
    tower, words = tower_of(config.MLPTower(num_layers=1, hidden_dim=7, dropout=0.5, residual=False))
    ids, offsets = tensors(Ragged.of([[2, 3]]), torch.device("cpu"))
    assert torch.equal(tower(words, ids, offsets), tower(words, ids, offsets))

    tower.train()
    assert not torch.equal(tower(words, ids, offsets), tower(words, ids, offsets))


REFERENCES = {
    config.Cell.gru: torch.nn.GRU,
    config.Cell.lstm: torch.nn.LSTM,
    config.Cell.rnn: torch.nn.RNN,
}


@pytest.mark.parametrize("cell", config.Cell)
@pytest.mark.parametrize("pooling", config.Pooling)
@pytest.mark.parametrize(("both", "layers"), [(True, 1), (True, 2), (False, 2)])
def test_a_recurrent_tower_is_pytorchs_over_each_text_alone(
    cell: config.Cell, pooling: config.Pooling, both: bool, layers: int
):
    cfg = config.GRUTower(hidden_dim=4, cell=cell, pooling=pooling, bidirectional=both, num_layers=layers)
    tower, words = tower_of(cfg)
    reference = REFERENCES[cell](5, 4, layers, bidirectional=both)
    for number, layer in enumerate(tower.layers):
        for one, suffix in zip(layer, ("", "_reverse"), strict=False):
            for name, parameter in one.named_parameters():
                getattr(reference, name[:-1] + str(number) + suffix).data.copy_(parameter)
    texts = [[2, 3, 4], [5], [6, 7]]

    def pooled(text: list[int]) -> torch.Tensor:
        states, last = reference(torch.from_numpy(IDF[text, None] * VECTORS[text])[:, None])
        match pooling:
            case config.Pooling.last:
                hidden = last[0] if cell is config.Cell.lstm else last
                return hidden[-(1 + both) :].flatten()
            case config.Pooling.mean | config.Pooling.attention:  # what attention starts as
                return states[:, 0].mean(dim=0)
            case config.Pooling.max:
                return states[:, 0].amax(dim=0)

    wanted = torch.stack([F.normalize(tower.project(pooled(text)), dim=0) for text in texts])
    torch.testing.assert_close(embed(tower, words, texts), wanted.detach(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("cfg", [*MLPS[:2], *GRUS[:4], *GRUS[-3:]])
def test_an_empty_text_gives_a_finite_vector(cfg: config.Tower):
    tower, words = tower_of(cfg)

    assert embed(tower, words, [[], [3, 4]]).isfinite().all()
    assert embed(tower, words, [[]]).isfinite().all()


@pytest.mark.parametrize("cell", config.Cell)
def test_a_recurrent_tower_reads_words_in_their_order(cell: config.Cell):
    tower, words = tower_of(config.GRUTower(hidden_dim=4, cell=cell))
    one, other = embed(tower, words, [[2, 3, 4], [4, 3, 2]])

    assert not torch.allclose(one, other, atol=1e-4)


def test_an_unknown_tower_is_refused():
    with pytest.raises(TypeError, match="no tower for Tower; want MLPTower or GRUTower"):
        towers.build(config.Tower(), 5, 6, IDF)
