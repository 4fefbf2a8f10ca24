"""Twelve mistakes, each answered by one line that names what was got and wanted, and by exit code 2."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training_case import small, write_beir
from twotower import cli
from twotower.commands import train
from twotower.data.collection import Collection

Prepare = Callable[[Path], None]


@pytest.fixture
def here(tiny: Collection, workplace: Path) -> Path:
    """A workplace with the tiny collection in `tiny`."""
    write_beir(tiny, workplace / "tiny")
    return workplace


def bad_json(here: Path) -> None:
    lines = (here / "tiny" / "corpus.jsonl").read_text().splitlines()
    lines[16] = '{"_id": "d16", "text": '
    (here / "tiny" / "corpus.jsonl").write_text("\n".join(lines))


def empty_corpus(here: Path) -> None:
    (here / "tiny" / "corpus.jsonl").write_text("")


def dangling_qrels(here: Path) -> None:
    with (here / "tiny" / "qrels" / "train.tsv").open("a") as file:
        file.write("q02\tnowhere\t1\n")


def narrow_vectors(here: Path) -> None:
    with gzip.open(here / "vectors.txt.gz", "wt") as file:
        file.write("the 1 2 3\nheron 1 2 3\neel 1 2\n")


def truncated_checkpoint(here: Path) -> None:
    train.run(small(here / "tiny", here, epochs=0))
    (path,) = (here / "checkpoints").glob("*.pt")
    (here / "half.pt").write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nothing_judged(here: Path) -> None:
    path = here / "tiny" / "qrels" / "dev.tsv"
    path.write_text(path.read_text().replace("\t1\n", "\t0\n"))


def nothing(here: Path) -> None:
    """The mistake is in the words alone."""


MISTAKES: dict[str, tuple[Prepare, list[str], str]] = {
    "a typo in a knob": (nothing, ["train", "bacth_size=3"], "bacth_size: .*batch_size"),
    "an unknown tower": (nothing, ["train", "query_tower=lstn"], "query_tower: got 'lstn', want gru or mlp"),
    "a missing file": (nothing, ["train", "data=beir", "data.path=nowhere"], "nowhere: no such folder"),
    "bad JSON on line 17": (bad_json, ["train", "data=beir", "data.path=tiny"], "corpus.jsonl:17: not JSON"),
    "an empty corpus": (empty_corpus, ["train", "data=beir", "data.path=tiny"], "corpus.jsonl: empty"),
    "qrels that do not resolve": (
        dangling_qrels,
        ["train", "data=beir", "data.path=tiny"],
        "train.tsv:42: document 'nowhere' is not in corpus.jsonl",
    ),
    "a wrong vector width": (
        narrow_vectors,
        ["train", "data=beir", "data.path=tiny", "vectors=vectors.txt.gz"],
        r"vectors\.txt\.gz:3: 2 numbers, want 3",
    ),
    "a truncated checkpoint": (
        truncated_checkpoint,
        ["evaluate", "checkpoint=half.pt"],
        "half.pt: not a whole",
    ),
    "a folder for a file": (
        nothing,
        ["evaluate", "checkpoint=tiny"],
        "tiny: a folder, want a checkpoint file",
    ),
    "no judged query": (
        nothing_judged,
        ["train", "data=beir", "data.path=tiny", "vectors=random"],
        "tiny, split dev: .*no judgement",
    ),
    "a temperature of -1": (nothing, ["train", "temperature=-1"], "temperature: got -1.0, want above 0"),
    "an unknown command": (nothing, ["tarin"], "tarin: no such command; did you mean train?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_clear_line_and_exit_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    prepare, words, said = MISTAKES[mistake]
    prepare(here)
    capsys.readouterr()
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    with pytest.raises(ValueError, match=said):
        raise ValueError(line)


def test_a_mistake_leaves_no_litter(here: Path) -> None:
    before = sorted(path.name for path in here.iterdir())
    cli.main(["train", "learning_rate=-1"])
    assert sorted(path.name for path in here.iterdir()) == before


def test_json_asked_for_is_one_json_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.run(small(here / "tiny", here, epochs=1))
    capsys.readouterr()
    for words in (
        ["evaluate", "format=json"],
        ["leaderboard", "format=json"],
        ["leaderboard", "best_only=true", "format=json"],
        ["search", "heron", "format=json"],
    ):
        assert cli.main(words) == 0
        assert isinstance(json.loads(capsys.readouterr().out), dict)
