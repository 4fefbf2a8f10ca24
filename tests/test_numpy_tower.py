import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from twotower import config
from twotower.model.encode import encode_queries
from twotower.model.two_tower import Shape, TwoTower
from twotower.search.numpy_tower import NumpyMLP, gelu
from twotower.text.ragged import Ragged

TEXTS = Ragged.of([[2, 3, 2], [0], [7], [], [1, 9, 5, 4]])


def model_of(tower: config.Tower) -> TwoTower:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 5)).astype(np.float32)
    vectors[0] = 0
    shape = Shape(query_tower=tower, doc_tower=tower, dim=6, tied=False, share_words=True)
    model = TwoTower(shape, vectors, rng.uniform(1, 9, 12).astype(np.float32))
    with torch.no_grad():
        for parameter in model.query_tower.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("activation", config.Activation)
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("num_layers", [0, 1, 2])
@pytest.mark.parametrize("bag", config.Bag)
def test_it_gives_the_vectors_of_the_torch_tower(
    activation: config.Activation, residual: bool, num_layers: int, bag: config.Bag
):
    tower = config.MLPTower(
        num_layers=num_layers, hidden_dim=7, activation=activation, residual=residual, bag=bag
    )
    model = model_of(tower)

    got = NumpyMLP(model.numpy_query_tower(), activation=activation, residual=residual).embed(TEXTS)

    assert got.dtype == np.float32
    np.testing.assert_allclose(got, encode_queries(model, TEXTS), atol=1e-6)


def test_gelu_is_exact():
    x = np.linspace(-6, 6, 1001, dtype=np.float32)[None]

    np.testing.assert_allclose(gelu(x), torch.nn.functional.gelu(torch.from_numpy(x)).numpy(), atol=1e-6)
    assert gelu(np.float32([[1.0]]))[0, 0] == pytest.approx((1 + math.erf(1 / math.sqrt(2))) / 2, abs=1e-7)


def test_a_gru_has_no_arrays():
    assert model_of(config.GRUTower(hidden_dim=4)).numpy_query_tower() == {}


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation: got 'swish', want gelu, relu, tanh"):
        NumpyMLP({}, activation="swish")


def test_it_imports_no_torch():
    code = "import sys, twotower.search.numpy_tower; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
