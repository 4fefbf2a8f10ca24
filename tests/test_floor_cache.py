from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from floors_case import ask
from passages_case import passages

from twotower.data.collection import Collection
from twotower.evaluation import floor_cache, floors, results, wordmean
from twotower.evaluation.floor_cache import Floors
from twotower.evaluation.floors import Asked

TABLE = "2 2\nheron 1 0\nharbour 0 1\n"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which floors were computed."""
    seen: list[str] = []
    for module, name in ((floors, "chance"), (floors, "bm25"), (wordmean, "score")):
        monkeypatch.setattr(module, name, watched(seen, name, getattr(module, name)))
    return seen


def watched(seen: list[str], name: str, original: Callable[..., object]) -> Callable[..., object]:
    def run(*given: object, **more: object) -> object:
        seen.append(name)
        return original(*given, **more)

    return run


def scored(asked: Asked, cache: Path, vectors: str = "random") -> Floors:
    return floor_cache.floors_of(asked, cache, vectors=vectors)


def files(cache: Path) -> list[Path]:
    return sorted((cache / "floors").rglob("*.*"))


def test_floors_have_means_and_how_many_queries_made_them(tiny: Collection, tmp_path: Path) -> None:
    found = scored(ask(tiny, tmp_path), tmp_path).means
    assert list(found) == ["chance", "BM25"]
    # ten queries with one relevant document of sixty each: success@1 is 1/60, success@10 is 10/60
    assert found["chance"]["success_1"] == pytest.approx(1 / 60)
    assert found["chance"]["success_10"] == pytest.approx(10 / 60)
    assert (found["chance"]["queries"], found["BM25"]["judged"]) == (10, 10)
    assert found["BM25"]["mrr_10"] > 0.5  # animal and place stand in query and document


def test_every_floor_is_kept_query_by_query_with_intervals(tiny: Collection, tmp_path: Path) -> None:
    asked = ask(tiny, tmp_path)
    rows = scored(asked, tmp_path).rows
    kept, problems = results.listing(tmp_path / "floors" / asked.protocol.key)
    assert problems == []
    assert {row.name: row.metrics for _, row in kept} == {name: row.metrics for name, row in rows.items()}
    for path, row in kept:
        values = results.per_query(path)
        assert values.ids.tolist() == sorted(tiny.split("dev"))
        assert np.mean(values.values["mrr_10"]) == pytest.approx(row.metrics["mrr_10"])
        low, high = row.intervals["mrr_10"]
        assert low <= row.metrics["mrr_10"] <= high
        assert row.kind == "floor"


def test_floors_are_computed_once_for_a_protocol(
    tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    first = scored(ask(tiny, tmp_path), tmp_path)
    assert scored(ask(tiny, tmp_path), tmp_path).rows == first.rows
    assert counted == ["chance", "bm25"]


def test_how_many_words_a_model_reads_makes_no_other_floor(
    tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    asked = ask(tiny, tmp_path)
    scored(asked, tmp_path)
    scored(replace(asked, protocol=replace(asked.protocol, max_doc_words=3)), tmp_path)
    assert counted == ["chance", "bm25"]


def test_other_cut_offs_and_another_tokenizer_are_computed_anew(
    tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    asked = ask(tiny, tmp_path)
    scored(asked, tmp_path)
    scored(replace(asked, ks=(1, 5)), tmp_path)
    assert counted == ["chance", "bm25"] * 2
    scored(replace(asked, protocol=replace(asked.protocol, tokenizer="other")), tmp_path)
    assert counted == ["chance", "bm25"] * 2 + ["bm25"]  # chance reads nothing


def test_own_lists_and_the_corpus_have_floors_of_their_own(tmp_path: Path, counted: list[str]) -> None:
    collection = passages()
    full = scored(ask(collection, tmp_path), tmp_path).means
    listed = scored(ask(collection, tmp_path, own=True), tmp_path)
    assert full["chance"]["mrr_10"] < 0.03 < 0.29 < listed.means["chance"]["mrr_10"]
    assert listed.means["chance"]["recall_10"] == pytest.approx(1)
    assert scored(ask(collection, tmp_path, own=True), tmp_path).rows == listed.rows
    assert counted == ["chance", "bm25"] * 2


@pytest.mark.parametrize("ending", [".json", ".npz"])
@pytest.mark.parametrize("damage", ["", "{", '{"format": 1}', "\x00"])
def test_one_damaged_file_is_computed_anew(
    damage: str, ending: str, tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    first = scored(ask(tiny, tmp_path), tmp_path)
    (file,) = (file for file in files(tmp_path) if file.name.startswith("BM25") and file.suffix == ending)
    file.write_text(damage)
    assert scored(ask(tiny, tmp_path), tmp_path).means == first.means
    assert counted == ["chance", "bm25", "bm25"]


def test_files_of_the_older_form_are_left_alone(tiny: Collection, tmp_path: Path) -> None:
    asked = ask(tiny, tmp_path)
    older = tmp_path / "floors" / f"{asked.protocol.key}-01234567.json"
    older.parent.mkdir()
    older.write_text('{"chance": {"mrr_10": 1.0}, "BM25": {"mrr_10": 1.0}}')
    assert scored(asked, tmp_path).means["chance"]["mrr_10"] < 0.1
    assert older.exists()


def test_word_vectors_add_their_mean_between_the_two(
    tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    table = tmp_path / "words.txt"
    table.write_text(TABLE)
    found = scored(ask(tiny, tmp_path), tmp_path, f"{table}+random")
    assert list(found.rows) == ["chance", "words.txt mean", "BM25"]
    assert scored(ask(tiny, tmp_path), tmp_path, str(table)).rows == found.rows
    assert counted == ["chance", "bm25", "score"]
    table.write_text(TABLE.replace("heron 1 0", "heron 1 0.5"))
    scored(ask(tiny, tmp_path), tmp_path, str(table))
    assert counted[3:] == ["score"]  # another table, another floor


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), ("2 2\nheron 1 0\ncrane x 1\n", "words.txt:3: 'x'")]
)
def test_word_vectors_that_cannot_be_read_are_left_out_and_said(
    content: str | None, said: str, tiny: Collection, tmp_path: Path
) -> None:
    table = tmp_path / "words.txt"
    if content:
        table.write_text(content)
    found = scored(ask(tiny, tmp_path), tmp_path, str(table))
    assert list(found.rows) == ["chance", "BM25"]
    (remark,) = found.remarks
    assert remark.startswith("mean of word vectors left out: ")
    assert said in remark
