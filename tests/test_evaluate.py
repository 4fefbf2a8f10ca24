import csv
import io
import json
from pathlib import Path

import pytest

from tests.training_case import small, write_beir
from twotower import cli
from twotower.commands import train
from twotower.data.collection import Collection


@pytest.fixture(scope="module")
def place(tiny: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny collection and one small run on it."""
    home = tmp_path_factory.mktemp("evaluate")
    assert train.run(small(write_beir(tiny, home / "tiny"), home)) == 0
    return home


def evaluate(place: Path, *words: str) -> int:
    dirs = (f"checkpoint_dir={place / 'checkpoints'}", f"cache_dir={place / 'cache'}")
    return cli.main(["evaluate", *dirs, *words])


def document(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, float]]:
    capsys.readouterr()
    assert evaluate(place, "format=json", *words) == 0
    content: dict[str, dict[str, float]] = json.loads(capsys.readouterr().out)
    return content


def test_json_has_the_words_that_scripts_rely_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "k=1,10")
    assert {"checkpoint", "protocol", "queries", "metrics", "intervals"} <= set(content)
    assert (content["queries"], content["judged"]) == (10, 10)
    for name, value in content["metrics"].items():
        low, high = content["intervals"][name]  # type: ignore[misc]
        assert low <= value <= high
    assert content["protocol"]["split"] == "dev"


def test_on_dev_the_numbers_are_those_of_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "k=1,3,10")
    (path,) = (place / "checkpoints").glob("training_history_*.json")
    stored = json.loads(path.read_text())["eval_results"]
    assert content["metrics"] == pytest.approx({name: stored[name] for name in content["metrics"]}, abs=1e-9)


def test_the_split_decides_the_protocol(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dev, test = (document(place, capsys, f"split={split}")["protocol"] for split in ("dev", "test"))
    assert dev["key"] != test["key"]
    assert dev["corpus_hash"] == test["corpus_hash"]


def test_a_copy_of_the_collection_gives_the_same_protocol(
    place: Path, tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = write_beir(tiny, tmp_path / "copy")
    own = document(place, capsys)
    other = document(place, capsys, "data=beir", f"data.path={copy}")
    assert own["protocol"]["key"] == other["protocol"]["key"]
    assert own["metrics"] == other["metrics"]


def test_the_chunk_changes_no_metric(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(place, capsys, "chunk=7")["metrics"] == document(place, capsys)["metrics"]


def test_the_table_has_the_run_its_interval_and_the_floors(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(place, "format=csv") == 0
    head, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head[:2] == ["name", "MRR@10"]
    assert [row[0].split("-")[0] for row in rows] == ["run", "95 % interval", "chance", "BM25"]
    assert evaluate(place, "format=csv", "floors=false") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["split=nowhere"], "no split 'nowhere', there is dev, test, train"),
        (["checkpoint=nothing"], "checkpoint: nothing: no such file"),
        (["checkpoint=@mr_10"], "mr"),
        (["data=beir", "data.path=nowhere"], "nowhere: no such folder"),
        (["k=61"], "61"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(place, *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_collection_that_changed_since_training_is_refused(
    tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_beir(tiny, tmp_path / "tiny")
    train.run(small(folder, tmp_path, epochs=0, floors=False))
    text = (folder / "corpus.jsonl").read_text()
    (folder / "corpus.jsonl").write_text(text.replace("badger", "bodger"))
    capsys.readouterr()
    assert evaluate(tmp_path) == 2
    assert "tiny: changed since training" in capsys.readouterr().err
