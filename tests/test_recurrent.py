import numpy as np
import torch

from tests.test_towers import IDF, VECTORS, embed
from twotower import config, knobs
from twotower.model import towers
from twotower.model.recurrent import PIECE
from twotower.model.words import WordTable


def test_a_tower_recorded_before_there_were_cells_is_a_gru() -> None:
    old = {"kind": "gru", "hidden_dim": 4, "dropout": 0.0, "rate": 1.0, "num_layers": 1}
    cfg = knobs.restore("query_tower", {**old, "bidirectional": False, "pooling": "mean"})
    assert cfg == config.GRUTower(hidden_dim=4, cell=config.Cell.gru)
    names = set(towers.build(cfg, 5, 6, IDF).state_dict())
    assert names == {
        "word_weights",
        *(f"layers.0.0.{kind}_{side}_l0" for kind in ("weight", "bias") for side in ("ih", "hh")),
        "project.weight",
        "project.bias",
    }


def test_texts_come_back_in_their_own_order_from_several_pieces() -> None:
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 12, size=length).tolist() for length in rng.integers(1, 9, size=PIECE + 6)]
    torch.manual_seed(0)
    tower = towers.build(config.GRUTower(hidden_dim=4, cell=config.Cell.lstm), 5, 6, IDF).eval()
    words = WordTable(VECTORS)
    alone = torch.cat([embed(tower, words, [text]) for text in texts])
    torch.testing.assert_close(embed(tower, words, texts), alone, atol=1e-6, rtol=0)
