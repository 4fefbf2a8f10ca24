import csv
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.training_case import small, write_beir
from twotower import cli
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.evaluation.reasons import CAUSES
from twotower.model import sidecar
from twotower.search.asked import Asked, write


@pytest.fixture(scope="module")
def place(tiny: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny collection, a trained run on it and an untrained one."""
    home = tmp_path_factory.mktemp("diagnose")
    folder = write_beir(tiny, home / "tiny")
    assert train.run(small(folder, home, name="good", max_doc_words=6, floors=False)) == 0
    assert train.run(small(folder, home, name="raw", epochs=0, floors=False)) == 0
    return home


def diagnose(place: Path, *words: str) -> int:
    dirs = (f"checkpoint_dir={place / 'checkpoints'}", f"cache_dir={place / 'cache'}")
    return cli.main(["diagnose", *dirs, *words])


def document(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert diagnose(place, "format=json", *words) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_json_has_the_words_that_scripts_rely_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "checkpoint=raw", "k=1", "depth=20")
    assert set(content) == {
        "checkpoint", "protocol", "k", "depth", "judged", "failed", "lost", "buried", "causes", "unexplained",
        "geometry", "warnings", "against", "asked",
    }  # fmt: skip
    assert (content["k"], content["depth"], content["judged"]) == (1, 20, 10)
    assert content["failed"] == content["lost"] + content["buried"] > 0
    assert {cause["cause"] for cause in content["causes"]} == set(CAUSES)
    assert content["protocol"]["split"] == "dev"
    assert content["against"] is None
    assert content["asked"] is None
    for cause in content["causes"]:
        assert len(cause["examples"]) == min(3, cause["queries"])
        for example in cause["examples"]:
            assert set(example) == {"query_id", "query", "doc_id", "rank", "said"}


def test_who_fails_is_who_evaluate_does_not_find(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "checkpoint=raw", "k=3", "depth=10")
    stored = sidecar.read(Path(content["checkpoint"]))["eval_results"]
    assert content["failed"] / content["judged"] == pytest.approx(1 - stored["success_3"])


def test_the_document_is_kept_beside_the_evaluations(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "checkpoint=good", "k=1")
    stem = Path(content["checkpoint"]).stem
    name = f"{stem}-{content['protocol']['key']}.diagnosis.json"
    assert json.loads((place / "checkpoints" / "evaluations" / name).read_text()) == content


def test_against_another_checkpoint(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = document(place, capsys, "checkpoint=good", "against=raw", "k=1", "depth=20")
    back = document(place, capsys, "checkpoint=raw", "against=good", "k=1", "depth=20")
    one, other = there["against"], back["against"]
    assert (one["fixed"], one["broken"]) == (other["broken"], other["fixed"])
    assert one["fixed"] + one["broken"] + one["unchanged_good"] + one["unchanged_bad"] == 10
    assert there["failed"] == one["broken"] + one["unchanged_bad"]
    assert len(one["examples"]["fixed"]) == min(3, one["fixed"])
    assert one["checkpoint"] == back["checkpoint"]


def test_a_command_is_the_training_with_the_knob(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    causes = {cause["cause"]: cause for cause in document(place, capsys, "checkpoint=good", "k=1")["causes"]}
    words = shlex.split(causes["truncated"]["command"])
    assert words[:4] == ["twotower", "train", "data=beir", f"data.path={place / 'tiny'}"]
    assert causes["truncated"]["knob"] in words
    assert words[-1] == "name=good-max_doc_words"
    assert causes["duplicate"]["command"].startswith("twotower data data=beir")


def log(path: Path, *asked: str) -> Path:
    lines = [
        Asked("2026-11-24T08:00:00+00:00", one, ["d00"], [0.5], [42.0], [], "docs", "m.pt", 0.1)
        for one in asked
    ]
    write(path, lines)
    return path


def test_what_was_asked_stands_beside_what_was_judged(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(tmp_path / "asked.jsonl", "what does the badger of the harbour eat?", "kubectl", "kubectl")
    content = document(place, capsys, "checkpoint=raw", "k=1", f"log={path}")["asked"]
    assert (content["log"], content["asked"], content["distinct"], content["torn"]) == (str(path), 3, 2, 0)
    assert content["unknown"] == [{"word": "kubectl", "queries": 2}]
    assert content["judged"]["queries"] == 10
    assert content["in_collection"] == 0.5
    assert diagnose(place, "checkpoint=raw", "k=1", f"log={path}") == 0
    out = capsys.readouterr().out
    for part in (f"asked, in {path}", "3 queries asked, 2 of them different", "best hit at 42.00%: kubectl"):
        assert part in out


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_the_tables_say_how_many_fail_why_and_what_to_try(
    form: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose(place, "checkpoint=good", "against=raw", "k=1", "depth=20", f"format={form}") == 0
    out = capsys.readouterr().out
    assert "of 10 queries fail at 1" in out
    for words in ("likely cause", "none of these", "against", "how the vectors lie", "effective rank"):
        assert words in out


def test_csv_is_one_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert diagnose(place, "checkpoint=raw", "k=1", "format=csv") == 0
    head, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head == ["likely cause", "queries", "of failed", "of found", "try"]
    assert rows[-1][0] == "none of these"


def test_more_examples_are_shown_if_asked_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "checkpoint=raw", "k=1", "examples=0")
    assert [cause["examples"] for cause in content["causes"]] == [[]] * len(CAUSES)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["checkpoint=raw", "k=61", "depth=61"], "k: got 61, want at most 60, the documents of the corpus"),
        (["checkpoint=raw", "depth=61"], "depth: got 61, want at most 60"),
        (["checkpoint=raw", "k=20", "depth=5"], "depth: got 5, want at least k=20"),
        (["checkpoint=raw", "split=nowhere"], "no split 'nowhere', there is dev, test, train"),
        (["checkpoint=raw", "against=raw"], "against: raw is the checkpoint itself"),
        (["checkpoint=nothing"], "checkpoint: nothing: no such file"),
        (["checkpoint=raw", "log=none.jsonl"], "none.jsonl: no such file"),
        (["checkpoint=raw", "k=0"], "k: got 0, want at least 1"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnose(place, *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_a_remark(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr("twotower.commands.diagnose.write_aside", refuse)
    assert diagnose(place, "checkpoint=raw") == 0
    assert "not kept: read-only" in capsys.readouterr().err
