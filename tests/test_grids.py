from dataclasses import replace

from twotower.evaluation import grids
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.results import Measured

PROTOCOL = Protocol(collection="tiny", split="dev", corpus_hash="c", queries_hash="q", qrels_hash="r")
ROW = Measured(
    name="first",
    kind="checkpoint",
    identity="a",
    protocol=PROTOCOL,
    metrics={"mrr_10": 0.25, "ndcg_10": 0.5, "queries": 9, "judged": 8},
    intervals={"mrr_10": (0.125, 0.375), "ndcg_10": (0.25, 0.75)},
)
PART = {"value": "1-3 words", "queries": 1200, "metrics": ROW.metrics, "intervals": ROW.intervals}


def test_a_row_has_its_interval_below_it_and_floors_below_all() -> None:
    grid = grids.metrics([ROW, replace(ROW, name="second")], {"chance": replace(ROW, name="chance")})
    assert grid.columns == ["name", "MRR@10", "nDCG@10"]
    assert [row[0] for row in grid.rows] == ["first", "95 % interval", "second", "95 % interval", "chance"]
    assert grid.rows[0] == ["first", "0.2500", "0.5000"]
    assert grid.rows[1] == ["95 % interval", "0.125 to 0.375", "0.250 to 0.750"]
    assert grid.dim == [False, True, False, True, True]
    assert f"8 of 9 queries, {PROTOCOL.key}" in grid.heading


def test_what_training_has_not_seen_is_scored_apart_if_it_has_seen_some() -> None:
    leak = {"leaky": 3, "queries": 8, "clean": {"mrr_10": 0.125, "ndcg_10": 0.25}}
    assert grids.metrics([replace(ROW, leak=leak)], {}).rows[2] == ["not seen (5)", "0.1250", "0.2500"]
    assert len(grids.metrics([replace(ROW, leak=leak | {"leaky": 0})], {}).rows) == 2
    assert len(grids.metrics([replace(ROW, leak=leak | {"leaky": 8, "clean": {}})], {}).rows) == 2


def test_cut_offs_of_ones_own_are_shown_where_none_of_the_usual_was_measured() -> None:
    only = {"metrics": {"mrr_7": 0.5}, "intervals": {"mrr_7": (0.0, 1.0)}}
    row = replace(ROW, metrics={"mrr_7": 0.5, "queries": 1, "judged": 1}, intervals=only["intervals"])
    assert grids.metrics([row], {}).columns == ["name", "MRR@7"]
    (grid,) = grids.slices([replace(row, slices={"length": [PART | only]})], ["length"])
    assert grid.rows == [["first", "1-3 words", "1,200", "0.5000", "0.000 to 1.000"]]


def test_a_slice_has_its_queries_and_the_interval_of_the_first_metric() -> None:
    (grid,) = grids.slices([replace(ROW, slices={"length": [PART]}), ROW], ["length", "unknown", "length"])
    assert grid.heading == "by length"
    assert grid.columns == ["name", "length", "queries", "MRR@10", "95 %", "nDCG@10"]
    assert grid.rows == [["first", "1-3 words", "1,200", "0.2500", "0.125 to 0.375", "0.5000"]]


def test_a_run_file_has_neither_cost_nor_geometry() -> None:
    vectors = replace(ROW, cost={"index_mb": 2.5}, geometry={"mean_cosine": 0.125})
    cost, geometry = grids.aside([vectors, ROW])
    assert cost.rows == [["first", "2.500"]]
    assert (geometry.columns, geometry.rows) == (["name", "mean cosine"], [["first", "0.125"]])
    assert list(grids.aside([ROW])) == []
