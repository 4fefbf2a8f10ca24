from dataclasses import replace
from pathlib import Path

from twotower.data.collection import Collection
from twotower.data.tokens import tokenise, word_counts
from twotower.text.tokenize import Tokenizer

DOCS = {"d1": {"title": "Red", "text": "red fox"}, "d2": "grey seal"}
QUERIES = {"q1": "red animal", "q2": "a seal", "q3": "unseen seal"}
QRELS = {"train": {"q1": {"d1": 1}, "q2": {"d2": 1}}, "test": {"q3": {"d2": 1}}}


def collection() -> Collection:
    return Collection.from_dicts(DOCS, QUERIES, QRELS, name="animals")


def test_both_sides_are_tokenised_in_the_order_of_rows(tmp_path: Path) -> None:
    tokens = tokenise(collection(), Tokenizer(), tmp_path)
    assert [tokens.docs[row] for row in range(2)] == [["red", "red", "fox"], ["grey", "seal"]]
    assert [tokens.queries[row] for row in range(3)] == [["red", "animal"], ["a", "seal"], ["unseen", "seal"]]


def test_words_are_counted_in_documents_and_training_queries_never_in_test(tmp_path: Path) -> None:
    found = collection()
    counts = word_counts(found, tokenise(found, Tokenizer(), tmp_path))
    # red: twice in d1 and once in q1; seal: d2 and q2, and not q3
    assert counts == {"red": 3, "fox": 1, "grey": 1, "seal": 2, "animal": 1, "a": 1}


def test_what_is_in_the_cache_is_not_tokenised_again(tmp_path: Path) -> None:
    first = tokenise(collection(), Tokenizer(), tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = tokenise(collection(), Tokenizer(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files
    assert again.docs.words == first.docs.words
    assert again.docs.ragged.ids.tolist() == first.docs.ragged.ids.tolist()


def test_other_judgements_share_the_cache_and_other_texts_do_not(tmp_path: Path) -> None:
    tokenise(collection(), Tokenizer(), tmp_path)
    entries = len(list((tmp_path / "tokens").iterdir()))
    moved = replace(collection(), qrels={"train": {"q1": {"d1": 1}}})
    tokenise(moved, Tokenizer(), tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == entries
    other = Collection.from_dicts(DOCS | {"d2": "grey whale"}, QUERIES, QRELS)
    assert tokenise(other, Tokenizer(), tmp_path).docs[1] == ["grey", "whale"]
    assert len(list((tmp_path / "tokens").iterdir())) == entries + 1
