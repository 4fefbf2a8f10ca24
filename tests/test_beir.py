import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.config import OnBad
from twotower.data import beir
from twotower.data.collection import Collection

CORPUS = [
    '{"_id": "d1", "title": "Einstein", "text": "Born in Ulm."}',
    '{"_id": "d2", "text": "On the Danube."}',
]
QUERIES = ['{"_id": "q1", "text": "where born"}', '{"_id": "q2", "text": "not judged", "metadata": {}}']
HEADER = "query-id\tcorpus-id\tscore"
TRAIN = [HEADER, "q1\td1\t1", "q1\td2\t0"]


def write(folder: Path, corpus=CORPUS, queries=QUERIES, train=TRAIN) -> Path:
    """A BEIR folder; a part given as bytes is written as it is."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, lines in (("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels/train.tsv", train)):
        data = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_is_read_whole(tmp_path):
    collection = beir.read(write(tmp_path / "tiny"))
    assert collection.name == "tiny"
    assert collection.doc_ids == ("d1", "d2")
    assert collection.doc_inputs() == ["Einstein Born in Ulm.", "On the Danube."]
    assert collection.query_ids == ("q1", "q2")  # q2 is judged in no split and kept
    assert collection.qrels == {"train": {"q1": {"d1": 1, "d2": 0}}}
    assert collection.source == {"kind": "beir", "path": str(tmp_path / "tiny")}


def test_gzipped_files_read_the_same(tmp_path):
    plain = beir.read(write(tmp_path / "plain"))
    packed = write(tmp_path / "packed")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"):
        (packed / f"{name}.gz").write_bytes(gzip.compress((packed / name).read_bytes()))
        (packed / name).unlink()
    assert beir.read(str(packed)).hash == plain.hash


def test_order_of_lines_line_ends_and_byte_order_marks_change_nothing(tmp_path):
    plain = beir.read(write(tmp_path / "plain"))
    shuffled = write(tmp_path / "shuffled", CORPUS[::-1], QUERIES[::-1], [HEADER, *TRAIN[:0:-1]])
    windows = write(
        tmp_path / "windows",
        *(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", ""]).encode() for lines in (CORPUS, QUERIES, TRAIN)),
    )
    assert beir.read(shuffled).hash == beir.read(windows).hash == plain.hash


def test_a_line_separator_inside_a_string_is_no_line_end(tmp_path):
    corpus = [json.dumps({"_id": "d1", "text": "one\u2028two\x85"}, ensure_ascii=False), CORPUS[1]]
    assert beir.read(write(tmp_path, corpus)).doc_texts[0] == "one\u2028two\x85"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "d9", "text": ', "not JSON: Expecting value at column 23"),
        ("[1, 2]", "got a list, want a JSON object"),
        ("", "a blank line, want a JSON object"),
        ('{"text": "no id"}', "no '_id', it has 'text'"),
        ('{"_id": "d9", "title": "x"}', "no 'text', it has '_id', 'title'"),
        ("{}", "no '_id', it has nothing"),
        ('{"_id": 9, "text": "x"}', "_id: got the int 9, want a string"),
        ('{"_id": "d9", "text": null}', "text: got null, want a string"),
        ('{"_id": "d9", "title": ["x"], "text": "x"}', "title: got a list, want a string"),
        ('{"_id": "d9", "title": " ", "text": "\\n"}', "empty document, want a title or a text"),
        ('{"_id": "d2", "text": "x"}', "duplicate _id 'd2', first on line 2"),
        ('{"_id": "d9", "text": "\\ud800"}', "text: half a surrogate pair (U+D800), want valid Unicode"),
    ],
)
def test_a_wrong_document_is_named_by_file_and_line(tmp_path, line, message):
    folder = write(tmp_path, [*CORPUS, line, '{"_id": "d10", "text": "after"}'])
    where = f"{folder / 'corpus.jsonl'}:3: "
    with pytest.raises(ValueError, match=r"corpus\.jsonl:3") as caught:
        beir.read(folder)
    assert str(caught.value) == where + message


def test_a_wrong_query_is_named_by_file_and_line(tmp_path):
    folder = write(tmp_path, queries=[*QUERIES, '{"_id": "q1", "text": "again"}'])
    with pytest.raises(ValueError, match=r"queries\.jsonl:3: duplicate _id 'q1', first on line 1$"):
        beir.read(folder)


def test_nesting_and_numbers_that_python_refuses_are_an_error_of_the_line(tmp_path):
    for number, line in enumerate(("[" * 100_000, '{"_id": ' + "9" * 5000 + "}")):
        folder = write(tmp_path / str(number), [*CORPUS, line])
        with pytest.raises(ValueError, match=r"corpus\.jsonl:3: not JSON that can be read"):
            beir.read(folder)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_that_is_not_utf8_names_its_line(tmp_path, mark):
    data = mark + CORPUS[0].encode() + b'\n{"_id": "d2", "text": "caf\xe9"}\n'
    with pytest.raises(ValueError, match=r"corpus\.jsonl:2: byte 0xe9 is not UTF-8$"):
        beir.read(write(tmp_path, data))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1\td1", "2 tab-separated fields, want 3: query-id corpus-id score"),
        ("q1 d1 1", "1 tab-separated fields, want 3: query-id corpus-id score"),
        ("q1\td1\t1\tx", "4 tab-separated fields, want 3: query-id corpus-id score"),
        ("q1\td9\t1", "document 'd9' is not in corpus.jsonl"),
        ("q9\td1\t1", "query 'q9' is not in queries.jsonl"),
        ("q2\td1\t0.5", "score '0.5', want an integer of 32 bits"),
        ("q2\td1\t9999999999", "score '9999999999', want an integer of 32 bits"),
        ("q1\td1\t0", "query 'q1' and document 'd1' are judged twice"),
    ],
)
def test_a_wrong_judgement_is_named_by_file_and_line(tmp_path, line, message):
    folder = write(tmp_path, train=[*TRAIN, line])
    with pytest.raises(ValueError, match=r"train\.tsv:4") as caught:
        beir.read(folder)
    assert str(caught.value) == f"{folder / 'qrels/train.tsv'}:4: {message}"


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("q1\td1\t1", "got 'q1 d1 1', want the header 'query-id<TAB>corpus-id<TAB>score'"),
        (
            "q1 0 d1 1",
            "TREC qrels (query 0 document grade), want the header "
            "'query-id<TAB>corpus-id<TAB>score' and three columns",
        ),
    ],
)
def test_qrels_want_their_header(tmp_path, first, message):
    folder = write(tmp_path, train=[first])
    with pytest.raises(ValueError, match=r"train\.tsv:1") as caught:
        beir.read(folder)
    assert str(caught.value) == f"{folder / 'qrels/train.tsv'}:1: {message}"


def test_empty_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"corpus\.jsonl: empty, want at least one document$"):
        beir.read(write(tmp_path / "a", corpus=b"\n\n"))
    with pytest.raises(ValueError, match=r"queries\.jsonl: empty, want at least one query$"):
        beir.read(write(tmp_path / "b", queries=b""))
    with pytest.raises(ValueError, match=r"train\.tsv: no judgement, want at least one$"):
        beir.read(write(tmp_path / "c", train=[HEADER]))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        beir.read(tmp_path / "nowhere")
    folder = write(tmp_path / "tiny")
    with pytest.raises(FileNotFoundError, match=r"corpus\.jsonl: a file, want a folder"):
        beir.read(folder / "corpus.jsonl")
    (folder / "qrels/train.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"qrels: no file <split>\.tsv"):
        beir.read(folder)
    (folder / "qrels").rmdir()
    with pytest.raises(FileNotFoundError, match="qrels: no such folder"):
        beir.read(folder)
    (folder / "queries.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"queries\.jsonl: no such file, nor queries\.jsonl\.gz"):
        beir.read(folder)


def test_a_folder_where_a_file_is_wanted_is_refused(tmp_path):
    folder = write(tmp_path)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl").mkdir()
    with pytest.raises(FileNotFoundError, match=r"corpus\.jsonl: a folder, want a file$"):
        beir.read(folder)


def test_a_file_both_plain_and_gzipped_is_ambiguous(tmp_path):
    folder = write(tmp_path)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match=r"both corpus\.jsonl and corpus\.jsonl\.gz, want one of them$"):
        beir.read(folder)


TITLES = [{"_id": f"d{n}", "text": random.Random(n).randbytes(99).hex()} for n in range(50)]
WHOLE = gzip.compress("".join(f"{json.dumps(title)}\n" for title in TITLES).encode())


@pytest.mark.parametrize(
    "damage", [b"not gzip", WHOLE[:-2000], WHOLE[:-20], WHOLE[:-1], WHOLE[:-8] + b"-" * 8]
)
def test_a_damaged_gzip_is_named(tmp_path, damage):
    folder = write(tmp_path)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(damage)
    with pytest.raises(ValueError, match=r"corpus\.jsonl\.gz: damaged or not gzip"):
        beir.read(folder)


def test_a_truncated_gzip_is_an_error_where_bad_lines_are_skipped_too(tmp_path):
    folder = write(tmp_path)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(WHOLE[:-2000])
    with pytest.raises(ValueError, match=r"corpus\.jsonl\.gz: damaged or not gzip"):
        beir.read(folder, OnBad.skip)


BAD_RECORDS = [
    '{"_id": "d9", "text": ',
    "[1, 2]",
    "",
    '{"text": "no id"}',
    '{"_id": 9, "text": "x"}',
    '{"_id": "d9", "text": null}',
    '{"_id": "d9", "title": " ", "text": "\\n"}',
    '{"_id": "d2", "text": "x"}',
]


def test_bad_lines_are_skipped_and_the_counts_add_up(tmp_path):
    corpus = [*CORPUS, *BAD_RECORDS, '{"_id": "d10", "text": "after"}', "", ""]
    train = [*TRAIN, "q1\td10", "q1\td10\tx", "q1\td9\t1", "q9\td1\t1", "q1\td2\t1", "", "q1\td10\t1"]
    collection = beir.read(write(tmp_path, corpus, train=train), OnBad.skip)
    docs, queries, judged = collection.files
    assert collection.doc_ids == ("d1", "d10", "d2")
    assert (docs.lines, docs.kept, docs.blank, sum(docs.skipped.values())) == (13, 3, 2, 8)
    assert docs.skipped == {
        "not JSON": 1, "not an object": 1, "blank": 1, "missing field": 1, "wrong _id": 1, "wrong text": 1,
        "empty document": 1, "duplicate id": 1,
    }  # fmt: skip
    assert docs.first == f"{tmp_path / 'corpus.jsonl'}:3: not JSON: Expecting value at column 23"
    assert (queries.lines, queries.kept, queries.skipped) == (2, 2, {})
    assert collection.qrels == {"train": {"q1": {"d1": 1, "d10": 1, "d2": 0}}}
    assert (judged.lines, judged.header, judged.kept) == (10, 1, 3)
    assert judged.skipped == {
        "wrong number of fields": 1, "bad score": 1, "unknown document": 1, "unknown query": 1,
        "judged twice": 1, "blank": 1,
    }  # fmt: skip


def test_a_line_that_is_not_utf8_is_skipped(tmp_path):
    data = CORPUS[0].encode() + b'\n{"_id": "d9", "text": "caf\xe9"}\n' + CORPUS[1].encode()
    collection = beir.read(write(tmp_path, data), OnBad.skip)
    assert (collection.doc_ids, collection.files[0].skipped) == (("d1", "d2"), {"not UTF-8": 1})


def test_judgements_of_a_skipped_document_are_skipped_with_it(tmp_path):
    collection = beir.read(write(tmp_path, [CORPUS[0], '{"_id": "d2", "text": ""}']), OnBad.skip)
    assert collection.qrels == {"train": {"q1": {"d1": 1}}}
    assert collection.files[2].skipped == {"unknown document": 1}


def test_a_file_of_which_nothing_is_left_says_what_was_skipped(tmp_path):
    folder = write(tmp_path, ["{}", "{}"])
    with pytest.raises(ValueError, match=r"corpus\.jsonl: empty, .*; .* skipped 2 of 2 lines \(2 missing"):
        beir.read(folder, OnBad.skip)


IDS = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=5)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@given(st.dictionaries(IDS, st.tuples(TEXTS, TEXTS.filter(str.strip)), min_size=1), st.data())
def test_a_collection_that_is_written_reads_back_with_the_same_hash(tmp_path_factory, docs, data):
    queries = data.draw(st.dictionaries(IDS, TEXTS, min_size=1))
    grades = st.dictionaries(st.sampled_from(sorted(docs)), st.integers(-(2**31) + 1, 2**31 - 1), min_size=1)
    judged = st.dictionaries(st.sampled_from(sorted(queries)), grades, min_size=1)
    qrels = data.draw(st.dictionaries(st.sampled_from(["train", "dev", "a b", "x.tsv"]), judged, min_size=1))
    pairs = {doc: {"title": title, "text": text} for doc, (title, text) in docs.items()}
    collection = Collection.from_dicts(pairs, queries, qrels)
    folder = tmp_path_factory.mktemp("written") / "new" / "folder"
    beir.write(collection, folder)
    assert beir.read(folder).hash == collection.hash


def small(doc="d", query="q", split="test"):
    return Collection.from_dicts({doc: "text"}, {query: "words"}, {split: {query: {doc: 1}}}, name="small")


def test_a_folder_that_holds_something_is_not_written_over(tmp_path):
    (tmp_path / "empty").mkdir()
    beir.write(small(), tmp_path / "empty")
    for taken in (tmp_path / "empty", tmp_path / "empty" / "corpus.jsonl"):
        with pytest.raises(FileExistsError, match="exists and is not empty, want a folder that is not there"):
            beir.write(small(doc="other"), taken)
    assert beir.read(tmp_path / "empty").doc_ids == ("d",)


@pytest.mark.parametrize(
    ("collection", "message"),
    [
        (small(doc="a\tb"), r"small: document id 'a\\tb' holds a tab or a line end, want neither"),
        (small(query="a\n"), r"small: query id 'a\\n' holds a tab or a line end, want neither"),
        (small(split="../up"), "small: split '../up', want a name that a file can have"),
        (small(split=""), "small: split '', want a name that a file can have"),
        (
            Collection.from_dicts({"d": "x"}, {"q": "x"}, {}, name="bare"),
            "bare: no judgements, want at least one",
        ),
    ],
)
def test_what_the_files_cannot_hold_is_not_written(tmp_path, collection, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        beir.write(collection, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_collection_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(beir, "_rows", full)
    with pytest.raises(OSError, match="no space left"):
        beir.write(small(), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
