import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_case import Indexes
from search_case import Case, encode, index_of
from terminal_case import Steps, typed

from twotower import cli, config
from twotower.commands import search
from twotower.data import appended
from twotower.search import desk
from twotower.search.opening import open_searcher
from twotower.search.searcher import Searcher

MORE = {"source": "", "percentile": None, "duplicates": []}
TEXTS = ("csv", "csv file", "matrix \x1b[31mred\x1b[0m")


def searcher() -> Searcher:
    ids = dict(zip(("d1", "d2", "d3"), TEXTS, strict=True))
    manifest = {"corpus": "c" * 64, "checkpoint": {"run": "case", "path": "model.pt"}, "sources": []}
    made = index_of(ids, ("", "Two", ""), Path(tempfile.mkdtemp()), collection="three", **manifest)
    return Searcher(made, encode, "cpu")


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
        {"rank": 1, "doc_id": "d1", "score": pytest.approx(0.5**0.5), "title": "", "text": "csv", **MORE},
        {"rank": 2, "doc_id": "d2", "score": pytest.approx(0.5), "title": "Two", "text": "csv file", **MORE},
    ]
    assert err == "not in the vocabulary: files (known: file)\n"


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
    assert desk.fitted(config.Search.k, searcher()) == 3
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


# several queries


def test_a_file_of_queries_is_answered_as_a_run(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("q.jsonl").write_text('{"_id": "q7", "text": "csv"}\n{"_id": "q8", "text": "matrix"}\n')
    assert ask("queries=q.jsonl", "format=trec") == 0
    assert capsys.readouterr().out.splitlines() == [
        "q7 Q0 d1 1 1.0 case",
        f"q7 Q0 d2 2 {float(np.float32(0.5**0.5))!r} case",
        "q8 Q0 d3 1 1.0 case",
        "q8 Q0 d1 2 0.0 case",
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_piped_queries_are_numbered_by_their_lines(
    form: str, ask: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"csv\n\n:k files\n")  # no command: it may be anybody's query
    assert ask("queries=-", f"format={form}", "k=1") == 0
    out, err = capsys.readouterr()
    if form == "json":
        found = [json.loads(line) for line in out.splitlines()]
        assert [(one["query_id"], one["query"]) for one in found] == [("1", "csv"), ("3", ":k files")]
    else:
        assert out.startswith("1: csv\n 1  1.0000  d1\n    csv\n3: :k files\n 1  ")
    assert err == "3: not in the vocabulary: k, files (known: file)\n"


def test_what_comes_before_a_bad_line_is_answered(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("q.txt").write_bytes(b"csv\ncaf\xe9\nfile\n")
    assert ask("queries=q.txt", "format=json") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["query"] == "csv"
    assert err == "twotower: q.txt:2: query: its bytes are not UTF-8, want text\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("csv", "queries=q.txt"), "queries: got q.txt and a query too, want one of the two"),
        (("queries=none.txt",), "queries: none.txt: no such file"),
        (
            ("csv", "source=wiki"),
            "source: three has no 'wiki' (want one of none: its documents have no source)",
        ),
        (("csv", "weight=2"), "weight: got 2.0, want at least 0 and at most 1"),
        (("csv", "hybrid=maybe"), "hybrid: got 'maybe', want off or rrf or weighted"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: tuple[str, ...], said: str, ask: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*words) == 2
    assert capsys.readouterr() == ("", f"twotower: {said}\n")


def test_an_id_with_white_space_is_refused_in_a_run_alone(
    ask: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("q.jsonl").write_text('{"_id": "q 7", "text": "csv"}\n')
    assert ask("queries=q.jsonl", "format=trec") == 2
    assert "format=trec: 'q 7' has white space" in capsys.readouterr().err
    assert ask("queries=q.jsonl", "format=json") == 0


def test_each_query_adds_a_line_to_the_log_and_none_without_it(ask: Any) -> None:
    Path("q.txt").write_text("csv\nmatrix tables\n")
    assert ask("csv files", "log=logs/asked.jsonl") == 0
    assert ask("queries=q.txt", "log=logs/asked.jsonl", "k=1") == 0
    assert ask("csv") == 0
    lines, torn = appended.read(Path("logs/asked.jsonl"))
    assert torn == 0
    assert [(line["query"], line["ids"], line["unknown"]) for _, line in lines] == [
        ("csv files", ["d1", "d2"], ["files"]),
        ("csv", ["d1"], []),
        ("matrix tables", ["d3"], ["tables"]),
    ]
    assert {(line["index"], line["checkpoint"]) for _, line in lines} == {("three", "model.pt")}


def test_a_log_that_cannot_be_written_is_one_line(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("in the way")
    assert ask("csv", "log=file/asked.jsonl") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("twotower: file")


PUNCTUATION = "".join(char for char in map(chr, range(33, 127)) if not char.isalnum())


@pytest.mark.parametrize("char", [*PUNCTUATION, PUNCTUATION, "’", "«»", "…", "\u200d", "\u202e"])
def test_every_punctuation_mark_may_stand_in_a_query(
    char: str, ask: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for query in (f"csv{char}file", f"{char} csv", f"csv {char}"):
        assert ask("format=json", "--", query) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["query"] == query
        assert found["hits"][0]["doc_id"] in ("d1", "d2")


def test_a_named_index_answers_with_its_own_checkpoint(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Indexes(workplace)
    made.build()
    capsys.readouterr()
    words = ["k=2", "format=json", f"index_dir={made.root}"]
    assert cli.main(["search", "read a csv file", "index=docs", *words, "log=log"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["index"], found["checkpoint"]) == ("docs@v0001", str(made.case.checkpoint))
    assert all(0 <= hit["percentile"] <= 100 for hit in found["hits"])
    assert appended.read(Path("log"))[0][0][1]["index"] == "docs@v0001"
    assert cli.main(["search", "csv", "index=dosc", *words]) == 2
    assert "did you mean docs?" in capsys.readouterr().err


HEAVY = (
    "torch",
    "polars",
    "faiss",
    "bm25s",
    "wandb",
    "tqdm",
    "prompt_toolkit",
    "rich.live",
    "rich.table",
    "twotower.data.docstrings",
)
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
    state = {"XDG_STATE_HOME": str(workplace / "state")}
    first: Steps = [("query> ", b"csv\r"), ("6  .*query> ", b":k 2\r"), ("k: 2.*query> ", b"csv\r")]
    shown, code = typed(words, [*first, (" 2  .* documents of .*query> ", b":quit\r")], workplace, **state)
    assert code == 0, shown
    assert shown.count(" 6  ") == 1
    assert shown.count("csv.reader") >= 1
    again: Steps = [("query> ", b"\x1b[A"), (":quit", b"\x1b[A"), ("csv", b"\r")]
    again = [
        *again,
        ("6  .*query> ", b"csv\x03"),
        ("query> .*query> ", b"\x03"),
        ("leaves.*query> ", b"\x03"),
    ]
    shown, code = typed(words, again, workplace, **state)
    assert (code, shown.splitlines()[-1].endswith("interrupted")) == (130, True), shown
    kept = (workplace / "state" / "twotower" / "history").read_text()
    assert kept.split("\n") == ["csv", ":k 2", "csv", ":quit", "csv", ""]
