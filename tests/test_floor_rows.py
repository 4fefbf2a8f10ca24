from pathlib import Path

from board_case import OTHER, PROTOCOL, keep, put, scores

from twotower.evaluation.floor_rows import known
from twotower.evaluation.names import listing
from twotower.evaluation.row import Row

KEY = PROTOCOL.key


def floors(folder: Path, cache: Path | None = None) -> dict[str, Row]:
    rows = known(KEY, listing(folder).entries, [], "mrr_10", cache)
    return {row.name: row for row in rows}


def test_a_floor_of_several_sidecars_stands_once(tmp_path: Path) -> None:
    for run in "ab":
        put(tmp_path, f"{run}-000000", 0.3, floors={"chance": {"mrr_10": 0.01}, "BM25": {"mrr_10": 0.2}})
    found = floors(tmp_path)
    assert list(found) == ["chance", "BM25"]
    assert found["BM25"].values is None


def test_of_untrained_towers_the_luckiest_start_stands_for_all(tmp_path: Path) -> None:
    for run, mrr in zip("abc", (0.05, 0.07, 0.05), strict=True):
        put(tmp_path, f"{run}-000000", 0.3, floors={"untrained": {"mrr_10": mrr}})
    found = floors(tmp_path)
    assert found["untrained, best of 2"].metrics["mrr_10"] == 0.07  # two of the three are one start


def test_one_untrained_model_is_not_called_the_best_of_several(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.3, floors={"untrained": {"mrr_10": 0.05}})
    assert list(floors(tmp_path)) == ["untrained"]


def test_what_the_cache_has_by_query_stands_before_the_mean_alone(tmp_path: Path) -> None:
    put(tmp_path / "checkpoints", "a-000000", 0.3, floors={"BM25": {"mrr_10": 0.2 + 1e-12}})
    keep(tmp_path / "cache" / "floors" / KEY, "BM25", scores(0.2), kind="floor")
    keep(tmp_path / "cache" / "floors" / KEY, "glove-50d mean", scores(0.1), kind="floor")
    found = floors(tmp_path / "checkpoints", tmp_path / "cache")
    assert sorted(found) == ["BM25", "glove-50d mean"]
    assert found["BM25"].values is not None


def test_floors_of_another_protocol_and_damaged_ones_are_left_aside(tmp_path: Path) -> None:
    put(tmp_path / "c", "a-000000", 0.3, protocol=OTHER.to_dict(), floors={"BM25": {"mrr_10": 0.2}})
    cached = tmp_path / "cache" / "floors" / KEY
    keep(cached, "elsewhere", scores(0.2), OTHER, kind="floor")
    (cached / "bad.json").write_text("{")
    assert floors(tmp_path / "c", tmp_path / "cache") == {}


def test_a_floor_without_the_metric_is_kept(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.4, floors={"bm25": {"ndcg_10": 0.9}})
    assert floors(tmp_path)["bm25"].metrics == {"ndcg_10": 0.9}
