import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from twotower.data.collection import Collection
from twotower.search import documents
from twotower.search.documents import Counts, Document, DocumentStore

ODD = ["a", "Z", "é", "z", "\uffff", "\U0001f600", "a#1", "a'b", 'a"b', "a%_", "0"]


def some(count: int, word: str = "cat") -> list[Document]:
    return [
        Document(f"d{n:04}", f"Title {n}", f"the {word} number {n}", ("x", "y", "")[n % 3])
        for n in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.db"


def written(path: Path, these: list[Document]) -> Path:
    with DocumentStore.open(path, write=True) as store:
        store.put(these)
        store.finish()
    return path


def test_what_is_put_is_fetched_in_the_order_asked_for(path: Path) -> None:
    with DocumentStore.open(written(path, some(1200)), immutable=True) as store:
        ids = [f"d{n:04}" for n in (700, 3, 1199, 3)]
        assert [one.id for one in store.get(ids)] == ids
        assert store.get(["d0004"]) == [Document("d0004", "Title 4", "the cat number 4", "y")]
        assert len(store) == 1200
        assert "d0004" in store
        assert "d9" not in store
        with pytest.raises(ValueError, match="no document 'd9' in it"):
            store.get(["d0001", "d9"])


def test_a_second_import_changes_nothing_and_a_change_is_counted(path: Path) -> None:
    with DocumentStore.open(path, write=True) as store:
        assert store.put(some(30)) == Counts(added=30)
        assert store.put(some(30)) == Counts(same=30)
        assert store.put([Document("d0001", "Title 1", "a dog"), Document("new", "", "")]) == Counts(1, 1, 0)
        assert store.put([Document("new", "", "", source="z")]) == Counts(same=1)  # it reads alike
        assert store.get(["d0001", "new"])[0].text == "a dog"
        assert store.get(["new"])[0].source == "z"
        assert store.put([Document("e", "", "1"), Document("e", "", "2")]) == Counts(1, 1, 0)


def test_what_is_removed_is_gone(path: Path) -> None:
    with DocumentStore.open(path, write=True) as store:
        store.put(some(10))
        assert store.remove(["d0003", "no", "d0003", "d0001"]) == ["d0003", "d0001"]
        assert len(store) == 8
        assert "d0003" not in list(store.ids())


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True, min_size=1))
def test_ids_are_ordered_as_python_orders_them(ids: list[str]) -> None:
    with _memory() as store:
        store.put(Document(one, "", one) for one in ids)
        assert list(store.ids()) == sorted(ids)
        assert [one.text for one in store.get(ids)] == ids
        assert [one.id for one in store.scan(sorted(ids)[0])] == sorted(ids)[1:]


def _memory() -> DocumentStore:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    store = DocumentStore(Path("memory"), connection, writes=True)
    store._create()
    return store


def test_the_hash_is_that_of_the_collection(path: Path, tiny: Collection) -> None:
    texts = zip(tiny.doc_ids, tiny.doc_titles, tiny.doc_texts, strict=True)
    these = [Document(*each) for each in texts]
    random.Random(0).shuffle(these)
    with DocumentStore.open(written(path, these)) as store:
        assert store.corpus_hash() == tiny.corpus_hash
        assert store.hashes(["d00", "no"]) == {"d00": next(one.hash for one in these if one.id == "d00")}


def test_a_hash_tells_title_from_text() -> None:
    assert Document("1", "ab", "c").hash != Document("1", "a", "bc").hash
    assert Document("1", "a", "b").hash == Document("2", "a", "b", "elsewhere").hash


def test_sources_are_counted_and_listed(path: Path) -> None:
    with DocumentStore.open(written(path, some(7))) as store:
        assert store.sources() == {"x": 3, "y": 2}
        assert store.ids_of("y") == ["d0001", "d0004"]
        assert store.ids_of("no") == []
        assert store.ids_of("") == []


def test_one_file_is_left_and_a_copy_of_it_is_the_same(path: Path, tmp_path: Path) -> None:
    with DocumentStore.open(path, write=True) as store:
        store.put(some(5))
        store.snapshot(tmp_path / "early.db")
        store.finish()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["documents.db", "early.db"]
    with DocumentStore.open(path, immutable=True) as store:
        store.snapshot(tmp_path / "copy.db")
        whole = store.corpus_hash()
    for name in ("early.db", "copy.db"):
        with DocumentStore.open(tmp_path / name) as copy:
            assert copy.corpus_hash() == whole


@pytest.mark.parametrize(
    "document", [Document("a\ud800", "", ""), Document("a", "", "\udc00 b"), Document("", "t", "")]
)
def test_what_is_no_text_is_refused_and_nothing_of_its_batch_stays(path: Path, document: Document) -> None:
    with DocumentStore.open(path, write=True) as store:
        with pytest.raises(ValueError, match=r"surrogate|empty") as caught:
            store.put([*some(3), document])
        assert "\n" not in str(caught.value)
        str(caught.value).encode()
        assert len(store) == 0


def test_readers_see_what_was_whole_while_another_writes(path: Path) -> None:
    with DocumentStore.open(path, write=True) as store:
        store.put(some(3))
        with DocumentStore.open(path) as reader:

            def slowly():
                yield Document("late", "", "")
                assert len(reader) == 3
                yield Document("later", "", "")

            store.put(slowly())
            assert len(reader) == 5


def test_two_writers_are_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PATIENCE", 0.05)
    with DocumentStore.open(path, write=True) as one, DocumentStore.open(path, write=True) as other:
        with one._transaction(), pytest.raises(ValueError, match="another process is writing to it"):
            other.put(some(1))
        assert other.put(some(1)) == Counts(added=1)


def test_threads_share_a_store(path: Path) -> None:
    wrong = []
    with DocumentStore.open(written(path, some(500)), immutable=True) as store:

        def read(seed: int) -> None:
            draw = random.Random(seed)
            for _ in range(50):
                ids = [f"d{draw.randrange(500):04}" for _ in range(10)]
                if [one.id for one in store.get(ids)] != ids:
                    wrong.append(ids)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_files_that_hold_no_documents_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file of documents"):
        DocumentStore.open(path)
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(ValueError, match="damaged, or no file of documents"):
        DocumentStore.open(path)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    for write in (False, True):
        with pytest.raises(ValueError, match="of something else"):
            DocumentStore.open(tmp_path / "other.db", write=write)
    later = sqlite3.connect(written(tmp_path / "later.db", some(1)))
    later.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(ValueError, match="version 9, want 1"):
        DocumentStore.open(tmp_path / "later.db")


def test_a_truncated_file_is_refused_when_it_is_read(path: Path) -> None:
    size = written(path, some(3000)).stat().st_size
    os.truncate(path, size // 2)
    with pytest.raises(ValueError, match="damaged, or no file"), DocumentStore.open(path) as store:
        list(store.scan())


IMPORT = """
import sys
from pathlib import Path
from twotower.search import documents
from twotower.search.documents import Document, DocumentStore
documents.BATCH = 50
with DocumentStore.open(Path(sys.argv[1]), write=True) as store:
    print("begun", flush=True)
    store.put(Document(f"d{n:05}", "", f"text {n}") for n in range(20_000))
    store.finish()
print("done", flush=True)
"""


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.2])
def test_an_import_that_is_killed_is_gone_on_with(path: Path, moment: float) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(path)], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout
    process.stdout.readline()
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with DocumentStore.open(path, write=True) as store:
        there = len(store)
        assert there % 50 == 0
        assert all(one.text == f"text {int(one.id[1:])}" for one in store.scan())
        done = store.put(Document(f"d{n:05}", "", f"text {n}") for n in range(20_000))
        assert (done.same, done.added) == (there, 20_000 - there)


@pytest.mark.bench
def test_a_million_documents(path: Path) -> None:
    start = time.perf_counter()
    text = json.dumps(list(range(60)))
    written(path, [])
    with DocumentStore.open(path, write=True) as store:
        store.put(Document(f"{n:07}", f"Title {n}", f"{n} {text}") for n in range(1_000_000))
        store.finish()
    seconds = time.perf_counter() - start
    with DocumentStore.open(path, immutable=True) as store:
        draw, times = random.Random(0), []
        for _ in range(300):
            ids = [f"{draw.randrange(1_000_000):07}" for _ in range(10)]
            start = time.perf_counter()
            store.get(ids)
            times.append(time.perf_counter() - start)
    assert seconds < 180, seconds
    assert sorted(times)[150] < 1e-3, sorted(times)[150]
