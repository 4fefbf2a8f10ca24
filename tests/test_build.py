import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from index_case import Indexes, held, same_bytes
from numpy.typing import NDArray
from search_case import TEXTS

from twotower import config
from twotower.search import build, index, origins, stages, versions
from twotower.search.stages import Plan

FILES = {
    "vectors.npy",
    "ids.npy",
    "ids_offsets.npy",
    "documents.db",
    "duplicates.npy",
    "words.json",
    "probe.npy",
}


@pytest.fixture
def made(tmp_path: Path) -> Indexes:
    return Indexes(tmp_path)


def test_the_first_build_goes_live_and_the_second_stands_beside_it(made: Indexes) -> None:
    first, second = made.build(), made.build(plan=Plan(seed=1))
    assert (first.version, second.version) == ("v0001", "v0002")
    assert versions.live(made.root, "docs") == "v0001"
    assert held(first) == held(second) == TEXTS


def test_vectors_are_those_of_the_retriever(made: Indexes) -> None:
    found = index.load(made.build().folder)
    want = made.case.retriever.encode_docs([TEXTS[doc] for doc in sorted(TEXTS)])
    assert np.abs(found.vectors[:] - want).max() < 1e-6
    found.close()


def test_the_manifest_says_what_it_was_built_from(made: Indexes) -> None:
    manifest = index.read(made.build().folder)
    assert FILES - set(manifest["files"]) == set()
    assert (manifest["format"], manifest["name"], manifest["collection"]) == (2, "docs", "docs")
    assert manifest["checkpoint"] == {
        "path": str(made.case.checkpoint.resolve()),
        "sha256": made.encoder.sha256,
        "run": "case",
    }
    assert (manifest["documents"], manifest["dim"], manifest["kind"], manifest["recall"]) == (6, 6, "flat", 1)
    assert (manifest["max_query_words"], manifest["max_doc_words"]) == (64, 256)
    assert (manifest["pattern"], manifest["store"]) == (config.Train.pattern, None)
    assert manifest["query_tower"]["kind"] == manifest["doc_tower_knobs"]["kind"] == "mlp"
    assert manifest["seconds"].keys() == {"read", "encode", "build"}
    ((source, stamp),) = [(one["source"], one["stamp"]) for one in manifest["sources"]]
    assert (source["path"], stamp) == (str(made.file.resolve()), origins.stamp(made.origin()))


def test_a_collection_gives_its_hash_and_its_queries(made: Indexes) -> None:
    case = made.case
    place = made.build(origin=origins.of_checkpoint(case.checkpoint, case.content))
    manifest = index.read(place.folder)
    assert manifest["corpus"] == case.content["data"]["corpus_hash"]
    assert json.loads((place.folder / "queries.json").read_text()) == ["read a csv file"]


def test_no_text_of_a_source_without_queries_is_kept_as_one(made: Indexes) -> None:
    assert json.loads((made.build().folder / "queries.json").read_text()) == []


def test_a_changed_collection_is_refused_when_it_is_the_checkpoints_own(made: Indexes) -> None:
    case = made.case
    origin = origins.of_checkpoint(case.checkpoint, case.content)
    case.write({**TEXTS, "new": "one more"})
    with pytest.raises(ValueError, match=r"six has changed since training .*say data="):
        made.build(origin=origin)
    assert versions.versions(made.root, "docs") == []


def test_an_empty_source_is_refused(made: Indexes) -> None:
    made.file.write_text("")
    with pytest.raises(ValueError, match="no document"):
        made.build()


def interrupting(after: int) -> Callable[..., NDArray[np.float32]]:
    """`stages.encode`, interrupted by Ctrl-C after so many batches."""
    left, encode = [after], stages.encode

    def encoded(*given: object) -> NDArray[np.float32]:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return encode(*given)  # type: ignore[arg-type]

    return encoded


def test_an_interrupted_build_goes_on_where_it_was(made: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "BATCH", 2)
    monkeypatch.setattr(stages.batches, "__defaults__", (2,))
    encode = stages.encode
    monkeypatch.setattr(stages, "encode", interrupting(2))
    with pytest.raises(KeyboardInterrupt):
        made.build()
    assert versions.versions(made.root, "docs") == []
    assert made.case.said == ["what is done is kept; the same command goes on from there"]
    encoded: list[str] = []

    def counted(model: stages.Model, documents: Sequence[stages.Document]) -> NDArray[np.float32]:
        encoded.extend(document.id for document in documents)
        return encode(model, documents)

    monkeypatch.setattr(stages, "encode", counted)
    monkeypatch.setattr(origins, "read", None)  # the documents are there already
    place = made.build()
    assert encoded == sorted(TEXTS)[4:]
    monkeypatch.undo()
    assert same_bytes(place.folder, made.build("fresh").folder)


def test_another_plan_or_source_is_another_build(made: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {made.job().key, made.job(Plan(storage=config.Storage.int8)).key, made.job(Plan(seed=3)).key}
    made.write({**TEXTS, "new": "one more"})
    keys.add(made.job().key)
    assert len(keys) == 4
    assert made.job().key in keys


def test_a_build_while_another_process_is_at_it_is_refused(made: Indexes) -> None:
    with versions.locked(made.root, "docs"), pytest.raises(ValueError, match="docs"):
        made.build()


@pytest.mark.parametrize("storage", list(config.Storage))
def test_every_storage_finds_the_same_best_document(made: Indexes, storage: config.Storage) -> None:
    found = index.load(made.build(plan=Plan(storage=storage)).folder)
    query = made.case.retriever.encode_docs([TEXTS["re.sub"]])
    assert found.ids[int(found.top(query, 3).rows[0, 0])] == "re.sub"
    assert found.manifest["storage"] == storage.value
    found.close()


def test_towers_that_differ_are_both_kept(tmp_path: Path) -> None:
    tower = config.MLPTower(hidden_dim=5)
    made = Indexes(tmp_path, tower)
    tied = index.load(made.build().folder)
    assert tied.doc_tower is tied.tower
    assert tied.manifest["tied"] is True
    tied.close()


def test_a_recurrent_tower_keeps_no_arrays(tmp_path: Path) -> None:
    found = index.load(Indexes(tmp_path, config.GRUTower(hidden_dim=5)).build().folder)
    assert (found.tower, found.doc_tower) == ({}, {})
    found.close()


def test_the_name_of_an_index_in_the_cache_says_checkpoint_and_corpus(made: Indexes) -> None:
    folder = build.unnamed(made.job())
    digest = made.reading()[0].digest
    assert folder == made.case.cache_dir / f"{made.encoder.sha256[:16]}-{digest[:16]}"
    assert index.read(folder)["name"] == ""
    assert [path for path in made.case.cache_dir.iterdir() if path.name.startswith(".")] == []
