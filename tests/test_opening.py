import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_case import Indexes
from search_case import TEXTS, Case

from twotower import config
from twotower.data import reader
from twotower.model import sidecar
from twotower.search import index, origins, stages
from twotower.search.opening import open_searcher
from twotower.search.searcher import Searcher

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


# damage, and many at once, of what the cache keeps


@pytest.mark.parametrize("name", ["vectors.npy", "documents.db", "tower_words.npy", "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_bundle_is_built_anew_with_a_remark(mlp: Case, name: str, damage: str) -> None:
    before = open_searcher(mlp.request()).search(QUERY, 6).hits
    file = mlp.bundles[0] / name
    content = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(content[:-2] + bytes([content[-2] ^ 1, content[-1]]))
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case _:
            file.unlink()
    assert open_searcher(mlp.request()).search(QUERY, 6).hits == before
    assert [("damaged" in line, "encoding" in line) for line in mlp.said[1:]] == [
        (True, False),
        (False, True),
    ]
    assert len(mlp.bundles) == 1
    open_searcher(mlp.request())
    assert mlp.loads == 2


def test_a_bundle_of_another_format_is_built_anew(mlp: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for module in (index, stages):
            patch.setattr(module, "FORMAT", 1)
        open_searcher(mlp.request())
    assert len(open_searcher(mlp.request())) == 6
    assert "of another version; built anew" in mlp.said[1]
    assert index.read(mlp.bundles[0])["format"] == index.FORMAT


def test_many_builders_leave_one_bundle(mlp: Case) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: open_searcher(mlp.request()).search(QUERY, 6).hits, range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert [path.name for path in mlp.cache_dir.iterdir() if path.name.startswith(".")] == []
    assert len(mlp.bundles) == 1


# named indexes


@pytest.fixture(params=[MLP, config.GRUTower(hidden_dim=5)], ids=["mlp", "gru"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Indexes:
    """Over a file of documents, by the tower's checkpoint."""
    indexes = Indexes(tmp_path, request.param)
    indexes.build()
    indexes.case.loads = 0
    return indexes


@pytest.fixture
def named(tmp_path: Path) -> Indexes:
    """Over the checkpoint's own collection."""
    indexes = Indexes(tmp_path, MLP)
    indexes.build(origin=origins.of_checkpoint(indexes.case.checkpoint, indexes.case.content))
    indexes.case.loads = 0
    return indexes


def ask(made: Indexes, name: str = "docs", **changes: Any) -> Searcher:
    usual = {"checkpoint": None, "index": name, "index_dir": made.root}
    return open_searcher(replace(made.case.request(), **{**usual, **changes}))


def test_a_named_index_answers_with_its_own_checkpoint(made: Indexes) -> None:
    own = ask(made).search(QUERY, 6)
    assert own.hits == ask(made, checkpoint=made.case.checkpoint).search(QUERY, 6).hits
    assert sorted(hit.doc_id for hit in own.hits) == sorted(TEXTS)
    assert made.case.loads == (0 if isinstance(made.case.tower, config.MLPTower) else 2)


def test_a_version_and_a_folder_can_be_named(named: Indexes) -> None:
    named.remove("re.sub")
    folder = named.root / "docs" / "v0001"
    counts = {name: len(ask(named, name)) for name in ("docs", "docs@v0002", "docs@v0001", str(folder))}
    assert list(counts.values()) == [5, 5, 6, 6]


def test_another_checkpoint_of_the_same_width_is_refused(made: Indexes) -> None:
    other = made.folder / "other.pt"
    other.write_bytes(b"another")
    sidecar.write(other, made.case.content)
    with pytest.raises(ValueError, match=r"other.pt \(\w{12}\) did not build index docs, case \(") as error:
        ask(made, checkpoint=other)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_the_same_document_tower_may_query(named: Indexes) -> None:
    sidecar.write(named.case.checkpoint, named.case.content | {"doc_tower": "one"})
    place = named.build("one")
    query_tower = named.folder / "other.pt"
    query_tower.write_bytes(b"another")
    sidecar.write(query_tower, named.case.content | {"doc_tower": "one"})
    searcher = ask(named, "one", checkpoint=query_tower)
    assert len(searcher.search(QUERY, 3).hits) == 3
    assert named.case.loads == 2  # the build's, and the query tower's, which the index does not have
    assert index.read(place.folder)["doc_tower"] == "one"


def test_a_lost_or_changed_checkpoint_is_not_missed_by_an_mlp_and_is_by_others(made: Indexes) -> None:
    for change in (lambda: made.case.checkpoint.write_bytes(b"x"), made.case.checkpoint.unlink):
        change()
        if isinstance(made.case.tower, config.MLPTower):
            assert len(ask(made).search(QUERY, 6).hits) == 6
        else:
            with pytest.raises((ValueError, OSError), match="query tower"):
                ask(made)


def test_one_changed_document_of_the_source_is_refused_with_the_way_out(made: Indexes) -> None:
    made.write({**TEXTS, "re.sub": "replace every match of a Pattern"})
    with pytest.raises(
        ValueError, match=r"index docs: docs has changed .*`twotower index update docs`"
    ) as error:
        ask(made)
    assert "\n" not in str(error.value)


def test_a_touched_source_is_read_once_more(named: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(named.case.corpus / "corpus.jsonl", ns=(0, 0))
    ask(named)
    monkeypatch.setattr(origins, "read", None)
    ask(named)


def test_a_lost_source_is_said(named: Indexes) -> None:
    shutil.rmtree(named.case.corpus)
    assert len(ask(named).search(QUERY, 6).hits) == 6
    assert named.case.said[-1].startswith("six is gone (")


def test_naming_the_documents_of_an_index_is_fine_and_others_are_refused(named: Indexes) -> None:
    case = named.case
    copy, other = case.write(TEXTS, named.folder / "copy"), case.write({"x": "y"}, named.folder / "other")
    for folder in (case.corpus, copy):
        assert len(ask(named, data=config.Beir(path=str(folder)))) == 6
    with pytest.raises(ValueError, match=r"data: other \(corpus \w{12}\) is not what index docs holds"):
        ask(named, data=config.Beir(path=str(other)))


def test_a_damaged_named_index_is_refused(named: Indexes) -> None:
    file = named.root / "docs" / "v0001" / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"vectors\.npy: damaged .* build the index again"):
        ask(named)


def test_without_an_index_a_checkpoint_is_needed(mlp: Case) -> None:
    with pytest.raises(ValueError, match="checkpoint: got none"):
        open_searcher(replace(mlp.request(), checkpoint=None))
