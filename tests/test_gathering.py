from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_case import PROTOCOL, TEST, again, history, ids, keep, put, scores

from twotower.evaluation import results
from twotower.evaluation.document import document
from twotower.evaluation.gathering import gather
from twotower.evaluation.leaderboard import Asked, board
from twotower.evaluation.row import Row
from twotower.model import sidecar

DEV = PROTOCOL.key


def only(folder: Path, key: str = DEV, metric: str = "mrr_10") -> Row:
    (row,) = gather(folder, metric).rows[key]
    return row


def test_a_sidecar_alone_is_a_row_with_its_values(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3, training_stats=history((0, 0.1), (5, 0.3)))
    row = only(tmp_path)
    assert (row.name, row.checkpoint, row.own, row.epochs) == ("a-000000", str(path), True, 2)
    assert row.cost == {"seconds": 12.5, "parameters": 1000, "checkpoint_mb": 2.5}
    assert row.more["towers"] == "mlp/gru"
    np.testing.assert_array_equal(row.values, scores(0.3))


def test_sidecar_and_kept_evaluation_under_one_protocol_are_one_row_with_the_kept_figures(
    tmp_path: Path,
) -> None:
    path = put(tmp_path, "a-000000", 0.3, cost={"seconds": 12.5, "peak_mb": 700.0})
    leak = {"leaky": 2}
    again(path, scores(0.31), leak=leak, cost={"docs_per_second": 9.0, "peak_mb": 50.0})
    row = only(tmp_path)
    assert row.metrics["mrr_10"] == pytest.approx(0.31)
    assert row.values is not None
    assert row.values.mean() == pytest.approx(0.31)
    assert row.leak == leak
    assert row.cost == {"seconds": 12.5, "peak_mb": 700.0, "docs_per_second": 9.0, "checkpoint_mb": 2.5}


def test_the_newest_evaluation_that_has_the_metric_counts(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3)
    again(path, scores(0.31), created="2026-02-02T00:00:00")
    again(path, scores(0.32), created="2026-02-03T00:00:00", metrics={"ndcg_10": 0.4, "mrr_5": 0.1})
    row = only(tmp_path)
    assert row.metrics["mrr_10"] == pytest.approx(0.31)
    assert row.metrics["ndcg_10"] == 0.4
    assert row.values is not None


def test_an_evaluation_of_what_the_file_was_before_is_outdated_and_said(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3)
    again(path, scores(0.9))
    content = sidecar.read(path)
    path.write_bytes(b"other weights")
    sidecar.write(path, content)
    found = gather(tmp_path, "mrr_10")
    assert found.rows[DEV][0].metrics["mrr_10"] == 0.3
    assert found.alarms == [
        "kept evaluations that are outdated and left out, as their checkpoint has changed or is gone: "
        "a-000000 (dev); `twotower evaluate` makes them anew"
    ]


def test_an_evaluation_whose_checkpoint_is_gone_is_no_row(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3)
    again(path, scores(0.9), TEST)
    for file in tmp_path.glob("*a-000000*.*"):
        file.unlink()
    found = gather(tmp_path, "mrr_10")
    assert found.rows == {}
    assert "a-000000 (test)" in found.alarms[0]


def test_a_checkpoint_that_was_renamed_is_known_by_its_content(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3)
    again(path, scores(0.4), TEST)
    content = sidecar.read(path)
    sidecar.sidecar_of(path).unlink()
    moved = path.rename(tmp_path / "mine.pt")
    sidecar.write(moved, content)
    assert only(tmp_path, TEST.key).checkpoint == str(moved)
    assert gather(tmp_path, "mrr_10").alarms == []


def test_a_checkpoint_that_was_evaluated_later_alone_is_not_left_out(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", None)
    assert gather(tmp_path, "mrr_10").left_out == [(path.name, "was never evaluated")]
    again(path, scores(0.4))
    assert gather(tmp_path, "mrr_10").left_out == []
    assert not only(tmp_path).own or only(tmp_path).epochs == 1


def test_figures_without_a_protocol_compare_with_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.3, protocol=None)
    ((_, why),) = gather(tmp_path, "mrr_10").left_out
    assert why.startswith("its mrr_10 of 0.3000 has no protocol, so it compares with nothing")


def test_weights_of_another_epoch_are_a_row_once_they_were_evaluated(tmp_path: Path) -> None:
    best = put(tmp_path, "a-000000", 0.3)
    epoch = tmp_path / best.name.replace("best", "epoch2")
    epoch.write_bytes(b"earlier weights")
    sidecar.write(epoch, {"run": "a-000000", "kept": "epoch2"})
    assert [row.name for row in gather(tmp_path, "mrr_10").rows[DEV]] == ["a-000000"]
    again(epoch, scores(0.2))
    assert [row.name for row in gather(tmp_path, "mrr_10").rows[DEV]] == ["a-000000", "a-000000 epoch2"]


def test_run_files_and_vectors_are_rows_each_content_once(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.3)
    folder = tmp_path / results.FOLDER
    keep(folder, "old name", scores(0.2), identity="x", created="2026-01-01")
    keep(folder, "new name", scores(0.2), identity="x", created="2026-01-02")
    keep(folder, "vectors", scores(0.25), kind="vectors")
    keep(folder, "other", scores(0.25), metrics={"ndcg_10": 0.5})
    found = gather(tmp_path, "mrr_10")
    assert [(row.name, row.kind) for row in found.rows[DEV][1:]] == [
        ("new name", "run"),
        ("vectors", "vectors"),
    ]
    assert [why for _, why in found.left_out] == [
        f"has no mrr_10 (tiny dev, full corpus, relevant from grade 1 ({DEV}))"
    ]


def test_geometry_comes_from_the_kept_epoch_where_no_evaluation_measured_it(tmp_path: Path) -> None:
    rows = [{"epoch": n, "mrr_10": 0.3, "geometry_mean_cosine": n / 10} for n in (2, 3)]
    path = put(tmp_path, "a-000000", 0.3, epoch=3, training_stats={"evaluation_stats": rows})
    assert only(tmp_path).geometry == {"mean_cosine": 0.3}
    again(path, scores(0.3), geometry={"mean_cosine": 0.9})
    assert only(tmp_path).geometry == {"mean_cosine": 0.9}


def test_damaged_values_leave_the_row_and_say_why(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3)
    np.savez(sidecar.per_query_of(path), query_ids=ids(540), mrr_10=scores(0.5))
    row = only(tmp_path)
    assert row.values is None
    assert "per-query values of another evaluation" in row.problem


def test_a_kept_evaluation_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.3)
    (tmp_path / results.FOLDER).mkdir()
    (tmp_path / results.FOLDER / "bad.json").write_text('{"format": 1}')
    ((name, why),) = gather(tmp_path, "mrr_10").left_out
    assert name == "evaluations/bad.json"
    assert "not a kept evaluation" in why


@pytest.mark.parametrize(
    "content",
    [
        {"training_stats": {"config": [1], "training_stats": "x", "evaluation_stats": {"a": 1}}},
        {
            "training_stats": {
                "config": {"query_tower": "mlp", "seed": [1], "sweep": 3},
                "evaluation_stats": [1],
            }
        },
        {"data": "x", "cost": {"seconds": "12", "parameters": {}}, "epoch": [3], "created": 5},
        {"training_stats": {"evaluation_stats": [{"epoch": {}, "mrr_10": "high"}]}, "history_file": 3},
    ],
)
def test_a_sidecar_that_others_wrote_differently_is_shown_as_far_as_it_goes(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    put(tmp_path, "a-000000", 0.3, **content)
    found = document(board(tmp_path, "mrr_10", Asked(draws=500, after=10.0)), whole=True)
    assert found["groups"][0]["rows"][0]["metrics"]["mrr_10"] == 0.3
