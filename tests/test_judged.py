import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_case import small, write_beir

from twotower import config
from twotower.commands import train
from twotower.data import appended, judged
from twotower.data.collection import Collection
from twotower.data.judged import Joined, Judged
from twotower.model import sidecar
from twotower.text.tokenize import Tokenizer
from twotower.training import measuring, resume, setup, untrained

DOCS = {f"d{number}": f"text number {number}" for number in range(4)}
QUERIES = {"q1": "read a csv", "q2": "open a file", "q3": "close it", "q4": "nobody judged this"}
QRELS = {"train": {"q1": {"d0": 1}}, "dev": {"q2": {"d1": 1}}, "test": {"q3": {"d2": 1}}}
SIX = Collection.from_dicts(DOCS, QUERIES, QRELS, name="four")


def said(path: Path, *lines: tuple[str, str, bool], where: Collection = SIX) -> Path:
    """A file of judgements: query, document, whether it is relevant."""
    for query, doc, relevant in lines:
        document = (doc, "", dict(zip(where.doc_ids, where.doc_texts, strict=True)).get(doc, "gone"))
        judged.append(path, Judged.now(query, document, relevant=relevant, collection=where.corpus_hash))
    return path


def joined(path: Path, *, min_grade: int = 1) -> Joined:
    return judged.join(SIX, path, Tokenizer(), min_grade=min_grade)


def train_of(made: Joined) -> dict[str, dict[str, int]]:
    """The split train by the queries' texts."""
    texts = dict(zip(made.collection.query_ids, made.collection.query_texts, strict=True))
    return {texts[query]: dict(grades) for query, grades in made.collection.split("train").items()}


def test_a_line_is_read_back_as_it_was_said(tmp_path: Path) -> None:
    path = said(tmp_path / "data" / "judgements.jsonl", (" Zürich\n 東京 ", "d0", True))
    (line,), torn = judged.read(path)
    assert (line.query, line.doc_id, line.grade, line.collection) == ("Zürich 東京", "d0", 1, SIX.corpus_hash)
    assert line.query_id == judged.id_of("Zürich 東京")
    assert torn == 0


def test_yes_adds_the_query_and_a_positive_and_no_a_hard_negative(tmp_path: Path) -> None:
    made = joined(said(tmp_path / "j", ("numbers", "d3", True), ("numbers", "d1", False)))
    assert train_of(made) == {"read a csv": {"d0": 1}, "numbers": {"d1": 0, "d3": 1}}
    assert made.base == SIX.hash != made.collection.hash
    assert made.remarks == (
        f"{tmp_path / 'j'}: 1 judged relevant and 1 not, which join train with 1 new queries",
    )


def test_the_last_word_counts_over_the_collections_own_too(tmp_path: Path) -> None:
    path = said(tmp_path / "j", ("x", "d1", True), ("x", "d1", False), ("Read a CSV!", "d0", False))
    made = joined(said(path, ("read a csv", "d2", True)))
    assert train_of(made) == {"x": {"d1": 0}, "read a csv": {"d0": 0, "d2": 1}}
    assert "1 have been said again since" in made.remarks[1]


@pytest.mark.parametrize("query", ["open a file", "Open a FILE?", "close it", "ｃｌｏｓｅ it."])
def test_a_query_of_dev_or_test_is_left_out_however_it_is_typed(query: str, tmp_path: Path) -> None:
    made = joined(said(tmp_path / "j", (query, "d3", True), ("new", "d3", True)))
    assert train_of(made) == {"read a csv": {"d0": 1}, "new": {"d3": 1}}
    assert made.collection.split("dev") == SIX.split("dev")
    assert "1 are of queries without words, or read like one of another split" in made.remarks[1]


def test_the_id_of_a_query_of_another_split_is_left_out_too(tmp_path: Path) -> None:
    line = Judged.now("reworded", ("d3", "", "text number 3"), relevant=True, collection=SIX.corpus_hash)
    judged.append(tmp_path / "j", replace(line, query_id="q2"))
    assert train_of(joined(tmp_path / "j")) == {"read a csv": {"d0": 1}}


def test_a_query_that_nobody_judged_keeps_its_id(tmp_path: Path) -> None:
    made = joined(said(tmp_path / "j", ("nobody judged THIS", "d3", True)))
    assert made.collection.split("train")["q4"] == {"d3": 1}
    assert made.collection.query_ids == SIX.query_ids


def test_queries_that_read_the_same_are_one(tmp_path: Path) -> None:
    made = joined(said(tmp_path / "j", ("new one", "d1", True), ("New, one", "d1", False)))
    assert train_of(made) == {"read a csv": {"d0": 1}, "new one": {"d1": 0}}


def test_what_is_liked_reaches_the_grade_that_training_wants(tmp_path: Path) -> None:
    made = joined(said(tmp_path / "j", ("x", "d1", True), ("x", "d2", False)), min_grade=2)
    assert train_of(made)["x"] == {"d1": 2, "d2": 0}


def test_a_query_without_words_is_left_out(tmp_path: Path) -> None:
    assert train_of(joined(said(tmp_path / "j", ("?!", "d1", True)))) == {"read a csv": {"d0": 1}}


def test_documents_that_are_gone_are_counted(tmp_path: Path) -> None:
    made = joined(said(tmp_path / "j", ("x", "gone", True), ("x", "d1", True)))
    assert train_of(made)["x"] == {"d1": 1}
    assert "1 name documents that are not in it" in made.remarks[1]


def other(**texts: str) -> Collection:
    return Collection.from_dicts(DOCS | texts, QUERIES, QRELS, name="other")


def test_judgements_of_another_collection_are_refused(tmp_path: Path) -> None:
    path = said(tmp_path / "j", ("x", "d1", True), where=other(d1="another text"))
    with pytest.raises(ValueError, match="none of its 1 judgements is about a document of four"):
        joined(path)
    made = joined(said(path, ("y", "d2", True)))
    assert train_of(made) == {"read a csv": {"d0": 1}, "y": {"d2": 1}}
    assert "1 are of another collection" in made.remarks[1]


def test_a_document_that_has_not_changed_is_the_same_in_a_corpus_that_has(tmp_path: Path) -> None:
    path = said(tmp_path / "j", ("x", "d1", True), where=other(d9="one more"))
    assert train_of(joined(path))["x"] == {"d1": 1}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"grade": "yes"}, "grade: got str, want int"),
        ({"grade": None}, "grade: got NoneType, want int"),
        ({"doc_id": 3}, "doc_id: got int, want str"),
        ({"query": " "}, "query: got nothing, want its text"),
        ({"query": "\udce9"}, "query: half of a surrogate pair in it, want text"),
    ],
)
def test_a_line_that_is_no_judgement_is_refused_by_its_number(
    change: dict[str, Any], what: str, tmp_path: Path
) -> None:
    path = said(tmp_path / "j", ("x", "d1", True))
    line = json.loads(path.read_text())
    appended.append(path, [line | change])
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}:2: {what}$"):
        judged.read(path)


def test_a_torn_line_is_said(tmp_path: Path) -> None:
    path = said(tmp_path / "j", ("x", "d1", True), ("x", "d2", True))
    path.write_bytes(path.read_bytes()[:-20])
    made = joined(path)
    assert train_of(made)["x"] == {"d1": 1}
    assert "1 are torn" in made.remarks[1]


def test_no_judgements_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"")
    assert joined(tmp_path / "j").collection.hash == SIX.hash
    with pytest.raises(FileNotFoundError, match="no such file"):
        joined(tmp_path / "none")


# training


def test_training_takes_them_in_and_its_record_names_the_file(tiny: Collection, tmp_path: Path) -> None:
    bare = replace(tiny, qrels={split: tiny.split(split) for split in ("train", "test")})  # dev is held out
    folder = write_beir(bare, tmp_path / "tiny")
    path = said(
        tmp_path / "j", ("breakfast of the badger", "d00", True), ("breakfast of the badger", "d01", False),
        where=tiny,
    )  # fmt: skip
    plain = setup.build(small(folder, tmp_path))
    built = setup.build(small(folder, tmp_path, judgements=str(path)))
    assert len(built.train) == len(plain.train) + 1
    assert (len(plain.train.refused.docs), len(built.train.refused.docs)) == (0, 1)
    assert built.collection.split("dev") == plain.collection.split("dev")
    assert built.protocol == plain.protocol
    assert resume.data_of(built) != resume.data_of(plain)  # one is not continued as the other
    assert "breakfast" in built.retriever.vocab.index
    assert any(
        "1 judged relevant and 1 not" in line
        for line in setup.remarks(config_of(path, folder, tmp_path), built)
    )


def config_of(path: Path, folder: Path, home: Path, **knobs: Any) -> config.Train:
    return small(folder, home, judgements=str(path), **knobs)


def test_a_run_with_judgements_is_evaluated_on_its_collection_as_before(
    tiny: Collection, tmp_path: Path
) -> None:
    folder = write_beir(tiny, tmp_path / "tiny")
    path = said(tmp_path / "j", ("breakfast of the badger", "d00", True), where=tiny)
    assert train.run(config_of(path, folder, tmp_path, epochs=1, floors=False)) == 0
    (checkpoint,) = (tmp_path / "checkpoints").glob("*.pt")
    content = sidecar.read(checkpoint)
    assert content["data"]["judgements"]["path"] == str(path)
    assert len(content["data"]["judgements"]["sha256"]) == 64
    found = measuring.collection_of(config.Stored(), content, tmp_path / "cache")
    assert found.hash == content["data"]["hash"]
    assert "breakfast" in untrained.built(content, tmp_path / "cache").vocab.index
    said(path, ("supper of the badger", "d00", True), where=tiny)
    with pytest.raises(ValueError, match="changed since training"):
        untrained.built(content, tmp_path / "cache")
