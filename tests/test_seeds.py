from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from board_case import ids, row, scores

from twotower.evaluation import seeds
from twotower.evaluation.row import Row


def run(full: str, mrr: float, seed: int, **knobs: Any) -> Row:
    config = {"seed": seed, "name": full.partition("-")[0], "dim": 64, "loss": {"kind": "triplet"}, **knobs}
    content = {"training_stats": {"config": config}, "kept": "best", "data": {"hash": "h"}}
    return row(full, mrr, content=content, checkpoint=f"{full}.pt", more={"created": full}, own=True)


def names(*rows: Row) -> list[str]:
    return sorted(one.name for one in seeds.join(rows, "mrr_10"))


def test_seeds_of_one_configuration_are_their_mean_and_spread() -> None:
    (joined,) = seeds.join([run("m-0", 0.2, 0), run("m-1", 0.4, 1), run("m-2", 0.3, 2)], "mrr_10")
    assert joined.name == "m (3 seeds)"
    assert joined.metrics["mrr_10"] == pytest.approx(0.3)
    assert joined.spread is not None
    assert joined.spread["mrr_10"] == pytest.approx(0.1)  # sqrt((0.01 + 0 + 0.01) / 2)
    assert joined.checkpoint == "m-1.pt"
    assert [seeds.seed_of(one) for one in joined.seeds] == [1, 2, 0]
    assert joined.values is not None
    assert joined.values.mean() == pytest.approx(0.3)


def test_values_are_averaged_by_the_query_and_not_by_its_place() -> None:
    order = np.random.default_rng(0).permutation(540)
    other = replace(run("m-1", 0.4, 1), ids=ids(540)[order], values=scores(0.4)[order])
    (joined,) = seeds.join([run("m-0", 0.2, 0), other], "mrr_10")
    assert joined.ids is not None
    assert joined.values is not None
    by_id = dict(zip(joined.ids.tolist(), joined.values.tolist(), strict=True))
    assert [by_id[f"q{n}"] for n in (0, 107, 108, 215, 216)] == [1, 1, 0.5, 0.5, 0]


@pytest.mark.parametrize(
    "knobs",
    [
        {"checkpoint_dir": "else"}, {"cache_dir": "else"}, {"tracking": "none"}, {"threads": 4},
        {"device": "cpu"}, {"keep": "all"}, {"artifact": True}, {"name": "other"}, {"sweep": "s"},
        {"resume": "x"},
    ],
)  # fmt: skip
def test_knobs_that_change_nothing_learnt_do_not_part_seeds(knobs: dict[str, Any]) -> None:
    assert len(names(run("a-0", 0.2, 0), run("a-1", 0.3, 1, **knobs))) == 1


@pytest.mark.parametrize(
    "knobs", [{"dim": 32}, {"loss": {"kind": "margin"}}, {"epochs": 3}, {"select": "map"}]
)
def test_any_other_knob_does(knobs: dict[str, Any]) -> None:
    assert names(run("a-0", 0.2, 0), run("a-1", 0.3, 1, **knobs)) == ["a-0", "a-1"]


def test_a_collection_is_known_by_its_content_and_not_by_its_folder() -> None:
    here, there = (run(f"a-{n}", 0.2, n, data={"kind": "beir", "path": path}) for n, path in enumerate("xy"))
    assert len(names(here, there)) == 1
    other = replace(there, content={**there.content, "data": {"hash": "another"}})
    assert len(names(here, other)) == 2


def test_the_same_seed_twice_is_no_second_seed() -> None:
    assert names(run("a-0", 0.2, 0), run("a-1", 0.3, 0)) == ["a-0", "a-1"]
    assert names(run("a-0", 0.2, 0), run("a-1", 0.3, 0), run("a-2", 0.3, 1)) == ["a (2 seeds)", "a-0"]


def test_rows_whose_seed_is_not_known_stand_alone() -> None:
    unknown, last = run("a-0", 0.2, 0), run("b-0", 0.2, 1)
    unknown = replace(unknown, content={"training_stats": {"config": {"dim": 64}}})
    last = replace(last, content={**last.content, "kept": "last"})
    floor = row("chance", kind="floor")
    assert names(unknown, last, floor, run("c-0", 0.2, 2)) == ["a-0", "b-0", "c-0", "chance"]


def test_configurations_with_one_name_are_told_apart_by_a_run() -> None:
    rows = [run(f"run-{dim}{seed}", 0.2 + seed / 10, seed, dim=dim) for dim in (1, 2) for seed in (0, 1)]
    assert names(*rows) == ["run-11 and 1 more seed", "run-21 and 1 more seed"]


def test_a_seed_without_values_leaves_the_row_without() -> None:
    bare = replace(run("a-1", 0.3, 1), ids=None, values=None, problem="x.npz: damaged")
    (joined,) = seeds.join([run("a-0", 0.2, 0), bare], "mrr_10")
    assert (joined.values, joined.problem) == (None, "x.npz: damaged")
    other = replace(run("a-1", 0.3, 1), ids=np.array([f"p{n}" for n in range(540)]))
    (joined,) = seeds.join([run("a-0", 0.2, 0), other], "mrr_10")
    assert joined.values is None
    assert "other queries" in joined.problem


def test_leaks_that_all_seeds_share_are_averaged() -> None:
    leaks = [{"train": "t", "leaky": 3, "clean": {"mrr_10": v}, "seen": {"mrr_10": 1.0}} for v in (0.2, 0.4)]
    rows = [replace(run(f"a-{n}", 0.3, n), leak=leak) for n, leak in enumerate(leaks)]
    (joined,) = seeds.join(rows, "mrr_10")
    assert joined.leak == {
        "train": "t",
        "leaky": 3,
        "clean": {"mrr_10": pytest.approx(0.3)},
        "seen": {"mrr_10": 1.0},
    }
    (joined,) = seeds.join([rows[0], run("a-1", 0.3, 1)], "mrr_10")
    assert joined.leak == {}
