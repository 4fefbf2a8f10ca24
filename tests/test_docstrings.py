import re
import sys
import time
from pathlib import Path

import pytest

from twotower.data import docstrings, prose
from twotower.data.markup import words

BODY = "This body has words enough, which are twelve at the least, about"


def module(*names: str) -> str:
    """Source with a documented function of each name."""
    return "\n".join(
        f'def {name}():\n    """Return the {name}.\n\n    {BODY} {name}.\n    """' for name in names
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of an importable package `docpkg` of twenty modules with two functions each."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = tmp_path / "site" / "docpkg"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    for n in range(20):
        (folder / f"m{n}.py").write_text(module(f"first{n}", f"second{n}"))
    return folder


def test_summaries_are_queries_and_bodies_their_documents(package, tmp_path):
    collection = docstrings.read(["docpkg"], tmp_path)
    row = collection.doc_rows["docpkg.m7.first7"]
    assert len(collection.doc_ids) == 40
    assert collection.doc_texts[row] == f"{BODY} first7."
    assert collection.query_texts[collection.query_rows["docpkg.m7.first7"]] == "Return the first7"
    assert collection.qrels[docstrings.split_of("docpkg.m7")]["docpkg.m7.first7"] == {"docpkg.m7.first7": 1}
    assert collection.source == {"kind": "docstrings", "packages": ["docpkg"]}
    assert "docpkg" not in sys.modules


def test_no_module_is_in_two_splits(package, tmp_path):
    collection = docstrings.read(["docpkg"], tmp_path)
    splits = {
        split: {query.rsplit(".", 1)[0] for query in judged} for split, judged in collection.qrels.items()
    }
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 20


def test_splits_are_about_eighty_ten_ten():
    splits = [docstrings.split_of(f"package.module{n}") for n in range(2000)]
    assert 1500 < splits.count("train") < 1700
    assert 150 < splits.count("dev") < 250
    assert 150 < splits.count("test") < 250


def test_equal_summaries_and_equal_bodies_appear_once(package, tmp_path):
    twin = module("first3").replace("def first3", "def twin").replace("Return the", "Yield the very")
    (package / "zz.py").write_text(module("first2") + "\n" + twin)
    collection = docstrings.read(["docpkg"], tmp_path)
    assert len(collection.doc_ids) == len(set(collection.doc_texts)) == len(set(collection.query_texts)) == 40
    assert not [doc for doc in collection.doc_ids if doc.startswith("docpkg.zz")]


def test_the_second_reading_parses_nothing(package, tmp_path, monkeypatch):
    first = docstrings.read(["docpkg"], tmp_path)
    monkeypatch.setattr(prose, "summary_and_body", lambda doc: pytest.fail("parsed again"))
    assert docstrings.read(["docpkg"], tmp_path).hash == first.hash


def test_a_changed_source_file_is_read_again(package, tmp_path):
    first = docstrings.read(["docpkg"], tmp_path)
    (package / "m0.py").write_text(module("first0", "second0", "third0"))
    assert len(docstrings.read(["docpkg"], tmp_path).doc_ids) == len(first.doc_ids) + 1


@pytest.mark.parametrize("damage", [lambda data: data[:-50], lambda data: b"", lambda data: b"\xff" + data])
def test_a_damaged_cache_is_built_again(package, tmp_path, damage):
    first = docstrings.read(["docpkg"], tmp_path)
    (file,) = (tmp_path / "docstrings").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert docstrings.read(["docpkg"], tmp_path).hash == first.hash
    assert file.read_bytes() == whole
    assert len(list((tmp_path / "docstrings").iterdir())) == 1  # nothing is left aside


def test_packages_may_come_in_any_order_and_twice(package, tmp_path):
    one = docstrings.read(["json", "docpkg"], tmp_path)
    assert docstrings.read(["docpkg", "json", "json"], tmp_path).hash == one.hash
    assert "json.decoder.JSONDecoder.decode" not in one.doc_ids  # its body is shorter than twelve words
    assert "json.decoder.JSONDecoder.raw_decode" in one.doc_ids


def test_wrong_packages_are_one_line(package, tmp_path):
    with pytest.raises(ValueError, match=r"^packages: no package 'nunpy' is installed"):
        docstrings.read(["docpkg", "nunpy"], tmp_path)
    with pytest.raises(ValueError, match=r"^packages: an empty list"):
        docstrings.read([], tmp_path)
    for file in package.glob("m*.py"):
        file.unlink()
    with pytest.raises(ValueError, match=r"^packages: no docstring with a summary and a body in docpkg$"):
        docstrings.read(["docpkg"], tmp_path)


@pytest.mark.slow
def test_the_default_packages_give_thousands_of_clean_pairs_in_seconds(tmp_path):
    start = time.process_time()
    collection = docstrings.read(["stdlib", "numpy", "torch"], Path(tmp_path))
    assert time.process_time() - start < 20
    assert len(collection.doc_ids) > 3500
    shares = {split: len(collection.qrels[split]) / len(collection.query_ids) for split in collection.splits}
    assert shares["train"] > 0.7
    assert min(shares["dev"], shares["test"]) > 0.04
    assert len(set(collection.doc_texts)) == len(set(collection.query_texts)) == len(collection.doc_ids)
    markup = re.compile(r">>>|``|:class:`|:func:`|^\s*\.\. |-----", re.MULTILINE)
    assert not [text for text in (*collection.doc_texts, *collection.query_texts) if markup.search(text)]
    for query, text in zip(collection.query_texts, collection.doc_texts, strict=True):
        assert 3 <= words(query) <= 30
        assert words(text) >= 12
        assert query.lower() not in text.lower()
