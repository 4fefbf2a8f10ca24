"""`twotower index`, from its words to what it prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from index_case import Indexes, held
from search_case import TEXTS

from twotower import cli
from twotower.commands.index import ACTIONS
from twotower.model import checkpoint
from twotower.search import versions

Run = Callable[..., int]


@pytest.fixture
def made(workplace: Path) -> Indexes:
    """An empty folder but for a checkpoint, its collection and a file of documents."""
    indexes = Indexes(workplace)
    checkpoint.save(indexes.case.checkpoint, indexes.case.retriever, indexes.case.content)
    indexes.root = workplace / "data" / "indexes"
    return indexes


def index(*words: str) -> int:
    return cli.main(["index", *words])


def build(*words: str) -> int:
    return index("build", "docs", "checkpoint=model.pt", "docs=docs.jsonl", *words)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on stderr of a refusal."""
    capsys.readouterr()
    assert index(*words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    return err


def test_a_first_build_is_live_and_a_second_says_how_to_make_it_live(
    made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build() == 0
    assert capsys.readouterr().out.startswith("docs@v0001, live: 6 documents x 6, float32, exact search, ")
    assert build() == 0
    out = capsys.readouterr().out
    assert out.startswith("docs@v0002: 6 documents x 6")
    assert "v0001 stays live" in out
    assert "`twotower index compare docs@v0001 docs@v0002`" in out
    assert "`twotower index switch docs`" in out


def test_the_checkpoints_own_collection_is_the_default(made: Indexes) -> None:
    assert index("build", "own", "checkpoint=model.pt") == 0
    assert held(versions.resolve(made.root, "own")) == TEXTS


def test_documents_are_added_removed_and_updated(made: Indexes, capsys: pytest.CaptureFixture[str]) -> None:
    build()
    made.write({"new": "one more file", "newer": "and one"}, made.folder / "more.jsonl")
    capsys.readouterr()
    assert index("add", "docs", "docs=more.jsonl", "ids=new") == 0
    assert capsys.readouterr().out == "docs@v0002, live: 1 added\n"
    assert index("remove", "docs", "ids=json.load, re.sub") == 0
    assert capsys.readouterr().out == "docs@v0003, live: 2 removed\n"
    (made.folder / "gone.txt").write_text("new\n\nmath.sqrt\n")
    assert index("remove", "docs", "file=gone.txt") == 0
    assert capsys.readouterr().out == "docs@v0004, live: 2 removed\n"
    assert index("update", "docs") == 0
    assert capsys.readouterr().out == "docs@v0005, live: 3 added, 3 as they were\n"
    assert held(versions.resolve(made.root, "docs")) == TEXTS
    assert index("update", "docs") == 0
    assert capsys.readouterr().out == "docs: 6 as they were\n"


def test_an_update_says_what_no_source_has_any_more(
    made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    made.write({"new": "one"})
    capsys.readouterr()
    assert index("update", "docs") == 0
    assert capsys.readouterr().out.endswith("1 added; 6 are in no source any more, prune=true removes them\n")
    assert index("update", "docs", "prune=true", "format=json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "index": "docs@v0003",
        "added": 0,
        "changed": 0,
        "removed": 6,
        "same": 1,
        "left": 0,
    }


def test_versions_are_switched_rolled_back_and_pruned(
    made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(4):
        build()
    capsys.readouterr()
    assert index("switch", "docs@v0002") == index("switch", "docs") == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("docs@v0004 is live: docs@v0004 passes unmeasured: no judged queries")
    assert said.endswith("; `twotower index rollback docs` goes back to v0002")
    assert index("rollback", "docs") == 0
    assert capsys.readouterr().out == "docs@v0002 is live again, instead of v0004\n"
    assert index("prune", "docs", "keep=1", "format=json") == 0
    assert json.loads(capsys.readouterr().out) == {"index": "docs", "deleted": ["v0003"]}
    assert versions.versions(made.root, "docs") == ["v0001", "v0002", "v0004"]


def test_list_info_stats_and_check_print_tables_or_json(
    made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    capsys.readouterr()
    for words, says in (
        (["list"], "docs@v0001 live"),
        (["info", "docs"], "checkpoint.run"),
        (["stats", "docs@v0001"], "vectors"),
        (["check", "docs"], "docs@v0001 is whole"),
    ):
        assert index(*words) == 0
        assert says in capsys.readouterr().out
        assert index(*words, "format=json") == 0
        assert json.loads(capsys.readouterr().out)


def test_no_index_is_said(made: Indexes, capsys: pytest.CaptureFixture[str]) -> None:
    assert index("list") == 0
    assert "no index in data/indexes; `twotower index build NAME` makes one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "index: got no action, want build or add"),
        ("bild", "index bild: no such action; did you mean build? (want one of build, add, "),
        ("build", "index build: got none, want one name"),
        ("build a b", "index build: got 'a b', want one name"),
        ("list a b", "index list: got 'a b', want no name or one name"),
        ("build ../x checkpoint=model.pt docs=docs.jsonl", "../x"),
        ("build x checkpoint=nope", "nope: no such file"),
        ("build x checkpoint=model.pt docs=nope.jsonl", "docs: nope.jsonl: no such file"),
        ("build x checkpoint=model.pt ids=a", "index build: takes the whole source"),
        ("build x kind=tree", "kind: got 'tree', want auto or flat or ivf or hnsw or pq"),
        ("build x recall=2", "recall: got 2.0, want above 0 and at most 1"),
        ("info nope", "nope"),
        ("check nope", "nope"),
        ("update nope", "nope"),
        ("add docs", "index add: got no source, want data=... or docs=FILE"),
        ("remove docs", "index remove: got no ids, want ids=a,b or file=FILE"),
        ("remove docs ids=a,,b", "ids: got 'a,,b', want ids separated by commas"),
        ("remove docs ids=nope", "remove: docs has no document 'nope'"),
        ("remove docs file=nope.txt", "nope.txt: no such file"),
        ("remove docs file=empty.txt", "file: empty.txt: no id in it"),
        ("remove docs file=bytes.txt", "file: bytes.txt: not UTF-8"),
        ("add docs docs=docs.jsonl ids=nope", "ids: docs has no document 'nope'"),
        ("update docs prune=true data=beir data.path=six", "prune=true"),
    ],
)
def test_a_mistake_is_one_line(
    made: Indexes, capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    (made.folder / "empty.txt").write_text("\n")
    (made.folder / "bytes.txt").write_bytes(b"\xff\n")
    if " docs" in words:
        made.write({"one": "more"}, made.folder / "more.jsonl")
        build()
        index("add", "docs", "docs=more.jsonl")
    assert says in refused(capsys, *words.split())


def test_a_name_may_be_a_knob(made: Indexes, capsys: pytest.CaptureFixture[str]) -> None:
    build()
    capsys.readouterr()
    assert index("info", "name=docs", "format=json") == 0
    assert json.loads(capsys.readouterr().out)["index"] == "docs@v0001"


def test_damage_is_said_by_the_file(made: Indexes, capsys: pytest.CaptureFixture[str]) -> None:
    build()
    file = made.root / "docs" / "v0001" / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert "vectors.npy: damaged (" in refused(capsys, "check", "docs")


def test_control_characters_of_an_id_reach_no_terminal(
    made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    assert "\x1b" not in refused(capsys, "remove", "docs", "ids=\x1b[31mred")


def test_a_checkpoint_that_moved_is_found_by_its_run(
    made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    build()
    (made.folder / "checkpoints").mkdir()
    for file in (made.case.checkpoint, checkpoint.sidecar.sidecar_of(made.case.checkpoint)):
        file.rename(made.folder / "checkpoints" / file.name)
    made.write({**TEXTS, "new": "one more"})
    assert index("update", "docs") == 0
    (made.folder / "checkpoints" / "model.pt").unlink()
    made.write({**TEXTS, "newer": "one more"})
    assert "say checkpoint= or checkpoint_dir=" in refused(capsys, "update", "docs")


def test_looking_imports_no_torch(made: Indexes, command: Command) -> None:
    build()
    code = (
        "import sys; from twotower import cli; code = cli.main(['index', *sys.argv[1:]]); "
        "print([n for n in ('torch', 'faiss', 'polars', 'pandas') if n in sys.modules], file=sys.stderr); "
        "sys.exit(code)"
    )
    for words in (["list"], ["info", "docs"], ["stats", "docs"], ["remove", "docs", "ids=re.sub"]):
        done = command(*words, code=code)
        assert (done.returncode, done.stderr) == (0, "[]\n"), words


def test_every_action_is_named_on_the_help_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert index("--help") == 0
    page: Any = capsys.readouterr().out
    assert [action for action in ACTIONS if action not in page] == []
