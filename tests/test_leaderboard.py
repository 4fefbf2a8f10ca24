import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_case import OTHER, PROTOCOL, TEST, TOWERS, again, history, ids, keep, noisy, put, scores, seed
from conftest import Command

from twotower import cli
from twotower.data.collection import Judgements
from twotower.evaluation import candidates, floors, metrics, results
from twotower.evaluation.leaderboard import Asked, Board, board
from twotower.model import sidecar

FLOORS = {"chance": {"mrr_10": 0.01}, "bm25": {"mrr_10": 0.15}, "untrained": {"mrr_10": 0.05}}
QUICK = Asked(draws=1000)

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
        assert cli.main(["leaderboard", "draws=1000", *words]) == 0
        out = capsys.readouterr()
        return out.out, out.err

    return run


def rows(folder: Path, metric: str = "mrr_10", **asked: Any) -> list[tuple[str, float]]:
    (group,) = board(folder, metric, replace(QUICK, **asked)).groups
    return [(row.name, row.metrics[metric]) for row in group.rows]


def names(found: Board) -> list[list[str]]:
    return [[row.name for row in group.rows if not row.floor] for group in found.groups]


# what stands in a table, and in which order


def test_checkpoints_and_floors_stand_in_one_table_best_first(folder: Path) -> None:
    assert rows(folder) == [
        ("b-000000", 0.3),
        ("c-000000", 0.2),
        ("bm25", 0.15),
        ("a-000000", 0.1),
        ("untrained, best of 2", 0.07),
        ("chance", 0.01),
    ]


def test_the_floors_stand_however_few_rows_are_asked_for(folder: Path) -> None:
    names = [name for name, _ in rows(folder, top=1)]
    assert names == ["b-000000", "bm25", "untrained, best of 2", "chance"]


def test_rows_that_are_not_shown_are_compared_all_the_same(folder: Path) -> None:
    whole, first = board(folder, "mrr_10", QUICK), board(folder, "mrr_10", replace(QUICK, top=1))
    assert first.groups[0].verdict == whole.groups[0].verdict
    assert first.ranked == whole.ranked == 3


def test_of_equals_the_earlier_run_stands_first_and_is_best(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.0, created="2026-01-02T00:00:00")
    first = put(tmp_path, "z-000000", 0.0, created="2026-01-01T00:00:00")
    found = board(tmp_path, "mrr_10", QUICK)
    assert names(found) == [["z-000000", "a-000000"]]
    assert found.best().checkpoint == str(first)


def test_rows_of_different_protocols_are_never_ranked_together(folder: Path) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER.to_dict())
    found = board(folder, "mrr_10", QUICK)
    assert names(found) == [["d-000000"], ["b-000000", "c-000000", "a-000000"]]
    with pytest.raises(ValueError, match="best_only: 2 protocols, whose numbers do not compare: other dev"):
        found.best()


def test_a_checkpoint_of_two_protocols_is_a_row_in_each_and_best_by_that_of_its_training(
    folder: Path,
) -> None:
    worst = next(folder.glob("two_tower_best_a-*.pt"))
    again(worst, scores(0.8, 300), TEST)
    found = board(folder, "mrr_10", QUICK)
    assert names(found) == [["b-000000", "c-000000", "a-000000"], ["a-000000"]]
    assert [group.judged for group in found.groups] == [540, 300]
    assert found.best().name == "b-000000"


def test_own_lists_and_the_corpus_are_never_ranked_together(folder: Path) -> None:
    own = [replace(PROTOCOL, candidates=f"own-00000000000{digit}").to_dict() for digit in "ab"]
    put(folder, "d-000000", 0.9, protocol=own[0])
    put(folder, "e-000000", 0.8, protocol=own[1])
    assert sorted(map(len, names(board(folder, "mrr_10", QUICK)))) == [1, 1, 3]


def test_what_is_not_in_a_table_is_listed_with_the_reason(folder: Path) -> None:
    put(folder, "never-000000", None)
    put(folder, "old-000000", 0.1, eval_results={"recall_10": 0.5, "judged": 540})
    broken = put(folder, "broken-000000", 0.9)
    sidecar.sidecar_of(broken).write_text("{")
    found = board(folder, "mrr_10", QUICK)
    assert (found.found, found.ranked) == (6, 3)
    reasons = {name.split("_")[3]: why for name, why in found.left_out}
    assert reasons["never-000000"] == "was never evaluated"
    assert reasons["old-000000"] == "has no mrr_10"
    assert "not a sidecar" in reasons["broken-000000"]


def test_a_metric_goes_by_any_of_its_names_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1, eval_results={"success_1": 0.5, "judged": 540})
    assert board(tmp_path, "accuracy_1", QUICK).metric == "success_1"
    with pytest.raises(ValueError, match="metric"):
        board(tmp_path, "loss")


def test_an_empty_folder_has_no_best(tmp_path: Path) -> None:
    found = board(tmp_path, "mrr_10")
    assert (found.found, found.groups, found.alarms) == (0, [], [])
    with pytest.raises(FileNotFoundError, match=r"no checkpoint has mrr_10 \(0 found\)"):
        found.best()


def test_the_runs_of_one_sweep_stand_alone_if_it_is_named(folder: Path) -> None:
    put(folder, "s-000000", 0.25, training_stats={"config": TOWERS | {"sweep": "weekend"}})
    assert rows(folder, sweep="weekend")[0][0] == "s-000000"
    assert len(names(board(folder, "mrr_10", replace(QUICK, sweep="weekend")))[0]) == 1
    with pytest.raises(
        ValueError, match="sweep: no run here is of 'monday'; sweeps of the runs here: weekend"
    ):
        board(folder, "mrr_10", Asked(sweep="monday"))


# the verdict, by way of files


def coin_flippers(folder: Path, count: int, seed: int) -> None:
    """Untrained rows: random scores of ten candidates for each of 48 queries, the first of them relevant."""
    lists = candidates.Lists(np.arange(48), np.arange(480), np.arange(49) * 10)
    judged = Judgements(np.arange(48), np.arange(48) * 10, np.ones(48, dtype=np.int64))
    own = replace(PROTOCOL, candidates="own-00000000000a", mean_candidates=10.0, most_candidates=10)
    none = np.zeros(48, dtype=np.int64)
    for number in range(count):
        drawn = np.random.default_rng(1000 * seed + number).random((48, 10))
        order = np.argsort(-drawn, axis=1)
        ranking = metrics.Ranking(
            scores=-np.sort(-drawn, axis=1),
            grades=(order == 0).astype(np.int64),
            tail_size=none,
            tail_grades=np.zeros((48, 1), dtype=np.int64),
            judged=np.ones((48, 1), dtype=np.int64),
        )
        values = metrics.evaluate(ranking, [1, 5, 10], min_grade=1)
        means = {name: float(one.mean()) for name, one in values.items()} | {"queries": 48, "judged": 48}
        floor = floors.chance(lists, judged, ks=[1, 5, 10], min_grade=1).metrics
        path = put(
            folder,
            f"r{number:02}-000000",
            0.0,
            eval_results=means,
            protocol=own.to_dict(),
            floors={"chance": floor},
        )
        np.savez(sidecar.per_query_of(path), query_ids=ids(48), **values)


def test_of_twenty_untrained_rows_none_wins_and_luck_is_said(tmp_path: Path) -> None:
    coin_flippers(tmp_path, 20, seed=0)
    (group,) = board(tmp_path, "mrr_10").groups
    assert group.verdict.startswith("no winner: nothing here stands above chance (0.2929) by more than luck.")
    assert group.luck is not None
    assert (group.luck.rows, group.luck.tried) == (20, 20)
    assert group.luck.mean == pytest.approx(0.293, abs=0.015)  # (1 + 1/2 + ... + 1/10) / 10
    assert group.luck.best == pytest.approx(0.37, abs=0.015)
    assert f"The best of 20 equal ones would show MRR@10 {group.luck.best:.3f} by luck" in group.verdict
    assert (
        "saturated: recall_10, success_10: at most 10 candidates a query, 1.0 for every model" in group.alarms
    )
    assert "48 judged queries; below 200 small gaps are luck" in group.alarms
    assert {row.letters for row in group.rows} == {"a"}


def test_of_forty_rows_the_one_that_is_better_by_five_standard_errors_is_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = noisy([0.3] * 40, 540, rng)
    error = (values[7] - values[8]).std() / np.sqrt(540)
    values[7] = np.clip(values[7] + 5 * error, 0, 1)
    for number, each in enumerate(values):
        put(tmp_path, f"r{number:02}-000000", float(each.mean()), values=each)
    (group,) = board(tmp_path, "mrr_10").groups
    assert group.verdict.startswith("r07-000000 is best: told apart from all 39 others.")
    assert [row.letters for row in group.rows] == ["a"] + ["b"] * 39
    assert not [alarm for alarm in group.alarms if "luck" in alarm]


def test_floors_are_tested_where_the_cache_has_them_query_by_query(folder: Path) -> None:
    keep(Path("cache") / "floors" / PROTOCOL.key, "bm25", scores(0.15), kind="floor")
    (group,) = board(folder, "mrr_10", replace(QUICK, cache_dir=Path("cache"))).groups
    assert [row.name for row in group.rows].count("bm25") == 1
    bm25 = next(row for row in group.rows if row.name == "bm25")
    assert bm25.letters == "c"
    assert "mrr_10" in bm25.intervals
    assert group.verdict.startswith(
        "b-000000 is best: told apart from all 2 others and from bm25 and chance."
    )


def test_tried_epochs_count_as_tries_under_the_protocol_of_training_alone(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.3, training_stats=history((0, 0.1), (5, 0.3), (5, 0.2)))
    put(tmp_path, "b-000000", 0.2)
    again(path, scores(0.3, 300), TEST)
    dev, test = board(tmp_path, "mrr_10", QUICK).groups
    assert dev.luck is not None
    assert (dev.luck.rows, dev.luck.tried) == (2, 4)  # three epochs, and one that left no history
    assert test.luck is None


def test_wins_ties_and_losses_are_counted_against_the_baseline(folder: Path) -> None:
    (group,) = board(folder, "mrr_10", replace(QUICK, baseline="c")).groups
    best = group.rows[0].versus
    assert best is not None
    # 162 and 108 of 540 queries are answered, the same ones first
    assert (best["baseline"], best["wins"], best["ties"], best["losses"]) == ("c-000000", 54, 486, 0)
    assert best["difference"] == pytest.approx(0.1)
    assert best["p"] < 0.01
    with pytest.raises(ValueError, match="baseline: no row is named 'nobody'; rows: b-000000, c-000000"):
        board(folder, "mrr_10", replace(QUICK, baseline="nobody"))


def test_a_baseline_without_values_is_said(folder: Path) -> None:
    (group,) = board(folder, "mrr_10", replace(QUICK, baseline="bm25")).groups
    assert "baseline bm25 has no per-query values: no wins and losses against it" in group.alarms


def test_at_equal_time_the_one_that_learns_sooner_is_best(tmp_path: Path) -> None:
    put(tmp_path, "slow-000000", 0.4, training_stats=history((0, 0.1), (50, 0.2), (50, 0.4)))
    put(tmp_path, "fast-000000", 0.3, training_stats=history((0, 0.1), (10, 0.3), (10, 0.25)))
    (group,) = board(tmp_path, "mrr_10", replace(QUICK, after=60)).groups
    assert [row.after for row in group.rows] == [
        {"seconds": 60, "mrr_10": 0.2},
        {"seconds": 60, "mrr_10": 0.3},
    ]
    assert group.verdict.endswith("After 60 s of training fast-000000 was best (MRR@10 0.3000).")


def test_several_seeds_are_one_row_that_can_be_expanded(tmp_path: Path) -> None:
    paths = [seed(tmp_path, f"mlp-00000{number}", mrr, number) for number, mrr in enumerate((0.2, 0.4, 0.3))]
    put(tmp_path, "gru-000000", 0.1)
    assert rows(tmp_path) == [("mlp (3 seeds)", pytest.approx(0.3)), ("gru-000000", 0.1)]
    assert len(rows(tmp_path, expand=True)) == 4
    found = board(tmp_path, "mrr_10", QUICK)
    assert found.best().checkpoint == str(paths[1])
    assert found.ranked == 4


# choosing and reporting


def two_splits(folder: Path) -> dict[str, Path]:
    """Three runs on dev, of which two are measured on test, where the order is the other one."""
    paths = {name: put(folder, f"{name}-000000", mrr) for name, mrr in (("a", 0.5), ("b", 0.3), ("c", 0.2))}
    again(paths["a"], scores(0.2, 300), TEST)
    again(paths["b"], scores(0.4, 300), TEST)
    return paths


def test_one_split_chooses_and_the_other_reports_and_orders_nothing(tmp_path: Path) -> None:
    paths = two_splits(tmp_path)
    found = board(tmp_path, "mrr_10", replace(QUICK, choose_split="dev", report_split="test"))
    (group,) = found.groups
    assert [row.name for row in group.rows] == ["a-000000", "b-000000", "c-000000"]
    assert [row.reported and row.reported["metrics"]["mrr_10"] for row in group.rows] == [
        pytest.approx(0.2),
        pytest.approx(0.4),
        None,
    ]
    assert found.best().checkpoint == str(paths["a"])
    assert group.choice is not None
    assert group.choice["chosen"] == "a-000000"
    assert group.choice["metrics"]["mrr_10"] == pytest.approx(0.2)
    low, high = group.choice["intervals"]["mrr_10"]
    assert low < 0.2 < high
    assert f"checkpoint={paths['c']} split=test` measures it" in group.alarms[-1]


def test_changing_the_split_that_reports_changes_no_order(tmp_path: Path) -> None:
    paths = two_splits(tmp_path)
    asked = replace(QUICK, choose_split="dev", report_split="test")
    before = names(board(tmp_path, "mrr_10", asked))
    again(paths["c"], scores(0.9, 300), TEST)
    again(paths["a"], scores(0.0, 300), TEST, created="2026-03-01T00:00:00")
    after = board(tmp_path, "mrr_10", asked)
    assert names(after) == before
    assert after.best().checkpoint == str(paths["a"])


@pytest.mark.parametrize(
    ("choose", "report", "said"),
    [
        ("dev", "", "report_split: missing, want it with choose_split=dev"),
        ("", "test", "choose_split: missing, want it with report_split=test"),
        ("dev", "dev", "report_split: got 'dev', which choose_split is too"),
        ("dev", "train", r"no rows of one corpus on both \(splits here: dev, test\); `twotower evaluate"),
    ],
)
def test_splits_that_do_not_fit_are_refused(tmp_path: Path, choose: str, report: str, said: str) -> None:
    two_splits(tmp_path)
    with pytest.raises(ValueError, match=said):
        board(tmp_path, "mrr_10", Asked(choose_split=choose, report_split=report))


# the command


def test_the_table_shows_value_interval_letters_and_cost(folder: Path, printed: Printed) -> None:
    out, err = printed()
    line = next(line for line in out.splitlines() if "b-000000" in line and "0.3000" in line)
    # the standard error is sqrt(0.3 * 0.7 / 540) = 0.0197
    assert line.split()[:4] == ["b-000000", "a", "0.3000", "0.259-0.339"]
    assert line.split()[4:] == ["0.6000", "12.5*", "1,000*", "2.50*", "mlp/gru", "2026-01-01", "00:00"]
    assert f"{PROTOCOL} ({PROTOCOL.key}), 540 queries" in out
    assert "b-000000 is best: told apart from all 2 others" in out
    assert "3 checkpoints found, 3 with MRR@10" in err


def test_alarms_stand_above_the_table(folder: Path, command: Command) -> None:
    put(folder, "few-000000", 0.5, queries=48, protocol=OTHER.to_dict())
    code = "import os; os.dup2(1, 2); from twotower.cli import main; main(['leaderboard', 'draws=500'])"
    out = command(code=code).stdout
    assert 0 < out.index("alarm: 48 judged queries") < out.index("few-000000")


def test_verbose_adds_epoch_and_history_from_inside_the_file(folder: Path, printed: Printed) -> None:
    out, _ = printed("verbose=true")
    line = next(line for line in out.splitlines() if "c-000000" in line and "0.2000" in line)
    assert line.split()[-2:] == ["3", "training_history_c-000000_20260101_000000.json"]


def test_best_only_prints_the_path_alone(folder: Path, printed: Printed) -> None:
    path = str(Path("checkpoints") / "two_tower_best_b-000000_20260101_000000.pt")
    assert printed("best_only=true") == (f"{path}\n", "")
    out, _ = printed("best_only=true", "format=json")
    assert json.loads(out) == {"checkpoint": path}


def test_best_only_says_which_seed_it_names(workplace: Path, printed: Printed) -> None:
    for number, mrr in enumerate((0.2, 0.4)):
        seed(workplace / "checkpoints", f"mlp-00000{number}", mrr, number)
    out, err = printed("best_only=true")
    assert "mlp-000001" in out
    assert err == "mlp (2 seeds) is the best row; of its seeds 1 is the best\n"


def test_json_is_one_document_with_groups_rows_and_alarms(folder: Path, printed: Printed) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER.to_dict())
    document = json.loads(printed("format=json")[0])
    first, second = document["groups"]
    assert first["protocol"]["collection"] == "other"
    assert second["protocol"]["key"] == PROTOCOL.key
    row: dict[str, Any] = second["rows"][0]
    assert (row["name"], row["kind"], row["metrics"]["mrr_10"]) == ("b-000000", "checkpoint", 0.3)
    assert row["checkpoint"].endswith("two_tower_best_b-000000_20260101_000000.pt")
    assert row["cost"]["parameters"] == 1000
    assert {row["kind"] for row in second["rows"]} == {"checkpoint", "floor"}


def test_html_is_one_page_with_every_row(folder: Path, printed: Printed) -> None:
    out, _ = printed("format=html")
    assert out.lstrip().startswith("<!doctype html>")
    assert "b-000000" in out
    assert "told apart from all 2 others" in out


def test_csv_is_one_table_with_the_protocol_in_each_row(folder: Path, printed: Printed) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER.to_dict())
    head, *body = csv.reader(io.StringIO(printed("format=csv")[0]))
    assert head[:6] == ["protocol", "name", "same?", "MRR@10", "low", "high"]
    assert {len(row) for row in body} == {len(head)}
    assert len({row[0] for row in body}) == 2
    assert [row[1] for row in body][:2] == ["d-000000", "b-000000"]


def test_markdown_has_a_table_for_each_protocol(folder: Path, printed: Printed) -> None:
    put(folder, "d-000000", 0.9, protocol=OTHER.to_dict())
    out, _ = printed("format=markdown")
    first, second = out.split("## ")[1:]
    assert "| d-000000 |" in first
    assert "d-000000" not in second
    assert "| b-000000 |" in second


@pytest.mark.parametrize("form", ["json", "html", "table"])
def test_the_command_imports_nothing_slow(command: Command, folder: Path, form: str) -> None:
    code = (
        "import sys; from twotower.cli import main;"
        f"code = main(['leaderboard', 'draws=500', 'format={form}']);"
        "sys.exit(code or bool({'torch', 'scipy', 'polars', 'faiss'} & set(sys.modules)))"
    )
    done = command(code=code)
    assert done.returncode == 0, done.stderr


@pytest.mark.bench
def test_five_hundred_checkpoints_are_listed_in_two_seconds(workplace: Path, command: Command) -> None:
    many(workplace / "checkpoints", 500)
    spent = []
    for _ in range(3):
        before = time.perf_counter()
        done = command("leaderboard", "format=json")
        spent.append(time.perf_counter() - before)
        assert len(json.loads(done.stdout)["groups"][0]["rows"]) == 501
    assert min(spent) < 2, f"{min(spent):.2f} s"


def many(folder: Path, count: int) -> None:
    """Runs as training leaves them: ten epochs, every knob, 30 metrics of 540 queries."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    stems = [*(f"{stem}_{k}" for stem in metrics.NAMES for k in (1, 5, 10, 50, 100))]
    config = TOWERS | {f"knob_{n}": n for n in range(60)}
    drawn = noisy(rng.normal(0.3, 0.02, count), 540, rng)
    for number, values in enumerate(drawn):
        means = {name: float(values.mean()) for name in stems}
        stats = {
            "config": config,
            "training_stats": [{"epoch": n, "train_loss": 1.0, "seconds": 3.0} for n in range(1, 11)],
            "evaluation_stats": [{"epoch": n, "dev_loss": 1.0, **means} for n in range(11)],
        }
        path = folder / f"two_tower_best_r{number:03}-000000_20260101_000000.pt"
        path.write_bytes(str(number).encode())
        content = {"run": f"r{number:03}-000000", "created": "2026", "training_stats": stats, "epoch": 10}
        content |= {"protocol": PROTOCOL.to_dict(), "eval_results": {**means, "judged": 540}}
        sidecar.write(path, content | {"floors": {"chance": dict.fromkeys(stems, 0.001)}})
        np.savez(sidecar.per_query_of(path), query_ids=ids(540), **dict.fromkeys(stems, values))


def test_outdated_and_damaged_evaluations_are_said_and_the_rest_goes_on(folder: Path) -> None:
    path = next(folder.glob("two_tower_best_a-*.pt"))
    again(path, scores(0.9), identity="of the file that was there before")
    (folder / results.FOLDER / "bad.json").write_text("{")
    sidecar.per_query_of(next(folder.glob("two_tower_best_c-*.pt"))).write_bytes(b"PK damaged")
    found = board(folder, "mrr_10", QUICK)
    assert names(found) == [["b-000000", "c-000000", "a-000000"]]
    assert [(name, why[-40:]) for name, why in found.left_out if "bad" in name]
    assert "outdated" in found.alarms[0]
    assert any("c-000000: no interval and no test" in alarm for alarm in found.alarms)
