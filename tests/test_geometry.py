import math
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from twotower.data.collection import Judgements
from twotower.evaluation import geometry
from twotower.evaluation.metrics import Ranking
from twotower.search.exact import Rows, Vectors

NO_PAIRS = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def lists(rows: list[list[int]], scores: list[list[float]] | None = None) -> Ranking:
    """A ranking of nothing relevant, with falling scores unless others are given."""
    table = np.array(rows)
    falling = np.linspace(1.0, 0.0, table.shape[1]) + 0 * table
    zeros = np.zeros_like(table)
    return Ranking(
        np.array(scores) if scores else falling, zeros, zeros[:, 0], zeros[:, :1], zeros[:, :1], table
    )


def measured(
    docs: Vectors, ranked: Ranking | None = None, pairs: tuple[Rows, Rows] = NO_PAIRS
) -> dict[str, float]:
    return geometry.measure(docs, docs, pairs, ranked or lists([[0, 1]]), rng())


def directions(count: int, dim: int, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(count, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_orthonormal_documents_use_every_direction() -> None:
    found = measured(np.eye(5))
    assert found["mean_cosine"] == pytest.approx(0, abs=1e-12)
    assert found["effective_rank"] == pytest.approx(5)
    assert found["uniformity"] == pytest.approx(-4)  # all squared distances are 2
    assert found["dead_dimensions"] == 0
    assert geometry.warning(found) == ""


def test_equal_documents_are_one_point() -> None:
    point = directions(1, 16)
    found = measured(np.repeat(point, 30, axis=0), lists([[0, 1]], [[0.5, 0.5]]))
    assert found["mean_cosine"] == pytest.approx(1)
    assert found["effective_rank"] == pytest.approx(1, abs=1e-5)
    assert found["uniformity"] == pytest.approx(0, abs=1e-12)
    assert found["dead_dimensions"] == 16
    assert found["top_spread"] == 0


def test_two_clusters_are_two_directions() -> None:
    docs = np.repeat(np.eye(4)[:2], 3, axis=0)
    found = measured(docs)
    # of 15 pairs 6 are within a cluster: cosine 1, distance 0; 9 across: cosine 0, squared distance 2
    assert found["mean_cosine"] == pytest.approx(6 / 15)
    assert found["uniformity"] == pytest.approx(math.log((6 + 9 * math.exp(-4)) / 15))
    assert found["effective_rank"] == pytest.approx(2)
    assert found["dead_dimensions"] == 2


def test_singular_values_of_three_and_one_have_the_effective_rank_of_the_paper() -> None:
    docs = np.repeat(np.eye(2), [9, 1], axis=0)  # singular values 3 and 1
    assert measured(docs)["effective_rank"] == pytest.approx(
        math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    )


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (3000, 1100)])
def test_the_effective_rank_is_that_of_a_decomposition(shape: tuple[int, int]) -> None:
    docs = directions(*shape)
    rows = docs[:: -(-len(docs) // geometry.WIDE)] if shape[1] > geometry.WIDE else docs
    values = np.linalg.svd(rows, compute_uv=False)
    assert measured(docs)["effective_rank"] == pytest.approx(math.exp(stats.entropy(values)), rel=1e-4)


def test_alignment_is_the_mean_squared_distance_of_the_pairs() -> None:
    queries, docs = np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 0], [-1, 0], [0.6, 0.8]])
    pairs = (np.array([0, 0, 1]), np.array([0, 1, 2]))
    found = geometry.measure(queries, docs, pairs, lists([[0, 1], [0, 1]]), rng())
    assert found["alignment"] == pytest.approx((0 + 4 + 0.4) / 3)  # 2 - 2 x 0.8


def test_lengths_of_vectors_play_no_part() -> None:
    docs, pairs = directions(50, 8), (np.arange(5), np.arange(5, 10))
    scaled = docs * np.linspace(0.5, 3, 50, dtype=np.float32)[:, None]
    assert measured(scaled, pairs=pairs) == pytest.approx(measured(docs, pairs=pairs), abs=1e-5)


def test_a_rotation_changes_nothing_but_the_dimensions() -> None:
    docs, pairs = (
        directions(300, 12) * np.linspace(0.1, 1, 12, dtype=np.float32),
        (np.arange(9), np.arange(9) + 1),
    )
    turn = np.linalg.qr(rng().normal(size=(12, 12)))[0].astype(np.float32)
    before, after = measured(docs, pairs=pairs), measured(docs @ turn, pairs=pairs)
    assert after == pytest.approx(before, abs=1e-5)


def test_the_hub_skew_is_the_skewness_of_the_lists_that_a_document_is_in() -> None:
    ranked = lists([[0, 1], [0, 2], [0, 3], [0, -1]])
    assert measured(np.eye(6), ranked)["hub_skew"] == pytest.approx(stats.skew([4, 1, 1, 1, 0, 0]))
    assert measured(np.eye(2), lists([[0, 1], [1, 0]]))["hub_skew"] == 0
    assert measured(np.eye(6)[:0:-1], Ranking(*vars(ranked).values()))["hub_skew"] > 1


def test_only_the_first_ten_hits_count() -> None:
    ranked = lists([list(range(12))], [[1 - 0.05 * place for place in range(12)]])
    found = measured(np.eye(12), ranked)
    assert found["top_spread"] == pytest.approx(0.45)
    assert found["hub_skew"] == pytest.approx(stats.skew([1] * 10 + [0] * 2))


def test_the_spread_at_the_top_is_a_median_and_knows_short_lists() -> None:
    scores = [[0.9, 0.8, -np.inf], [0.9, 0.5, 0.4], [0.9, -np.inf, -np.inf], [0.9, 0.7, 0.6]]
    ranked = lists([[0, 1, -1], [0, 1, 2], [0, -1, -1], [0, 1, 2]], scores)
    assert measured(np.eye(3), ranked)["top_spread"] == pytest.approx(0.3)  # of 0.1, 0.5 and 0.3


def test_what_cannot_be_measured_is_left_out() -> None:
    ranked = Ranking(*(value for name, value in vars(lists([[0]])).items() if name != "rows"))
    assert set(measured(np.eye(3)[:1], ranked)) == {"effective_rank", "dead_dimensions"}


def test_a_dimension_that_hardly_varies_is_dead() -> None:
    docs = directions(500, 6)
    docs[:, 2] = 0.3
    docs[:, 4] *= 1e-5
    docs[:, 5] *= 1e-3
    docs[:, 2] = 0.3 * np.linalg.norm(docs[:, [0, 1, 3, 4, 5]], axis=1)  # still 0.3 of the length
    assert measured(docs)["dead_dimensions"] == 2


def test_the_same_generator_gives_the_same_numbers() -> None:
    docs = directions(12_000, 4)
    assert measured(docs) == measured(docs)


def test_a_sample_is_near_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = directions(9_000, 8) + np.float32(0.2)
    whole = measured(docs)
    monkeypatch.setattr(geometry, "DOCUMENTS", 3_000)
    assert measured(docs) == pytest.approx(whole, rel=0.05)


def test_a_memory_map_will_do(tmp_path: Path) -> None:
    docs = directions(200, 8)
    np.save(tmp_path / "docs.npy", docs)
    assert measured(np.load(tmp_path / "docs.npy", mmap_mode="r")) == measured(docs)


def test_pairs_are_places_among_the_queries_and_among_the_documents_that_have_a_vector() -> None:
    judgements = Judgements(
        np.array([3, 3, 7, 9]), np.array([2, 8, 8, 5]), np.array([0, 1, 2, 1], dtype=np.int32)
    )
    queries, docs = geometry.relevant_pairs(judgements, None, 1)
    assert (queries.tolist(), docs.tolist()) == ([0, 1, 2], [8, 8, 5])
    queries, docs = geometry.relevant_pairs(judgements, np.array([2, 8]), 1)
    assert (queries.tolist(), docs.tolist()) == ([0, 1], [1, 1])


def test_a_cone_is_named_with_its_signs() -> None:
    docs = directions(400, 32) * np.float32(0.01)
    docs[:, 0] += 1
    docs /= np.linalg.norm(docs, axis=1, keepdims=True)
    scores = np.sort(docs @ docs.T, axis=1)[:, ::-1][:, :10].astype(float)
    said = geometry.warning(measured(docs, lists([list(range(10))] * 400, scores.tolist())))
    assert said.startswith(
        "the embeddings have collapsed into a cone: the ten top scores of a query lie within 0.00"
    )
    assert "the mean cosine of two documents is 1.000" in said


def test_any_one_sign_is_enough() -> None:
    fine = {"mean_cosine": 0.2, "effective_rank": 50.0, "top_spread": 0.2}
    assert geometry.warning(fine) == geometry.warning({}) == ""
    assert "within 0.0090" in geometry.warning(fine | {"top_spread": 0.009})
    assert "0.950" in geometry.warning(fine | {"mean_cosine": 0.95})
    assert "1.5 directions" in geometry.warning(fine | {"effective_rank": 1.5})


@pytest.mark.bench
def test_28456_documents_take_well_under_a_third_of_a_second() -> None:
    docs, queries = directions(28_456, 256), directions(540, 256, seed=1)
    rows = rng().integers(28_456, size=(540, 100))
    pairs = (np.arange(540), rows[:, 0].copy())
    ranked, spent = lists(rows.tolist()), []
    for _ in range(3):
        began = time.perf_counter()
        geometry.measure(queries, docs, pairs, ranked, rng())
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.3
