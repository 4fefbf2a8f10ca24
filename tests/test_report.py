import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from twotower import config
from twotower.data import report
from twotower.data.collection import Collection


def knobs(home: Path, **given: Any) -> config.Data:
    settings = {"data": config.Docstrings(), "vectors": "random", "cache_dir": str(home)} | given
    return config.Data(**settings)


def test_a_report_is_plain_and_the_same_each_time(tiny: Collection, tmp_path: Path) -> None:
    first, second = (report.plain(report.build(knobs(tmp_path), tiny)) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first))["documents"] == 60
    assert (first["name"], first["hash"], first["queries"]) == ("tiny", tiny.hash, 60)


def test_coverage_is_that_of_the_vectors(tiny: Collection, tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    table.write_text("the 1 2\nof 1 2\nunused 1 2\n")
    found = report.build(knobs(tmp_path, vectors=str(table)), tiny)
    queries = found.words[1]
    # known: the, of; not: what, does, eat, 12 animals, 5 places. A query has 8 words, 3 of them known
    assert (queries.covered, queries.covered_running) == (pytest.approx(2 / 22), pytest.approx(3 / 8))
    assert found.vectors == str(table)
    assert "the" not in found.without_vector
    assert next(iter(found.without_vector.items())) == ("and", 60)


@pytest.mark.parametrize("source", ["random", "train", "glove-50d+train"])
def test_vectors_that_are_made_to_measure_have_no_coverage(
    source: str, tiny: Collection, tmp_path: Path
) -> None:
    found = report.build(knobs(tmp_path, vectors=source), tiny)
    assert {row.covered for row in found.words} == {None}
    assert found.without_vector == {}


def test_a_collection_whose_dev_train_would_hold_out_says_so(tiny: Collection, tmp_path: Path) -> None:
    assert report.build(knobs(tmp_path), tiny).warnings == []
    undivided = replace(tiny, qrels={split: tiny.qrels[split] for split in ("train", "test")})
    (warning,) = report.build(knobs(tmp_path), undivided).warnings
    assert warning.startswith("no dev split: train holds out about 10.0 % of its queries")


def test_scripts_without_spaces_are_pointed_out(tmp_path: Path) -> None:
    collection = Collection.from_dicts(
        {"d": "東京都は日本の首都である"}, {"q": "首都"}, {"dev": {"q": {"d": 1}}}
    )
    (warning,) = report.build(knobs(tmp_path), collection).warnings
    assert "scripts written without spaces" in warning


def test_knobs_reach_what_they_are_for(tiny: Collection, tmp_path: Path) -> None:
    found = report.build(knobs(tmp_path, samples=0, min_grade=2, pattern="[a-z]"), tiny)
    assert found.samples == []
    assert all(leak.examples == () for leak in found.leaks.between)
    assert [split.relevant for split in found.splits] == [0, 0, 0]
    assert found.words[2].distinct <= 26
    # what does the eel of the marsh eat, ... crane ...: 6 of 8 distinct words
    close = report.build(knobs(tmp_path, near=0.75), tiny).leaks.between[0]
    assert (close.near, report.build(knobs(tmp_path, near=0.8), tiny).leaks.between[0].near) == (10, 0)
