from dataclasses import replace
from pathlib import Path

import pytest
from passages_case import passages

from twotower.data.collection import Collection
from twotower.data.tokens import tokenise
from twotower.evaluation import candidates, floor_cache, floors
from twotower.evaluation.candidates import Lists
from twotower.evaluation.floor_cache import Floors
from twotower.evaluation.protocol import Protocol
from twotower.text.tokenize import Tokenizer


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which floors were computed."""
    seen: list[str] = []
    for name in ("chance", "bm25"):
        original = getattr(floors, name)

        def watched(*given: object, name: str = name, original: object = original, **more: object) -> object:
            seen.append(name)
            return original(*given, **more)  # type: ignore[operator]

        monkeypatch.setattr(floors, name, watched)
    return seen


def scored(
    collection: Collection,
    cache: Path,
    lists: Lists | None = None,
    *,
    ks: tuple[int, ...] = (1, 10),
    pattern: str = "",
) -> Floors:
    protocol = replace(Protocol.of(collection, "dev", lists, min_grade=1, ks=ks), tokenizer=pattern)
    tokens = tokenise(collection, Tokenizer(), cache)
    judged = collection.judgements("dev")
    return floor_cache.chance_and_bm25(protocol, tokens, judged, lists, ks=ks, cache_dir=cache)


def test_floors_have_means_and_how_many_queries_made_them(tiny: Collection, tmp_path: Path) -> None:
    found = scored(tiny, tmp_path)
    assert set(found) == {"chance", "BM25"}
    # ten queries with one relevant document of sixty each: success@1 is 1/60, success@10 is 10/60
    assert found["chance"]["success_1"] == pytest.approx(1 / 60)
    assert found["chance"]["success_10"] == pytest.approx(10 / 60)
    assert (found["chance"]["queries"], found["BM25"]["judged"]) == (10, 10)
    assert found["BM25"]["mrr_10"] > 0.5  # animal and place stand in query and document


def test_floors_are_computed_once_for_a_protocol(
    tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    first = scored(tiny, tmp_path)
    assert scored(tiny, tmp_path) == first
    assert counted == ["chance", "bm25"]


def test_other_cut_offs_and_another_tokenizer_are_computed_anew(
    tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    scored(tiny, tmp_path)
    scored(tiny, tmp_path, ks=(1, 5))
    scored(tiny, tmp_path, pattern="other")
    assert counted == ["chance", "bm25"] * 3


def test_own_lists_and_the_corpus_have_floors_of_their_own(tmp_path: Path, counted: list[str]) -> None:
    collection = passages()
    own = candidates.judged(collection.judgements("dev"))
    full, listed = scored(collection, tmp_path), scored(collection, tmp_path, own)
    assert full["chance"]["mrr_10"] < 0.03 < 0.29 < listed["chance"]["mrr_10"]
    assert listed["chance"]["recall_10"] == pytest.approx(1)
    assert scored(collection, tmp_path, own) == listed
    assert counted == ["chance", "bm25"] * 2


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"chance": {}}', "\x00"])
def test_a_damaged_entry_is_computed_anew(
    damage: str, tiny: Collection, tmp_path: Path, counted: list[str]
) -> None:
    first = scored(tiny, tmp_path)
    (file,) = (tmp_path / "floors").iterdir()
    file.write_text(damage)
    assert scored(tiny, tmp_path) == first
    assert counted == ["chance", "bm25"] * 2
