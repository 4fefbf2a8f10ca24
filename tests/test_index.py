import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from index_case import Indexes
from search_case import TEXTS

from twotower import config
from twotower.search import exact, index, sealed

FILES = [
    "vectors.npy",
    "ids.npy",
    "ids_offsets.npy",
    "documents.db",
    "tower_words.npy",
    "words.json",
    "probe.npy",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Indexes(tmp_path_factory.mktemp("built")).build().folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def test_an_index_comes_back_as_it_was_built(built: Path) -> None:
    found = index.load(built)
    assert len(found) == 6
    assert [found.ids[row] for row in range(6)] == sorted(TEXTS)
    assert [document.text for document in found.documents.get(sorted(TEXTS))] == [
        TEXTS[doc] for doc in sorted(TEXTS)
    ]
    assert found.name == "docs"
    assert set(found.tower) == {"words", "weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2"}
    assert found.duplicates.tolist() == list(range(6))
    assert not found.vectors[:].flags.writeable
    found.close()


def test_a_row_is_found_by_its_id(built: Path) -> None:
    found = index.load(built)
    assert [found.row(doc) for doc in sorted(TEXTS)] == list(range(6))
    assert [found.row(doc) for doc in ("", "aaa", "json", "json.load2", "zürich!", "東京")] == [-1] * 6
    found.close()


def test_the_best_are_those_of_exact_search(built: Path) -> None:
    found = index.load(built)
    queries = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    one, many = (found.top(queries[:count], 4) for count in (1, 3))
    want = exact.top(queries, found.vectors[:], 4, chunk=2)
    assert (many.rows == want.rows).all()
    assert (many.scores == want.scores).all()
    assert (one.rows[0] == want.rows[0]).all()
    assert found.top(queries, 99).rows.shape == (3, 6)
    found.close()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_index_is_refused_by_the_file(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    content = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case _:
            file.unlink()
    with pytest.raises(ValueError, match=f"{name}: .*build the index again") as error:
        index.load(folder)
    assert "\n" not in str(error.value)


def test_another_format_is_refused_with_both(folder: Path) -> None:
    manifest = {key: value for key, value in sealed.read(folder).items() if key not in ("files", "seal")}
    sealed.close(folder, {**manifest, "format": 1})
    with pytest.raises(ValueError, match="format 1, want 2; build it again"):
        index.load(folder)


def test_files_that_do_not_fit_each_other_are_refused(folder: Path) -> None:
    manifest = {key: value for key, value in sealed.read(folder).items() if key not in ("files", "seal")}
    np.save(folder / "ids_offsets.npy", np.load(folder / "ids_offsets.npy")[:-1])
    sealed.close(folder, manifest)
    with pytest.raises(ValueError, match="5 ids and 6 vectors, want 6 of each"):
        index.load(folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not an index, it has no manifest\.json"):
        index.load(tmp_path)


def test_a_manifest_is_readable(built: Path) -> None:
    text = (built / "manifest.json").read_text()
    assert json.loads(text)["checkpoint"]["run"] == "case"
    assert len(text.splitlines()) < 300


def test_an_index_without_a_name_has_its_collections(tmp_path: Path) -> None:
    made = Indexes(tmp_path, config.MLPTower(hidden_dim=5))
    found = index.load(made.build(origin=made.origin()).folder)
    assert found.name == "docs"
    found.close()
