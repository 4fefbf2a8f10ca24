import json

import page_case

from twotower.evaluation import cost
from twotower.evaluation.page_data import COSTS, alike, charts, finite, knobs, label, metrics_of


def configured(*configs: dict[str, object]) -> list[dict[str, object]]:
    return [{"config": config} for config in configs]


def test_only_knobs_that_differ_are_axes() -> None:
    found = knobs(configured({"dim": 64, "epochs": 3}, {"dim": 128, "epochs": 3}))
    assert found == [{"name": "dim", "values": [64, 128]}]


def test_where_a_run_lies_is_no_axis() -> None:
    one, two = (
        {"name": name, "seed": seed, "checkpoint_dir": name, "data.path": name}
        for seed, name in enumerate("ab")
    )
    assert knobs(configured(one, two)) == []


def test_a_knob_that_both_towers_share_is_one_axis() -> None:
    rows = [{f"{tower}.hidden_dim": width for tower in ("query_tower", "doc_tower")} for width in (64, 128)]
    assert knobs(configured(*rows)) == [{"name": "hidden_dim", "values": [64, 128]}]


def test_knobs_that_the_towers_do_not_share_stay_two() -> None:
    rows = [{"query_tower.hidden_dim": 64, "doc_tower.hidden_dim": width} for width in (64, 128)]
    assert [knob["name"] for knob in knobs(configured(*rows))] == ["doc_tower.hidden_dim"]


def test_a_knob_that_one_run_lacks_differs_and_a_floor_has_none() -> None:
    found = knobs(configured({"loss.margin": 0.2}, {"loss.temperature": 0.1}, {}))
    assert found == [
        {"name": "loss.margin", "values": [0.2, None, None]},
        {"name": "loss.temperature", "values": [None, 0.1, None]},
    ]


def test_true_and_one_are_two_values() -> None:
    assert knobs(configured({"tied": True}, {"tied": 1})) == [{"name": "tied", "values": [True, 1]}]


def test_numbers_that_are_not_finite_are_missing() -> None:
    document = page_case.document(2, 1)
    first = document["groups"][0]["rows"][0]
    first["curve"][3]["dev_loss"] = float("nan")
    first["cost"]["seconds"] = float("inf")
    drawn = charts(document)
    assert drawn["groups"][0]["rows"][0]["curve"]["dev_loss"][3] is None
    assert "seconds" not in drawn["groups"][0]["rows"][0]["cost"]
    json.dumps(drawn, allow_nan=False)


def test_a_history_of_fifty_metrics_keeps_those_that_are_shown() -> None:
    document = page_case.document(2, 1)
    for point in document["groups"][0]["rows"][0]["curve"]:
        point.update({f"precision_{k}": 0.1 for k in range(1, 50)})
    kept = charts(document)["groups"][0]["rows"][0]["curve"]
    assert set(kept) == {"epoch", "seconds", "mrr_10", "ndcg_10", "dev_loss", "train_loss"}


def test_the_metric_that_orders_comes_first() -> None:
    assert metrics_of([{"metrics": {"mrr_10": 0.1, "recall_10": 0.2}}], "recall_10") == [
        "recall_10",
        "mrr_10",
    ]


def test_a_test_against_the_best_goes_before_letters() -> None:
    best = {"letters": "a"}
    assert alike({"letters": "b", "p_best": 0.2}, best)
    assert not alike({"letters": "a", "p_best": 0.01}, best)
    assert alike({"letters": "ab"}, best)
    assert not alike({"letters": "b"}, best)
    assert not alike({"letters": ""}, {"letters": ""})


def test_a_test_against_a_floor_above_the_best_says_nothing_about_the_best() -> None:
    best = {"letters": "b", "p_best": 0.001}
    assert not alike({"letters": "c", "p_best": 0.5}, best)
    assert alike({"letters": "bc", "p_best": 0.001}, best)


def test_a_cost_that_all_rows_share_is_no_axis() -> None:
    document = page_case.document(3, 1)
    for row in document["groups"][0]["rows"]:
        row["cost"] = (
            {"seconds": 5.0} if row["kind"] == "floor" else {"seconds": 5.0, "parameters": len(row["name"])}
        )
    document["groups"][0]["rows"][0]["cost"]["parameters"] = 1
    assert list(charts(document)["groups"][0]["costs"]) == ["parameters"]


def test_every_cost_of_the_board_has_its_words() -> None:
    assert set(COSTS) == set(cost.COSTS)


def test_an_unknown_metric_is_called_what_it_is_called() -> None:
    assert (label("ndcg_10"), label("loss")) == ("nDCG@10", "loss")


def test_whole_numbers_stay_whole() -> None:
    assert finite(3_409_280) == 3_409_280
