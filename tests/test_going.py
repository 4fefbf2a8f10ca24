from dataclasses import replace
from pathlib import Path

from tests.training_case import small
from twotower.sweeps.going import shared


def test_trials_that_read_the_same_share_it(tmp_path: Path) -> None:
    cfg = small(tmp_path, tmp_path)
    assert shared(cfg) == shared(replace(cfg, dim=99, seed=3))
    assert shared(cfg) != shared(replace(cfg, pattern="[a-z]+"))
    assert shared(cfg) != shared(small(tmp_path / "other", tmp_path))
