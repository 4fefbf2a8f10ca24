import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from search_case import TEXTS, Case

from twotower import config
from twotower.data import beir
from twotower.model import sidecar
from twotower.search import bundle
from twotower.search.bundle import Bundle
from twotower.search.opening import open_searcher

FILES = ["vectors.npy", "texts.npy", "titles_offsets.npy", "tower_words.npy", "words.json", "manifest.json"]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, config.MLPTower(hidden_dim=5))


def build(case: Case) -> Bundle:
    sha256 = sidecar.sha256(case.checkpoint)
    return bundle.build(case.load(), beir.read(case.corpus), sha256, case.cache_dir)


def test_a_bundle_comes_back_as_it_was_built(case: Case) -> None:
    built = build(case)
    opened = bundle.load(built.folder, sidecar.sha256(case.checkpoint))
    assert opened is not None
    assert len(opened) == 6
    assert [opened.doc_ids[row] for row in range(6)] == sorted(TEXTS)
    assert [opened.texts[row] for row in range(6)] == [TEXTS[doc] for doc in sorted(TEXTS)]
    assert [opened.titles[row] for row in range(6)] == [doc.upper() for doc in sorted(TEXTS)]
    assert opened.vocab.words == case.retriever.vocab.words
    assert set(opened.tower) == {"words", "weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2"}


def test_vectors_are_those_of_the_retriever_in_float32_and_mapped(case: Case) -> None:
    built = build(case)
    docs = case.retriever.encode_docs([f"{doc.upper()} {TEXTS[doc]}" for doc in sorted(TEXTS)])
    assert isinstance(built.vectors, np.memmap)
    assert built.vectors.dtype == np.float32
    assert np.abs(built.vectors - docs).max() < 1e-6


def test_its_name_and_manifest_say_what_it_was_built_from(case: Case) -> None:
    built = build(case)
    corpus, sha256 = case.content["data"]["corpus_hash"], sidecar.sha256(case.checkpoint)
    assert built.folder == case.cache_dir / f"{sha256[:16]}-{corpus[:16]}"
    manifest = json.loads((built.folder / "manifest.json").read_text())
    assert (manifest["checkpoint"], manifest["corpus"], manifest["format"]) == (sha256, corpus, 1)
    assert (manifest["documents"], manifest["dim"], manifest["max_query_words"]) == (6, 6, 64)
    assert (manifest["pattern"], manifest["collection"]) == (config.Train.pattern, "six")


def test_another_checkpoint_or_corpus_or_format_is_refused(case: Case) -> None:
    built = build(case)
    sha256, corpus = built.manifest["checkpoint"], built.manifest["corpus"]
    assert bundle.load(built.folder, sha256, corpus) is not None
    assert bundle.load(built.folder, sha256[:-1] + "x", corpus) is None
    assert bundle.load(built.folder, sha256, corpus[:-1] + "x") is None


def test_a_bundle_of_another_format_is_built_anew(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "FORMAT", 0)
        open_searcher(case.request())
    assert len(open_searcher(case.request())) == 6
    assert "of another version; built anew" in case.said[1]
    assert json.loads((case.bundles[0] / "manifest.json").read_text())["format"] == bundle.FORMAT


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_bundle_is_built_anew_with_a_remark(case: Case, name: str, damage: str) -> None:
    before = open_searcher(case.request()).search("read a csv file", 6).hits
    file = case.bundles[0] / name
    content = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case _:
            file.unlink()
    assert open_searcher(case.request()).search("read a csv file", 6).hits == before
    assert [("damaged" in line, "encoding" in line) for line in case.said[1:]] == [
        (True, False),
        (False, True),
    ]
    assert len(list(case.cache_dir.glob("*-*"))) == 1
    open_searcher(case.request())
    assert case.loads == 2


def test_damaged_stamps_cost_a_second_look_and_nothing_else(case: Case) -> None:
    built = open_searcher(case.request()).bundle
    for content in ("", "{", "3", "[3]"):
        (built.folder / "stamps.json").write_text(content)
        open_searcher(case.request())
    assert case.loads == 1


def test_a_bundle_that_cannot_be_written_to_still_answers(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = open_searcher(case.request()).bundle

    def refused(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(sidecar, "write_aside", refused)
    built.add_stamp("another")
    assert "another" not in built.stamps


def test_many_builders_leave_one_bundle(case: Case) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(lambda _: open_searcher(case.request()).search("a csv file", 6).hits, range(8))
        )
    assert all(answer == answers[0] for answer in answers)
    assert [path.name for path in case.cache_dir.iterdir() if path.name.startswith(".")] == []
    assert len(case.bundles) == 1


@pytest.mark.slow
def test_a_killed_builder_leaves_no_bundle(case: Case) -> None:
    code = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from pathlib import Path
import numpy as np
from search_case import Case
from twotower import config
from twotower.search.opening import open_searcher
case, save = Case(Path({str(case.folder)!r}), config.MLPTower(hidden_dim=5)), np.save
def killed(file, array, **options):
    save(file, array, **options)
    if Path(file).name == "texts.npy":
        os.kill(os.getpid(), signal.SIGKILL)
np.save = killed
open_searcher(case.request())
"""
    ended = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in case.cache_dir.glob("*-*") if not path.name.startswith(".")] == []
    assert len(open_searcher(case.request())) == 6
