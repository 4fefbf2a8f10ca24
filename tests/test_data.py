import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Command

from twotower import cli, config
from twotower.data import beir
from twotower.data.collection import Collection

SHARED = ROOT.parent / "shared" / "data"

LEAKY = Collection.from_dicts(
    {
        "d1": {"title": "Heron", "text": "the heron eats fish at dusk"},
        "d2": {"title": "Heron", "text": "The heron eats fish at dusk!"},
        "d3": "what does a gecko eat",
        "d4": "an \x1b[31mescape",
    },
    {"q1": "what does a heron eat", "q2": "What does a heron eat?", "q3": "what does a gecko eat"},
    {"train": {"q1": {"d1": 1, "d4": 0}}, "dev": {"q2": {"d1": 1}}, "test": {"q3": {"d3": 1}}},
    name="leaky",
)

Printed = Callable[..., str]


@pytest.fixture
def folder(workplace: Path) -> Path:
    beir.write(LEAKY, workplace / "leaky")
    return workplace / "leaky"


@pytest.fixture
def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> Printed:
    """stdout of `twotower data` on the leaky collection; nothing is said on stderr."""

    def run(*words: str) -> str:
        code = cli.main(["data", "data=beir", f"data.path={folder}", "vectors=random", *words])
        out = capsys.readouterr()
        assert (code, out.err) == (0, "")
        return out.out

    return run


def test_the_report_counts_and_names_the_leaks(printed: Printed) -> None:
    out = printed()
    assert "leaky: 4 documents, 3 queries" in out
    assert LEAKY.hash in out
    assert (
        "1 of 1 dev queries (100.0 %) reads the same as a train query; 0 more (0.0 %) nearly the same" in out
    )
    assert "    q2 = q1: What does a heron eat?" in out
    assert "0 of 1 test queries (0.0 %) read the same as a train query" in out
    assert (
        "1 of 1 documents relevant in dev (100.0 %) reads the same as one relevant in train (1 by the" in out
    )
    assert "1 of 3 queries (33.3 %) reads the same as a document" in out
    assert "judged relevant for 1, not relevant for 0, not at all for 0" in out
    assert "1 of 4 documents (25.0 %) repeats the text of another (1 texts); 0 (0.0 %) nearly so" in out
    assert "copies of relevant documents: 2 times one is not judged, 0 times one is judged not" in out


def test_files_and_judgements_stand_in_tables(printed: Printed) -> None:
    lines = [line.split() for line in printed().splitlines()]
    (corpus,) = (line for line in lines if line and line[0].endswith("corpus.jsonl"))
    assert corpus[1:] == ["4", "4", "0", "0"]
    assert ["train", "1", "0", "2", "1", "1"] in lines
    assert ["documents:", "3", "judged,", "2", "of"] in [line[:5] for line in lines]


def test_skipped_lines_are_counted_and_said(printed: Printed, folder: Path) -> None:
    with (folder / "queries.jsonl").open("a") as file:
        file.write("{nonsense\n")
    out = printed("data.on_bad=skip")
    assert "queries.jsonl: skipped 1 of 4 lines" in out
    (queries,) = (line for line in out.splitlines() if re.match(r" *\S+queries\.jsonl +\d", line))
    assert queries.split()[1:] == ["4", "3", "1", "0"]


def test_a_document_cannot_reach_the_terminal(printed: Printed) -> None:
    qrels = {"train": {"q1": {"d4": 1}}}
    beir.write(Collection.from_dicts({"d4": "an \x1b[31mescape"}, {"q1": "a"}, qrels), Path("escape"))
    out = printed("data.path=escape")
    assert "an  [31mescape" in out
    assert "\x1b" not in out


def test_json_is_one_document_with_everything(printed: Printed) -> None:
    found = json.loads(printed("format=json"))
    assert (found["hash"], found["documents"]) == (LEAKY.hash, 4)
    assert [split["split"] for split in found["splits"]] == ["train", "dev", "test"]
    first = found["leaks"]["between"][0]
    assert (first["subject"], first["other"], first["same"]) == ("dev queries", "a train query", 1)
    assert found["leaks"]["copies"]["beyond_first"] == 1
    assert found["words"][0]["covered"] is None
    assert found["samples"][0]["query"] == "what does a heron eat"


def test_csv_holds_what_json_holds(printed: Printed) -> None:
    head, *rows = csv.reader(io.StringIO(printed("format=csv")))
    assert head == ["what", "value"]
    values = {row[0]: row[1] for row in rows}
    assert len(values) == len(rows)
    assert values["hash"] == LEAKY.hash
    assert values["leaks.between.0.same"] == "1"
    assert values["splits.0.grades.0"] == "1"
    assert values["words.0.covered"] == ""


def test_markdown_has_tables_and_lists(printed: Printed) -> None:
    out = printed("format=markdown")
    assert "- leaky: 4 documents, 3 queries\n- content hash" in out
    assert "**judgements (unanswered: nothing is relevant)**\n\n| split | queries |" in out
    assert "\n- 1 of 1 dev queries (100.0 %) reads" in out
    assert "\n  - q2 = q1: What does a heron eat?\n" in out


def test_samples_bound_what_is_shown(printed: Printed) -> None:
    assert "\nsamples\n" not in printed("samples=0")
    assert "train q1: what does a heron eat\n    d1: Heron the heron eats fish at dusk\n" in printed(
        "samples=1"
    )


def test_out_writes_the_collection_and_reports_as_ever(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "data=beir", f"data.path={folder}", "vectors=random", "format=json"]
    assert cli.main([*words, "out=copy"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["name"] == "leaky"
    assert out.err == f"leaky: written to copy, content hash {LEAKY.hash}\n"
    assert beir.read(Path("copy")).hash == LEAKY.hash
    assert cli.main([*words, "out=copy"]) == 2  # it is there now
    out = capsys.readouterr()
    assert out.out == ""
    assert re.fullmatch(r"twotower: \S*copy: [^\n]+\n", out.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["near=0.4"], "near: got 0.4, want at least 0.5"),
        (["pattern=("], "pattern '(': "),
        (["vectors=nowhere.txt"], "nowhere.txt: no such file"),
        (["data=stored"], "data=stored: there is no checkpoint"),
        (["data.path=nowhere"], "nowhere: no such folder"),
        (["leaky"], "data: got 'leaky', want knobs alone"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if "data=stored" in words else ["data=beir", "data.path=leaky"]
    assert cli.main(["data", *given, *words]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert said in out.err
    assert out.err.count("\n") == 1


def test_help_lists_the_knobs_and_every_kind_of_collection() -> None:
    text = cli.help_of("data")
    assert "near=0.8" in text
    assert all(f"data={kind}" in text for kind in ("docstrings", "beir", "msmarco", "triplets", "pairs"))


def test_defaults_that_train_has_too_are_the_same() -> None:
    shared = ("pattern", "vectors", "min_grade", "cache_dir")
    assert all(getattr(config.Data, name) == getattr(config.Train, name) for name in shared)


def test_the_command_imports_no_torch(command: Command, folder: Path) -> None:
    code = (
        "import sys; from twotower.cli import main;"
        "code = main(['data', 'data=beir', 'data.path=leaky', 'vectors=random']);"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = command(code=code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "line", "least"),
    [
        ("quora", r"([\d,]+) of 9,018 queries \([\d.]+ %\) read the same as a document", 800),
        ("quora", r"([\d,]+) of 898 documents relevant in dev .* read the same as one relevant in train", 30),
        ("quora", r"not at all for ([\d,]+)", 700),
        ("msmarco", r"([\d,]+) of 28,456 documents \([\d.]+ %\) repeat the text of another", 90),
        ("msmarco", r"([\d,]+) of 4,102 documents relevant in test .* same as one relevant in train", 10),
    ],
)
def test_the_leaks_of_real_collections_are_reported(
    name: str, line: str, least: int, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"{name} is not there")
    start = time.perf_counter()
    assert cli.main(["data", "data=beir", f"data.path={SHARED / name}", "vectors=random"]) == 0
    assert time.perf_counter() - start < 30
    (count,) = re.findall(line, capsys.readouterr().out)
    assert int(count.replace(",", "")) >= least
