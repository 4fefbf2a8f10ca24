import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from board_case import PROTOCOL, put
from conftest import Command

from twotower import cli
from twotower.evaluation.leaderboard import board
from twotower.model import sidecar

OTHER = replace(PROTOCOL, collection="other", corpus_hash="other").to_dict()
FLOORS = {"chance": {"mrr_10": 0.01}, "bm25": {"mrr_10": 0.15}, "untrained": {"mrr_10": 0.05}}

Printed = Callable[..., tuple[str, str]]


@pytest.fixture
def folder(workplace: Path) -> Path:
    """Three runs of one protocol with their floors."""
    path = workplace / "checkpoints"
    put(path, "a-000000", 0.10, floors={**FLOORS, "untrained": {"mrr_10": 0.07}})
    put(path, "b-000000", 0.30, floors=FLOORS)
    put(path, "c-000000", 0.20, floors=FLOORS)
    return path


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """stdout and stderr of `twotower leaderboard`."""

    def run(*words: str) -> tuple[str, str]:
        assert cli.main(["leaderboard", *words]) == 0
        out = capsys.readouterr()
        return out.out, out.err

    return run


def rows(folder: Path, metric: str = "mrr_10", top: int = 0) -> list[tuple[str, float]]:
    (group,) = board(folder, metric, top).groups
    return [(row.name, row.metrics[metric]) for row in group.rows]


def test_checkpoints_and_floors_stand_in_one_table_best_first(folder: Path) -> None:
    assert rows(folder) == [
        ("b-000000", 0.3),
        ("c-000000", 0.2),
        ("bm25", 0.15),
        ("a-000000", 0.1),
        ("untrained, best of 3", 0.07),
        ("chance", 0.01),
    ]


def test_the_floors_stand_however_few_rows_are_asked_for(folder: Path) -> None:
    names = [name for name, _ in rows(folder, top=1)]
    assert names == ["b-000000", "bm25", "untrained, best of 3", "chance"]


def test_one_untrained_model_is_not_called_the_best_of_several(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1, floors=FLOORS)
    assert ("untrained", 0.05) in rows(tmp_path)


def test_of_equals_the_earlier_run_stands_first_and_is_best(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.0, created="2026-01-02T00:00:00")
    first = put(tmp_path, "z-000000", 0.0, created="2026-01-01T00:00:00")
    found = board(tmp_path, "mrr_10")
    assert [row.name for row in found.groups[0].rows] == ["z-000000", "a-000000"]
    assert found.best() == str(first)


def test_rows_of_different_protocols_are_never_ranked_together(folder: Path) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER)
    found = board(folder, "mrr_10")
    assert [[row.name for row in group.rows if row.kind == "checkpoint"] for group in found.groups] == [
        ["d-000000"],
        ["b-000000", "c-000000", "a-000000"],
    ]
    with pytest.raises(ValueError, match="best_only: 2 protocols, whose numbers do not compare: other dev"):
        found.best()


def test_a_metric_that_short_lists_decide_is_an_alarm(tmp_path: Path) -> None:
    own = replace(PROTOCOL, candidates="own-00000000000a", mean_candidates=8.2, most_candidates=10)
    put(tmp_path, "a-000000", 0.4, protocol=own.to_dict())
    assert board(tmp_path, "mrr_10").alarms == [
        f"{own} ({own.key}): recall_10: at most 10 candidates a query, 1.0 for every model"
    ]


def test_own_lists_and_the_corpus_are_never_ranked_together(folder: Path) -> None:
    own = [replace(PROTOCOL, candidates=f"own-00000000000{digit}").to_dict() for digit in "ab"]
    put(folder, "d-000000", 0.9, protocol=own[0])
    put(folder, "e-000000", 0.8, protocol=own[1])
    groups = board(folder, "mrr_10").groups
    assert sorted(sum(row.kind == "checkpoint" for row in group.rows) for group in groups) == [1, 1, 3]


def test_what_is_not_in_a_table_is_listed_with_the_reason(folder: Path) -> None:
    put(folder, "never-000000", None)
    put(folder, "old-000000", 0.1, eval_results={"recall_10": 0.5})
    broken = put(folder, "broken-000000", 0.9)
    sidecar.sidecar_of(broken).write_text("{")
    found = board(folder, "mrr_10")
    assert found.found == 6
    reasons = {name.split("_")[3]: why for name, why in found.left_out}
    assert reasons["never-000000"] == "was never evaluated"
    assert reasons["old-000000"] == "has no mrr_10"
    assert "not a sidecar" in reasons["broken-000000"]


def test_a_floor_above_every_checkpoint_is_an_alarm(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.12, floors=FLOORS)
    assert board(tmp_path, "mrr_10").alarms == [
        f"{PROTOCOL} ({PROTOCOL.key}): bm25 (0.1500) stands above the best checkpoint"
    ]


def test_few_judged_queries_are_an_alarm(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.4118, eval_results={"mrr_10": 0.4118, "judged": 48})
    (alarm,) = board(tmp_path, "mrr_10").alarms
    assert alarm.endswith("48 judged queries; below 200 small gaps are luck")


def test_a_floor_without_the_metric_stands_last_and_raises_no_alarm(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.4, floors={"bm25": {"ndcg_10": 0.9}})
    found = board(tmp_path, "mrr_10")
    assert [row.name for row in found.groups[0].rows] == ["a-000000", "bm25"]
    assert found.alarms == []


def test_a_metric_goes_by_any_of_its_names_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1, eval_results={"success_1": 0.5, "judged": 540})
    assert board(tmp_path, "accuracy_1").metric == "success_1"
    with pytest.raises(ValueError, match="metric"):
        board(tmp_path, "loss")


def test_an_empty_folder_has_no_best(tmp_path: Path) -> None:
    found = board(tmp_path, "mrr_10")
    assert (found.found, found.groups, found.alarms) == (0, [], [])
    with pytest.raises(FileNotFoundError, match=r"no checkpoint has mrr_10 \(0 found\)"):
        found.best()


# the command


def test_the_table_shows_name_towers_metrics_and_cost(folder: Path, printed: Printed) -> None:
    out, err = printed()
    line = next(line for line in out.splitlines() if "b-000000" in line)
    assert line.split() == [
        "b-000000", "mlp/gru", "0.3000", "1.0000", "2.5", "1,000", "12.5", "2026-01-01", "00:00",
    ]  # fmt: skip
    assert f"{PROTOCOL}, 540 queries" in out
    assert "3 checkpoints found, 3 with MRR@10" in err


def test_verbose_adds_epoch_and_history_from_inside_the_file(folder: Path, printed: Printed) -> None:
    out, _ = printed("verbose=true")
    line = next(line for line in out.splitlines() if "b-000000" in line)
    assert line.split()[-2:] == ["3", "training_history_b-000000_20260101_000000.json"]


def test_best_only_prints_the_path_alone(folder: Path, printed: Printed) -> None:
    path = str(Path("checkpoints") / "two_tower_best_b-000000_20260101_000000.pt")
    assert printed("best_only=true") == (f"{path}\n", "")
    out, _ = printed("best_only=true", "format=json")
    assert json.loads(out) == {"checkpoint": path}


def test_json_is_one_document_with_groups_rows_and_alarms(folder: Path, printed: Printed) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER)
    document = json.loads(printed("format=json")[0])
    assert {"groups", "alarms"} <= document.keys()
    first, second = document["groups"]
    assert first["protocol"]["collection"] == "other"
    assert second["protocol"]["key"] == PROTOCOL.key
    row: dict[str, Any] = second["rows"][0]
    assert (row["name"], row["kind"], row["metrics"]["mrr_10"]) == ("b-000000", "checkpoint", 0.3)
    assert row["checkpoint"].endswith("two_tower_best_b-000000_20260101_000000.pt")
    assert row["cost"]["parameters"] == 1000
    assert {row["kind"] for row in second["rows"]} == {"checkpoint", "floor"}


def test_csv_is_one_table_with_the_protocol_in_each_row(folder: Path, printed: Printed) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER)
    head, *body = csv.reader(io.StringIO(printed("format=csv")[0]))
    assert head[:4] == ["protocol", "name", "towers", "MRR@10"]
    assert {len(row) for row in body} == {len(head)}
    assert len({row[0] for row in body}) == 2
    assert [row[1] for row in body][:2] == ["d-000000", "b-000000"]


def test_markdown_has_a_table_for_each_protocol(folder: Path, printed: Printed) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER)
    out, _ = printed("format=markdown")
    first, second = out.rstrip("\n").split("\n\n**")  # each heading stands after an empty line
    assert "d-000000" in first
    assert "d-000000" not in second
    assert "b-000000" in second


def test_the_command_imports_no_torch(command: Command, folder: Path) -> None:
    code = (
        "import sys; from twotower.cli import main; code = main(['leaderboard', 'format=json']);"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = command(code=code)
    assert done.returncode == 0, done.stderr
