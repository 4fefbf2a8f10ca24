import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_case import TEXTS, Case

from twotower import config
from twotower.data import reader
from twotower.model import sidecar
from twotower.search.opening import open_searcher

MLP = config.MLPTower(hidden_dim=5)
QUERY = "read a csv file"


@pytest.fixture(params=[MLP, config.GRUTower(hidden_dim=5)], ids=["mlp", "gru"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(tmp_path, request.param)


@pytest.fixture
def mlp(tmp_path: Path) -> Case:
    return Case(tmp_path, MLP)


def test_what_is_searched_is_what_the_retriever_encodes(case: Case) -> None:
    answer = open_searcher(case.request()).search(QUERY, 6)
    docs = case.retriever.encode_docs([f"{doc.upper()} {text}" for doc, text in sorted(TEXTS.items())])
    scores = docs @ case.retriever.encode_queries([QUERY])[0]
    order = np.argsort(-scores)
    assert [hit.doc_id for hit in answer.hits] == [sorted(TEXTS)[row] for row in order]
    assert [hit.score for hit in answer.hits] == pytest.approx(scores[order].tolist(), abs=1e-6)
    assert [(hit.title, hit.text) for hit in answer.hits] == [
        (hit.doc_id.upper(), TEXTS[hit.doc_id]) for hit in answer.hits
    ]


def test_a_second_search_over_an_mlp_opens_neither_checkpoint_nor_collection(
    mlp: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_searcher(mlp.request()).search(QUERY, 3)
    monkeypatch.setattr(reader, "read", None)
    assert open_searcher(mlp.request()).search(QUERY, 3).hits == first.hits
    assert mlp.loads == 1
    assert mlp.said == ["encoding the 6 documents of six, once for this checkpoint"]


def test_a_gru_reads_the_query_with_torch_and_the_documents_from_the_bundle(tmp_path: Path) -> None:
    case = Case(tmp_path, config.GRUTower(hidden_dim=5))
    first = open_searcher(case.request())
    assert case.loads == 1
    second = open_searcher(case.request())
    assert case.loads == 2
    assert second.search(QUERY, 6).hits == first.search(QUERY, 6).hits
    assert second.device == "cpu"
    assert len(case.said) == 1


def test_a_touched_corpus_is_read_once_more_and_verified(mlp: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    open_searcher(mlp.request())
    os.utime(mlp.corpus / "corpus.jsonl", ns=(0, 0))
    open_searcher(mlp.request())
    monkeypatch.setattr(reader, "read", None)
    open_searcher(mlp.request())
    assert (mlp.loads, len(mlp.bundles)) == (1, 1)


@pytest.mark.parametrize("with_bundle", [True, False])
def test_a_changed_corpus_is_refused_with_both_hashes_and_the_way_out(mlp: Case, with_bundle: bool) -> None:
    if with_bundle:
        open_searcher(mlp.request())
    mlp.write(TEXTS | {"new": "one more"})
    now = reader.read(config.Beir(path=str(mlp.corpus)), mlp.cache_dir).corpus_hash[:12]
    then = mlp.content["data"]["corpus_hash"][:12]
    with pytest.raises(ValueError, match=f"six has changed.*{now}.*{then}.*say data=") as error:
        open_searcher(mlp.request())
    assert "\n" not in str(error.value)


def test_a_changed_corpus_is_searched_when_it_is_named(mlp: Case) -> None:
    mlp.write(TEXTS | {"new": "one more"})
    named = open_searcher(mlp.request(config.Beir(path=str(mlp.corpus))))
    assert len(named) == 7


def test_a_lost_collection_is_answered_from_what_was_kept(mlp: Case) -> None:
    before = open_searcher(mlp.request()).search(QUERY, 6)
    shutil.rmtree(mlp.corpus)
    assert open_searcher(mlp.request()).search(QUERY, 6).hits == before.hits
    assert mlp.said[1].startswith("six is gone (")
    assert len(mlp.said) == 2


def test_a_lost_collection_that_was_never_searched_is_an_error(mlp: Case) -> None:
    shutil.rmtree(mlp.corpus)
    with pytest.raises(ValueError, match=r"data=stored: six, .* cannot be read again .* say data="):
        open_searcher(mlp.request())


def test_a_collection_built_in_python_cannot_be_read_again(mlp: Case) -> None:
    sidecar.write(mlp.checkpoint, mlp.content | {"data": mlp.content["data"] | {"source": {}}})
    with pytest.raises(ValueError, match=r"cannot be read again .*; say data="):
        open_searcher(mlp.request())


def test_a_checkpoint_that_names_no_collection_wants_one_named(mlp: Case) -> None:
    sidecar.write(mlp.checkpoint, {name: value for name, value in mlp.content.items() if name != "data"})
    with pytest.raises(ValueError, match="does not say which collection it was trained on; say data="):
        open_searcher(mlp.request())
    assert len(open_searcher(mlp.request(config.Beir(path=str(mlp.corpus))))) == 6


def test_a_named_collection_is_read_once(mlp: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mlp.write({"other": "a square root", "another": "a file"}, mlp.folder / "two")
    named = config.Beir(path=str(folder))
    assert len(open_searcher(mlp.request(named))) == 2
    monkeypatch.setattr(reader, "read", None)
    assert len(open_searcher(mlp.request(named))) == 2


def test_naming_the_checkpoints_own_collection_uses_its_bundle(mlp: Case) -> None:
    open_searcher(mlp.request())
    open_searcher(mlp.request(config.Beir(path=str(mlp.corpus))))
    copy = mlp.write(TEXTS, mlp.folder / "copy")
    open_searcher(mlp.request(config.Beir(path=str(copy))))
    assert (mlp.loads, len(mlp.bundles)) == (1, 1)


def test_a_named_collection_that_is_not_there_is_the_readers_error(mlp: Case) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        open_searcher(mlp.request(config.Beir(path=str(mlp.folder / "nowhere"))))


def test_the_identity_of_a_checkpoint_is_its_content(mlp: Case) -> None:
    open_searcher(mlp.request())
    sidecar.write_aside(mlp.checkpoint, lambda file: file.write(b"another checkpoint"))
    sidecar.write(mlp.checkpoint, mlp.content)
    open_searcher(mlp.request())
    assert (mlp.loads, len(mlp.bundles)) == (2, 2)


def test_a_checkpoint_that_is_not_its_sidecars_is_refused(mlp: Case) -> None:
    mlp.checkpoint.write_bytes(b"stands for a Checkpoint")
    with pytest.raises(ValueError, match=r"its sidecar says .* damaged or replaced"):
        open_searcher(mlp.request())


def test_a_renamed_checkpoint_keeps_its_bundle(mlp: Case) -> None:
    open_searcher(mlp.request())
    moved = mlp.checkpoint.rename(mlp.folder / "moved.pt")
    sidecar.write(moved, mlp.content)
    open_searcher(replace(mlp.request(), checkpoint=moved))
    assert mlp.loads == 1
