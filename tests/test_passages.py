import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.data.collection import Collection
from twotower.search import passages
from twotower.search.documents import Document


def written(path: Path, *records: Any) -> Path:
    text = "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_a_collection_gives_its_documents(tiny: Collection) -> None:
    found = list(passages.of_collection(tiny, "tiny"))
    assert [one.id for one in found] == list(tiny.doc_ids)
    assert (found[3].title, found[3].text, found[3].source) == (tiny.doc_titles[3], tiny.doc_texts[3], "tiny")


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.jsonl.gz"])
def test_a_file_gives_its_documents(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path / name,
        {"_id": "b", "text": "two", "title": "B", "source": "here"},
        {"_id": "a", "text": "", "title": "A", "metadata": {"source": "there"}},
        {"_id": "c", "text": "three", "metadata": 7},
    )
    assert list(passages.of_file(path)) == [
        Document("b", "B", "two", "here"),
        Document("a", "A", "", "there"),
        Document("c", "", "three"),
    ]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"_id": "a"}, "no 'text', it has '_id'"),
        ({"_id": 7, "text": "x"}, "_id"),
        ({"_id": "", "text": "x"}, "_id"),
        ({"_id": "a", "text": " "}, "empty document"),
        ({"_id": "a", "text": None}, "text"),
        ({"_id": "a", "text": "x", "source": 3}, "source"),
        ({"_id": "b", "text": "again"}, "duplicate _id 'b'"),
        ("{", "not JSON"),
        ("[1]", "want"),
    ],
)
def test_a_line_that_is_no_document_is_named(tmp_path: Path, record: Any, said: str) -> None:
    path = written(tmp_path / "docs.jsonl", {"_id": "b", "text": "one"}, record)
    with pytest.raises(ValueError, match=r"docs\.jsonl:2") as caught:
        list(passages.of_file(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_of_other_formats_and_missing_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"want documents as \.jsonl"):
        list(passages.of_file(written(tmp_path / "docs.tsv", "a\tb")))
    with pytest.raises(FileNotFoundError):
        list(passages.of_file(tmp_path / "none.jsonl"))


def test_a_long_text_is_cut_where_a_sentence_ends(tmp_path: Path) -> None:
    text = "one two three four five six seven eight. nine ten eleven twelve thirteen"
    found = list(passages.cut(Document("d", "T", text, "s"), 10, 0))
    assert [one.text for one in found] == [text[:40], text[41:]]
    assert [(one.id, one.parent, one.chunk) for one in found] == [("d#0", "d", 0), ("d#1", "d", 1)]
    assert {(one.title, one.source) for one in found} == {("T", "s")}
    assert list(passages.cut(Document("d", "T", text), 13, 2)) == [Document("d", "T", text)]


@given(
    st.lists(st.sampled_from(["a", "bc.", "d!", "é"]), max_size=60), st.integers(1, 12), st.integers(0, 12)
)
def test_passages_cover_the_text_and_overlap_as_wanted(words: list[str], size: int, overlap: int) -> None:
    overlap = min(overlap, size // 2)
    found = [one.text.split() for one in passages.cut(Document("d", "", "  ".join(words)), size, overlap)]
    assert all(len(some) <= size for some in found)
    whole = list(found[0])
    for some in found[1:]:
        shared = min(overlap, len(whole))
        assert some[:shared] == whole[len(whole) - shared :]
        assert len(some) > shared
        whole += some[shared:]
    assert whole == words


@pytest.mark.parametrize(("words", "overlap"), [(10, 6), (10, -1), (0, 3)])
def test_overlaps_that_make_no_sense_are_refused(tmp_path: Path, words: int, overlap: int) -> None:
    path = written(tmp_path / "docs.jsonl", {"_id": "b", "text": "one"})
    with pytest.raises(ValueError, match="chunk_overlap"):
        list(passages.of_file(path, chunk_words=words, chunk_overlap=overlap))
