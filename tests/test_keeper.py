import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training_case import small, write_beir
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.evaluation import names
from twotower.model import checkpoint, sidecar
from twotower.training import keeper


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


def kept(folder: Path, home: Path, **knobs: Any) -> dict[str, Path]:
    """The checkpoints of a run of three epochs, by kind."""
    assert train.run(small(folder, home, epochs=3, **knobs)) == 0
    return {sidecar.kind_of(path): path for path in (home / "checkpoints").glob("*.pt")}


@pytest.mark.parametrize(
    ("keep", "kinds"),
    [
        ("best", {"best"}),
        ("last", {"best", "last"}),
        ("all", {"best", "epoch1", "epoch2", "epoch3"}),
        ("2", {"best", "epoch2", "epoch3"}),
        ("9", {"best", "epoch1", "epoch2", "epoch3"}),
    ],
)
def test_the_weights_that_are_wanted_are_kept_each_with_its_own_files(
    keep: str, kinds: set[str], folder: Path, tmp_path: Path
) -> None:
    files = kept(folder, tmp_path, keep=keep)
    assert set(files) == kinds
    for kind, path in files.items():
        content = sidecar.read(path)
        assert content["kept"] == kind
        assert content["history_file"] == sidecar.sidecar_of(path).name
        assert checkpoint.load(path)
        with np.load(sidecar.per_query_of(path)) as values:
            assert values["mrr_10"].mean() == pytest.approx(content["eval_results"]["mrr_10"])
        if kind.startswith("epoch"):
            assert content["epoch"] == int(kind.removeprefix("epoch"))
            row = content["training_stats"]["evaluation_stats"][-1]
            assert row["mrr_10"] == content["eval_results"]["mrr_10"]
    assert len(list((tmp_path / "checkpoints").glob("*.json"))) == len(kinds)
    assert len(list((tmp_path / "checkpoints").glob("*.npz"))) == len(kinds)
    assert len(names.listing(tmp_path / "checkpoints").entries) == 1


def test_the_last_weights_are_those_of_the_last_epoch(folder: Path, tmp_path: Path) -> None:
    last = torch.load(kept(folder, tmp_path / "a", keep="last")["last"], weights_only=True)
    third = torch.load(kept(folder, tmp_path / "b", keep="all")["epoch3"], weights_only=True)
    assert (last["epoch"], last["eval_results"]) == (3, third["eval_results"])
    for name, value in last["model_state_dict"].items():
        assert torch.equal(value, third["model_state_dict"][name])


def test_kept_epochs_are_evaluated_on_all_of_dev(folder: Path, tmp_path: Path) -> None:
    files = kept(folder, tmp_path, keep="1", eval_max_queries=3)
    assert {sidecar.read(path)["eval_results"]["judged"] for path in files.values()} == {10}


@pytest.mark.parametrize("keep", ["", "0", "-1", "none", "1.5", "best ", "²"])
def test_another_word_is_refused_before_anything_begins(keep: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="want best, last, all or a number of epochs, at least 1"):
        train.run(small(folder, tmp_path, keep=keep))
    assert not (tmp_path / "checkpoints").exists()
    assert keeper.latest("all") == math.inf


def test_at_the_end_best_file_and_next_commands_are_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = kept(folder, tmp_path)["best"]
    out = capsys.readouterr()
    assert out.out == f"{path}\n"
    content = sidecar.read(path)
    best = f"best MRR@10 {content['eval_results']['mrr_10']:.4f} at epoch {content['epoch']}, "
    assert best in out.err
    assert out.err.endswith(
        f'next: twotower leaderboard checkpoint_dir={path.parent}\nnext: twotower search "..." '
        f"checkpoint={path}\n"
    )


def test_a_disk_that_refuses_the_log_stops_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Path, mode: str = "r", **how: Any) -> Any:
        return open("/dev/full", mode, **how) if self.name == "metrics.jsonl" else real(self, mode, **how)

    real = Path.open
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    monkeypatch.setattr(Path, "open", full)
    path = kept(folder, tmp_path)["best"]
    assert len(sidecar.read(path)["training_stats"]["evaluation_stats"]) == 4
    assert capsys.readouterr().err.count("a row is missing (No space left on device)") == 1


def test_ranks_are_counted_in_bins_that_grow() -> None:
    ranks = np.array([1, 1, 2, 7, 100, 0])
    values = np.divide(1.0, ranks, out=np.zeros(6), where=ranks > 0)
    counts, edges = keeper.rank_counts({"mrr_100": values, "mrr_1": values, "map_100": values})
    assert edges == [1, 2, 3, 4, 6, 9, 13, 21, 33, 51, 81, 101, 202]
    assert counts == [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]
    assert keeper.rank_counts({"map_100": values}) == ([], [])


def test_a_row_of_the_log_is_json(folder: Path, tmp_path: Path) -> None:
    began = time.time()
    kept(folder, tmp_path)
    (log,) = (tmp_path / "checkpoints" / "runs").glob("*/metrics.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(row.get("seconds", 0) for row in rows) < time.time() - began


def test_each_evaluation_says_how_the_vectors_lie(folder: Path, tmp_path: Path) -> None:
    stats = sidecar.read(kept(folder, tmp_path)["best"])["training_stats"]
    for row in stats["evaluation_stats"]:
        geometry = {name for name in row if name.startswith("geometry_")}
        assert {"geometry_mean_cosine", "geometry_effective_rank", "geometry_hub_skew"} <= geometry
    assert not any(name.startswith("geometry_") for name in stats["best_metrics"])


def test_a_collapsed_space_is_said_once_and_not_of_untrained_towers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keeper.geometry, "warning", lambda found: f"rank {found['effective_rank'] > 0}")
    kept(folder, tmp_path)
    assert [line for line in capsys.readouterr().err.splitlines() if "rank True" in line] == [
        "epoch 1: rank True"
    ]
