from dataclasses import replace
from pathlib import Path

import pytest
from passages_case import passages

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
    assert "2 epochs of 3 steps, 6 in all" in text


GIVEN_ALONE = [config.Margin(), config.Triplet(negatives=config.Negatives.given)]


@pytest.mark.parametrize("loss", GIVEN_ALONE)
def test_a_loss_of_given_negatives_needs_some(folder: Path, tmp_path: Path, loss: config.Loss) -> None:
    cfg = setup.settled(small(folder, tmp_path, loss=loss))
    with pytest.raises(ValueError, match=r"tiny, split train: no document is .* or loss=contrastive"):
        setup.build(cfg)
    with (folder / "qrels" / "train.tsv").open("a") as file:
        file.write("q02\td00\t0\n")
    built = setup.build(cfg)
    assert len(built.train.refused.docs) == 1
    assert "given negatives: 1, up to 1 drawn for each pair" in setup.remarks(cfg, built)
    assert "given negatives: 1, none drawn" in setup.remarks(replace(cfg, given_negatives=0), built)
    with pytest.raises(ValueError, match="given_negatives: got 0, want at least 1"):
        setup.settled(small(folder, tmp_path, loss=loss, given_negatives=0))


def test_a_plateau_without_evaluations_is_refused(folder: Path, tmp_path: Path) -> None:
    cfg = small(folder, tmp_path, scheduler=config.Scheduler.plateau, eval_every_epoch=False)
    with pytest.raises(ValueError, match=r"scheduler: plateau .* want eval_every_epoch=true"):
        setup.settled(cfg)


def test_own_candidates_are_those_judged_in_dev(tmp_path: Path) -> None:
    folder = write_beir(passages(), tmp_path / "passages")
    cfg = small(folder, tmp_path, candidates=config.Candidates.own)
    work = setup.build(cfg)
    assert work.lists is not None
    assert work.lists.sizes.tolist() == [6, 10, 9, 8, 7, 6, 10, 9, 8, 7, 6, 10]
    assert work.protocol.kind == "own"
    assert "a dev query ranks its own 8.0 documents, 10 at most" in list(setup.remarks(cfg, work))


def test_a_select_that_own_candidates_make_the_same_for_all_is_refused(tmp_path: Path) -> None:
    folder = write_beir(passages(), tmp_path / "passages")
    cfg = small(folder, tmp_path, candidates=config.Candidates.own, select="recall_10")
    with pytest.raises(
        ValueError, match="select: recall_10 is the same for every model where a query ranks at"
    ):
        setup.build(cfg)


def test_own_candidates_need_documents_judged_not_relevant(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tiny, split dev: candidates=own: none of 10 lists"):
        setup.build(small(folder, tmp_path, candidates=config.Candidates.own))


def test_remarks_say_what_was_skipped_and_settled(folder: Path, tmp_path: Path) -> None:
    with (folder / "corpus.jsonl").open("a") as file:
        file.write("not JSON\n")
    skipping = config.Beir(path=str(folder), on_bad=config.OnBad.skip)
    cfg = small(folder, tmp_path, data=skipping)
    (said,) = [line for line in setup.remarks(cfg, setup.build(cfg)) if "skipped" in line]
    assert "skipped 1 of 61 lines (1 not JSON), the first: " in said
    assert "corpus.jsonl:61: not JSON" in said
    (tmp_path / "t.csv").write_text("query,document,note\n" + "".join(f"q{n},d{n},x\n" for n in range(40)))
    cfg = small(folder, tmp_path, data=config.Pairs(path=str(tmp_path / "t.csv")))
    assert "columns without a role, left out: note" in [*setup.remarks(cfg, setup.build(cfg))]
