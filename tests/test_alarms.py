from dataclasses import replace

import pytest
from board_case import PROTOCOL, row

from twotower.evaluation import alarms
from twotower.evaluation.row import Row


def bare(name: str, problem: str = "") -> Row:
    return replace(row(name), ids=None, values=None, problem=problem)


def measured(name: str = "a", **metrics: float) -> Row:
    return row(name, metrics={"mrr_10": 0.3, **metrics})


def test_a_sound_group_raises_no_alarm() -> None:
    rows = [
        row("a", 0.35, metrics={"mrr_10": 0.35, "recall_1": 0.2, "recall_10": 0.6, "map_10": 0.3}),
        row(
            "b", 0.2, metrics={"mrr_10": 0.2, "recall_1": 0.1, "recall_10": 0.4, "map_10": 0.1}, p_best=0.001
        ),
        row("chance", 0.01, kind="floor"),
    ]
    assert alarms.all_of(rows, "mrr_10", 540) == []


@pytest.mark.parametrize(
    ("judged", "said"), [(199, ["199 judged queries; below 200 small gaps are luck"]), (200, [])]
)
def test_few_queries(judged: int, said: list[str]) -> None:
    assert alarms.few_queries(judged) == said


def test_what_short_lists_decide_is_saturated() -> None:
    own = replace(PROTOCOL, candidates="own-00000000000a", mean_candidates=8.2, most_candidates=10)
    rows = [measured(recall_10=1.0), measured("b", recall_10=1.0)]
    assert alarms.saturated(rows, own) == [
        "saturated: recall_10: at most 10 candidates a query, 1.0 for every model"
    ]
    assert len(alarms.saturated(rows, PROTOCOL)) == 1


def test_a_metric_is_saturated_only_where_every_row_has_it_nearly_whole() -> None:
    high, higher, low = (measured(recall_100=value) for value in (0.996, 1.0, 0.9))
    assert alarms.saturated([high, higher], PROTOCOL) == [
        "saturated: Recall@100 above 0.995 in every row, which tells none apart"
    ]
    assert alarms.saturated([high, low], PROTOCOL) == []
    assert alarms.saturated([high], PROTOCOL) == []  # one row has nothing to be told apart from


def test_map_that_equals_mrr_everywhere_shows_single_positives() -> None:
    same, other = measured(map_10=0.3), measured(map_10=0.25)
    assert "no query has a second relevant document" in alarms.single_positives([same, same])[0]
    assert alarms.single_positives([same, other]) == []
    assert alarms.single_positives([measured()]) == []


def test_recall_that_grows_faster_than_k_is_worse_than_chance_at_the_top() -> None:
    # chance would find 0.05 at 1 of the 0.5 at 10; its standard error over 540 queries is 0.0094
    (said,) = alarms.faster_than_k([measured("upside", recall_1=0.01, recall_10=0.5)], 540)
    assert said == (
        "upside: recall grows faster than k, worse than chance at the top: 0.0100 at 1, 0.5000 at 10"
    )
    assert alarms.faster_than_k([measured(recall_1=0.05, recall_10=0.5)], 540) == []
    assert alarms.faster_than_k([measured(recall_1=0.03, recall_10=0.5)], 540) == []  # within the error
    assert alarms.faster_than_k([measured(recall_1=0.0, recall_10=0.0)], 540) == []


def test_a_floor_is_not_asked_to_do_better_than_chance() -> None:
    assert (
        alarms.faster_than_k([row("f", kind="floor", metrics={"recall_1": 0.0, "recall_10": 1.0})], 540) == []
    )


def test_a_floor_above_the_best_row() -> None:
    floor = row("bm25", 0.15, kind="floor")
    assert alarms.floor_above([floor, row("a", 0.12)], "mrr_10") == [
        "bm25 (0.1500) stands above the best checkpoint"
    ]
    assert alarms.floor_above([row("a", 0.16), floor], "mrr_10") == []
    assert alarms.floor_above([row("a"), row("f", kind="floor", metrics={"ndcg_10": 0.9})], "mrr_10") == []


def test_an_interval_wider_than_the_gap_that_no_test_tells() -> None:
    first = row("a", 0.30, intervals={"mrr_10": (0.27, 0.33)})
    near = row("b", 0.29, p_best=0.4)
    assert alarms.wide([first, near], "mrr_10") == [
        "the first two stand 0.0100 apart, and the 95 % interval of the first is 0.0600 wide: their order "
        "may be luck"
    ]
    assert alarms.wide([first, replace(near, p_best=0.01)], "mrr_10") == []
    assert alarms.wide([first, row("b", 0.2, p_best=0.4)], "mrr_10") == []
    assert alarms.wide([first], "mrr_10") == []


def test_what_training_has_seen_is_counted_and_scored_apart() -> None:
    leak = {
        "train": "msmarco",
        "queries_same": 3,
        "queries_near": 0,
        "documents_same": 9,
        "documents_near": 1,
    }
    leak |= {"leaky": 12, "clean": {"mrr_10": 0.28}, "seen": {"mrr_10": 0.61}}
    assert alarms.seen([row("a", leak=leak), row("b", leak=leak), row("c")], "mrr_10") == [
        "leak, a and 1 more: training on msmarco has seen 12 of the queries: 3 queries the same, 9 documents "
        "the same, 1 document nearly the same; a has MRR@10 0.2800 on the others, 0.6100 on these"
    ]
    assert alarms.seen([row("a", leak=leak | {"leaky": 0}), row("b")], "mrr_10") == []


def test_a_collapsed_space_is_named() -> None:
    cone = row("cone", geometry={"mean_cosine": 0.999, "effective_rank": 1.1, "top_spread": 0.001})
    wide = row("wide", geometry={"mean_cosine": 0.1, "effective_rank": 60.0, "top_spread": 0.1})
    (said,) = alarms.collapsed([wide, cone])
    assert said.startswith("cone: ")
    assert "collapsed" in said
    assert alarms.collapsed([wide, row("a")]) == []


def test_rows_without_values_are_said_once_and_damaged_ones_each() -> None:
    said = alarms.without_values([row("a"), bare("b"), bare("c"), bare("d", "x.npz: damaged")])
    assert said == [
        "d: no interval and no test: x.npz: damaged",
        "b and 1 more: no per-query values, so no interval and no test; `twotower evaluate` makes them",
    ]
    assert alarms.without_values([row("a"), replace(bare("chance"), kind="floor")]) == []
