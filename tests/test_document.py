import json
from pathlib import Path
from typing import Any

from board_case import PROTOCOL, again, history, put, scores, seed

from twotower.evaluation import results
from twotower.evaluation.document import document
from twotower.evaluation.leaderboard import Asked, board
from twotower.evaluation.page import page

ROW = {
    *("name", "kind", "checkpoint", "letters", "metrics", "intervals", "cost", "pareto", "geometry", "leak"),
    *("slices", "p_best", "versus", "spread", "seeds", "after", "reported"),
    *("created", "epoch", "sweep", "towers", "history"),
}


def made(folder: Path, *, whole: bool = False, **asked: Any) -> dict[str, Any]:
    found = document(board(folder, "mrr_10", Asked(draws=500, **asked)), whole=whole)
    assert json.loads(json.dumps(found, allow_nan=False)) == found  # plain types, finite numbers
    return found


def test_the_document_has_every_key_of_its_schema(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.3, floors={"chance": {"mrr_10": 0.01}})
    put(tmp_path, "b-000000", 0.2)
    put(tmp_path, "c-000000", None)
    found = made(tmp_path)
    assert found.keys() == {"metric", "found", "left_out", "alarms", "groups"}
    assert found["left_out"][0].keys() == {"file", "why"}
    (group,) = found["groups"]
    assert group.keys() == {"protocol", "judged", "alarms", "verdict", "luck", "choice", "rows"}
    assert (group["protocol"]["key"], group["protocol"]["title"]) == (PROTOCOL.key, str(PROTOCOL))
    assert group["luck"].keys() == {"rows", "tried", "mean", "best", "tried_best"}
    assert all(row.keys() == ROW for row in group["rows"])
    assert len(group["rows"][0]["intervals"]["mrr_10"]) == 2


def test_alarms_of_a_group_stand_in_both_places(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.3, queries=48)
    found = made(tmp_path)
    (alarm,) = found["groups"][0]["alarms"]
    assert found["alarms"] == [f"{PROTOCOL} ({PROTOCOL.key}): {alarm}"]


def test_seeds_are_named_below_their_row(tmp_path: Path) -> None:
    paths = [seed(tmp_path, f"m-{n}", mrr, n) for n, mrr in enumerate((0.2, 0.4))]
    (row,) = made(tmp_path)["groups"][0]["rows"]
    assert row["spread"]["mrr_10"] > 0
    assert [(one["seed"], one["name"], one["checkpoint"]) for one in row["seeds"]] == [
        (1, "m-1", str(paths[1])),
        (0, "m-0", str(paths[0])),
    ]


def test_the_whole_has_history_knobs_and_diagnosis(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3, training_stats=history((0, 0.1), (5, 0.3), dim=64))
    again(path, scores(0.3))
    file = tmp_path / results.FOLDER / f"{path.stem}-{PROTOCOL.key}.diagnosis.json"
    file.write_text('{"judged": 540}')
    (row,) = made(tmp_path, whole=True)["groups"][0]["rows"]
    assert row.keys() == {*ROW, "curve", "config", "diagnosis"}
    assert [(one["epoch"], one["seconds"]) for one in row["curve"]] == [(0, 0.0), (1, 5.0)]
    assert row["config"]["query_tower.kind"] == "mlp"
    assert row["config"]["dim"] == 64
    assert row["diagnosis"] == {"judged": 540}
    file.write_text("{")
    assert made(tmp_path, whole=True)["groups"][0]["rows"][0]["diagnosis"] is None


def test_no_number_that_is_not_finite_reaches_a_program(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "mrr_10": 0.3, "dev_loss": 0.5}]
    path = put(
        tmp_path, "a-000000", 0.3, training_stats={"evaluation_stats": rows, "config": {"warmup": 0.5}}
    )
    file = path.with_name("training_history_a-000000_20260101_000000.json")
    file.write_text(file.read_text().replace("0.5", "NaN"))
    (row,) = made(tmp_path, whole=True)["groups"][0]["rows"]
    assert "dev_loss" not in row["curve"][0]
    assert row["config"] == {"warmup": None}


def test_the_report_page_is_made_of_it(tmp_path: Path) -> None:
    seed(tmp_path, "m-0", 0.2, 0)
    seed(tmp_path, "m-1", 0.3, 1)
    path = put(tmp_path, "<img>-000000", 0.3, floors={"chance": {"mrr_10": 0.01}})
    again(
        path, scores(0.3), leak={"train": "t", "leaky": 2, "clean": {"mrr_10": 0.2}, "seen": {"mrr_10": 0.9}}
    )
    text = page(made(tmp_path, whole=True, baseline="chance", after=10))
    assert "m (2 seeds)" in text
    assert "<img>" not in text
