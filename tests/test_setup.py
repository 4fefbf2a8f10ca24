from pathlib import Path

import pytest

from tests.training_case import TOWERS, small, write_beir
from twotower import config
from twotower.data.collection import Collection
from twotower.training import setup


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


def test_only_training_queries_and_the_corpus_make_the_vocabulary(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "queries.jsonl").read_text().splitlines(keepends=True)
    marked = {0: "devword", 1: "testword", 2: "trainword"}
    for row, word in marked.items():
        lines[row] = lines[row].replace("what", word)
    (folder / "queries.jsonl").write_text("".join(lines))
    words = setup.build(small(folder, tmp_path)).retriever.vocab.words
    assert "trainword" in words
    assert not {"devword", "testword"} & set(words)


def test_a_cut_off_that_select_needs_must_be_in_k(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="select: mrr_7 needs 7 in k, which is 1,3,10"):
        setup.settled(small(folder, tmp_path, select="mrr_7"))


def test_select_is_stored_by_its_one_name(folder: Path, tmp_path: Path) -> None:
    assert setup.settled(small(folder, tmp_path, select="accuracy_1")).select == "success_1"
    with pytest.raises(ValueError, match="mrr"):
        setup.settled(small(folder, tmp_path, select="mmr_10"))


def test_tied_towers_are_recorded_alike(folder: Path, tmp_path: Path) -> None:
    cfg = setup.settled(small(folder, tmp_path, tied=True, query_tower=TOWERS["gru"]))
    assert cfg.doc_tower == cfg.query_tower == TOWERS["gru"]
    two_tower = setup.build(cfg).retriever.two_tower
    assert two_tower.doc_tower is two_tower.query_tower


def test_default_cut_offs_are_clipped_and_typed_ones_are_not() -> None:
    assert setup.fitted(config.CUT_OFFS, "mrr_10", 12) == [1, 3, 5, 10]
    assert setup.fitted(config.CUT_OFFS, "mrr_10", 4) == [1, 3, 10]
    assert setup.fitted([1, 12], "mrr_1", 12) == [1, 12]
    with pytest.raises(ValueError, match="k: got 13, want at most 12"):
        setup.fitted([1, 13], "mrr_1", 12)


def test_the_default_of_k_is_that_of_the_knobs() -> None:
    kinds = (config.Train, config.Evaluate)
    assert all(kind.__dataclass_fields__["k"].default_factory() == list(config.CUT_OFFS) for kind in kinds)  # type: ignore[misc]


def test_a_split_without_a_relevant_document_is_named(folder: Path, tmp_path: Path) -> None:
    path = folder / "qrels" / "dev.tsv"
    path.write_text(path.read_text().replace("\t1\n", "\t0\n"))
    with pytest.raises(ValueError, match="tiny, split dev: training pairs: no judgement"):
        setup.build(small(folder, tmp_path))


def test_remarks_name_collection_hash_and_coverage(folder: Path, tmp_path: Path) -> None:
    cfg = small(folder, tmp_path)
    text = "\n".join(setup.remarks(cfg, setup.build(cfg)))
    assert "60 documents, 40 training pairs, 10 dev queries" in text
    assert "unknown words: 0.0% of the queries'" in text
