import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from search_case import WORDS, Case, encode
from terminal_case import typed

from twotower import cli, config
from twotower.commands import search
from twotower.search.bundle import Bundle
from twotower.search.opening import open_searcher
from twotower.search.packed import Packed
from twotower.search.searcher import Searcher
from twotower.text.ragged import Ragged
from twotower.text.vocabulary import SPECIAL, Vocab

TEXTS = ("csv", "csv file", "matrix \x1b[31mred\x1b[0m")


def searcher() -> Searcher:
    vocab = Vocab((*SPECIAL, *WORDS))
    return Searcher(
        Bundle(
            folder=Path("nowhere"),
            manifest={"pattern": config.Train.pattern, "max_query_words": 64, "collection": "three"},
            vectors=encode(Ragged.of([[2], [2, 3], [4]])),
            doc_ids=Packed.of(["d1", "d2", "d3"]),
            titles=Packed.of(["", "Two", ""]),
            texts=Packed.of(TEXTS),
            vocab=vocab,
            tower={},
        ),
        encode,
        "cpu",
    )


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`twotower search`, with three documents behind it; returns the exit code."""
    monkeypatch.setattr(search, "open_searcher", lambda request: searcher())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"")
    return lambda *words: cli.main(["search", "checkpoint=model.pt", "k=2", *words])


def feed(monkeypatch: pytest.MonkeyPatch, lines: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines), encoding="utf-8"))


def test_json_is_one_document_of_the_agreed_keys(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("csv files", "format=json") == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert list(answer) == ["query", "checkpoint", "seconds", "hits"]
    assert (answer["query"], answer["checkpoint"]) == ("csv files", "model.pt")
    assert answer["seconds"] > 0
    # (csv, unknown) . csv = 1 / sqrt(2), (csv, unknown) . (csv, file) = 1 / 2
    assert answer["hits"] == [
        {"rank": 1, "doc_id": "d1", "score": pytest.approx(0.5**0.5), "title": "", "text": "csv"},
        {"rank": 2, "doc_id": "d2", "score": pytest.approx(0.5), "title": "Two", "text": "csv file"},
    ]
    assert err == "not in the vocabulary: files\n"


def test_text_shows_scores_to_four_places_and_says_how(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("csv") == 0
    out, err = capsys.readouterr()
    assert out == " 1  1.0000  d1\n    csv\n 2  0.7071  d2  Two\n    csv file\n"
    (line,) = err.splitlines()
    for part in ("encode ", "search ", "text ", " ms", "3 documents of three", "numpy ", "cpu"):
        assert part in line


def test_documents_cannot_colour_the_terminal(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ask("matrix")
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("query", ["", "   ", "\t"])
def test_a_blank_query_is_one_line(query: str, ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(query) == 2
    assert capsys.readouterr() == ("", "twotower: query: got nothing, want a few words\n")


@pytest.mark.parametrize(
    "query", ["it's (a) [b] {c} = $d, #e; \\f|g!", "Zürich 東京", "a\x07\x1b[31m", "x " * 5000]
)
def test_any_query_is_answered(query: str, ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(query, "format=json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["query"] == query
    assert "\x1b" not in err


def test_a_typed_k_beyond_the_corpus_is_refused(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("csv", "k=50") == 2
    assert capsys.readouterr().err == "twotower: k: got 50, want at most 3, the documents of three\n"


def test_the_default_k_is_clipped_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert search.fitted(config.Search.k, searcher()) == 3
    assert capsys.readouterr().err == "k: 3 instead of 5, for three has no more documents\n"


def test_piped_lines_are_answered_one_by_one(
    ask: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"csv\n\n  \nmatrix")
    assert ask("format=json") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["csv", "matrix"]
    assert err == ""


def test_an_error_of_a_query_does_not_end_the_prompt(
    ask: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"caf\xe9\ncsv\n")
    assert ask("format=json") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["csv"]
    assert err == "twotower: query: its bytes are not UTF-8, want text\n"


def test_k_can_be_changed_between_questions(
    ask: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"csv\n:k 1\ncsv\n:k\n:k 3\ncsv\n")
    assert ask("format=json") == 0
    out, err = capsys.readouterr()
    assert [len(json.loads(line)["hits"]) for line in out.splitlines()] == [2, 1, 3]
    assert err == "k: 1\nk: 1\nk: 3\n"


@pytest.mark.parametrize(
    ("k", "said"),
    [
        ("x", "got 'x', want a whole number"),
        ("0", "got 0, want at least 1"),
        ("5", "got 5, want at most 3, the documents of three"),  # though it is the default
    ],
)
def test_a_bad_k_is_one_line_and_changes_nothing(
    k: str, said: str, ask: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, f":k {k}\ncsv\n".encode())
    assert ask("format=json") == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["hits"]) == 2
    assert err == f"twotower: k: {said}\n"


def test_no_input_is_no_answer(
    ask: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"")
    assert ask() == 0
    assert capsys.readouterr() == ("", "")


HEAVY = ("torch", "polars", "faiss", "bm25s", "wandb", "tqdm", "twotower.data.docstrings")
PROBE = f"""
import sys
from twotower.cli import main
code = main(sys.argv[1:])
print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def test_a_search_with_its_bundle_at_hand_imports_no_torch(command: Any, workplace: Path) -> None:
    case = Case(workplace, config.MLPTower(hidden_dim=5))
    hits = open_searcher(case.request()).search("read a csv file", 2).hits
    words = ["read a csv file", "checkpoint=model.pt", "cache_dir=cache", "k=2", "format=json"]
    done = command("search", *words, code=PROBE)
    assert (done.returncode, done.stderr) == (0, "\n")
    assert [hit["doc_id"] for hit in json.loads(done.stdout)["hits"]] == [hit.doc_id for hit in hits]


@pytest.mark.slow
def test_a_terminal_has_a_prompt_that_remembers(workplace: Path) -> None:
    open_searcher(Case(workplace, config.MLPTower(hidden_dim=5)).request())
    words = ["-m", "twotower", "search", "checkpoint=model.pt", "cache_dir=cache", "k=6"]
    first = [("query> ", b"csv\r"), ("6  .*query> ", b":k 2\r"), ("k: 2.*query> ", b"csv\r")]
    shown, code = typed(words, [*first, (" 2  .* documents of .*query> ", b":quit\r")], workplace)
    assert code == 0, shown
    assert shown.count(" 6  ") == 1
    assert shown.count("csv.reader") >= 1
    again = [("query> ", b"\x1b[A"), (":quit", b"\x1b[A"), ("csv", b"\r"), ("6  .*query> ", b"\x04")]
    shown, code = typed(words, again, workplace)
    assert code == 0, shown
    assert (workplace / "cache" / "history").read_text().split("\n") == [
        "csv",
        ":k 2",
        "csv",
        ":quit",
        "csv",
        "",
    ]


@pytest.mark.slow
def test_ctrl_c_on_an_empty_line_leaves_with_130(workplace: Path) -> None:
    open_searcher(Case(workplace, config.MLPTower(hidden_dim=5)).request())
    words = ["-m", "twotower", "search", "checkpoint=model.pt", "cache_dir=cache", "k=6"]
    shown, code = typed(words, [("query> ", b"csv\x03"), ("query> .*query> ", b"\x03")], workplace)
    assert (code, shown.splitlines()[-1].endswith("interrupted")) == (130, True), shown
