"""Mistakes, each answered by one line that names what was got and wanted, and by exit code 2."""

import gzip
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
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


def odd_vectors(here: Path) -> None:
    """A file of word vectors for each way to be wrong, and one that is right."""
    files = {
        "nan.txt": b"the 1 2\nheron 1 nan\n",
        "short.vec": b"9 2\nthe 1 2\nheron 1 2\n",
        "long.vec": b"1 2\nthe 1 2\nheron 1 2\n",
        "cut.bin": b"2 2\nthe " + bytes(8) + b"\nheron " + bytes(3),
        "fasttext.bin": (793_712_314).to_bytes(4, "little") + bytes(99),
        "cut.txt.gz": gzip.compress(b"the 1 2\n" * 999)[:-9],
        "empty.txt": b"",
        "stranger.kv": pickle.dumps(Path("x"), 4),
        "good.txt": b"the 1 2\n",
    }
    for name, content in files.items():
        (here / name).write_bytes(content)
    np.save(here / "lone.npy", np.zeros((2, 2)))
    np.save(here / "fewer.npy", np.zeros((2, 2)))
    (here / "fewer.txt").write_text("the\n")
    with zipfile.ZipFile(here / "two.zip", "w") as archive:
        archive.writestr("a.txt", "the 1 2\n")
        archive.writestr("b.txt", "the 1 2\n")


def truncated_checkpoint(here: Path) -> None:
    train.run(small(here / "tiny", here, epochs=0))
    (path,) = (here / "checkpoints").glob("*.pt")
    (here / "half.pt").write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nothing_judged(here: Path) -> None:
    path = here / "tiny" / "qrels" / "dev.tsv"
    path.write_text(path.read_text().replace("\t1\n", "\t0\n"))


def nothing(here: Path) -> None:
    """The mistake is in the words alone."""


def holding(name: str, *lines: str) -> Prepare:
    """A file of these lines."""
    return lambda here: (here / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def passages(query_id: int, marks: list[object], texts: list[str]) -> str:
    """A record of MS MARCO."""
    record = {
        "query_id": query_id,
        "query": "what",
        "passages": {"is_selected": marks, "passage_text": texts},
    }
    return json.dumps(record)


def not_utf8(here: Path) -> None:
    (here / "latin.tsv").write_bytes(b"query\tdocument\nwhere\tUlm\ncaf\xe9\tParis\n")


def cut_gzip(here: Path) -> None:
    whole = gzip.compress("".join(f"{passages(n, [1], [f'text {n}'])}\n" for n in range(99)).encode())
    (here / "train.jsonl.gz").write_bytes(whole[:-30])


def twice_the_corpus(here: Path) -> None:
    (here / "tiny" / "corpus.jsonl.gz").write_bytes(gzip.compress(b""))


def judged_twice(here: Path) -> None:
    with (here / "tiny" / "qrels" / "train.tsv").open("a") as file:
        file.write("q02\td02\t0\n")


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
    "a word for bad lines that there is not": (
        nothing,
        ["train", "data=beir", "data.path=tiny", "data.on_bad=ignore"],
        "data.on_bad: got 'ignore', want error or skip",
    ),
    "a pair judged twice": (
        judged_twice,
        ["train", "data=beir", "data.path=tiny"],
        "train.tsv:42: query 'q02' and document 'd02' are judged twice",
    ),
    "a corpus plain and gzipped": (
        twice_the_corpus,
        ["train", "data=beir", "data.path=tiny"],
        "tiny: both corpus.jsonl and corpus.jsonl.gz, want one of them",
    ),
    "a table that does not say which column is the query": (
        holding("t.tsv", "left\tdocument", "where\tUlm"),
        ["train", "data=pairs", "data.path=t.tsv"],
        "t.tsv: no column says which is the query: it has left, document; want query.*data.query=NAME",
    ),
    "a line with too few fields": (
        holding("t.tsv", "query\tdocument", "where\tUlm", "where"),
        ["train", "data=pairs", "data.path=t.tsv"],
        "t.tsv:3: 1 field, want 2: query, document",
    ),
    "a byte that is not UTF-8": (
        not_utf8,
        ["train", "data=pairs", "data.path=latin.tsv"],
        "latin.tsv:3: byte 0xe9 is not UTF-8",
    ),
    "a score that is a fraction": (
        holding("t.csv", "query,document,score", "where,Ulm,0.5"),
        ["train", "data=pairs", "data.path=t.csv"],
        "t.csv:2: .*0.5.*relevant_from",
    ),
    "a quote that is not closed": (
        holding("t.csv", "query,document", '"where,Ulm', "who,Einstein"),
        ["train", "data=pairs", "data.path=t.csv"],
        "t.csv:2: not CSV",
    ),
    "triplets without a negative": (
        holding("t.jsonl", '{"query": "where", "positive": "Ulm"}'),
        ["train", "data=triplets", "data.path=t.jsonl"],
        "t.jsonl:1: no negative column.*data=pairs",
    ),
    "a positive that is its own negative": (
        holding("t.jsonl", '{"query": "where", "positive": "Ulm", "negative": "Ulm"}'),
        ["train", "data=triplets", "data.path=t.jsonl"],
        "t.jsonl:1: ",
    ),
    "a format that no reader reads": (
        holding("t.xlsx", "words"),
        ["train", "data=triplets", "data.path=t.xlsx"],
        "t.xlsx: format .xlsx, want one of .tsv",
    ),
    "passages and marks of unequal number": (
        holding("train.jsonl", passages(1, [1], ["a"]), passages(2, [1], ["a", "b"])),
        ["train", "data=msmarco", "data.path=train.jsonl"],
        "train.jsonl:2: 2 passage_text, 1 is_selected, want as many",
    ),
    "a query id twice": (
        holding("train.jsonl", passages(1, [1], ["a"]), passages(1, [1], ["b"])),
        ["train", "data=msmarco", "data.path=train.jsonl"],
        "train.jsonl:2: query_id 1 again, first in train.jsonl:1",
    ),
    "a gzip that was cut": (
        cut_gzip,
        ["train", "data=msmarco", "data.path=train.jsonl.gz"],
        "train.jsonl.gz: damaged or not gzip",
    ),
    "Parquet that is none": (
        holding("train.parquet", "words"),
        ["train", "data=msmarco", "data.path=train.parquet"],
        "train.parquet: damaged or not Parquet",
    ),
    "one group of queries to divide": (
        holding("t.csv", "query,document", "where,Ulm", "whence,Ulm"),
        ["train", "data=pairs", "data.path=t.csv"],
        "t: no splits, and 2 queries with a relevant document in 1 groups",
    ),
    "a data set of the hub without its owner": (
        nothing,
        ["train", "data=pairs", "data.path=hf://squad"],
        "data.path: got 'hf://squad', want hf://owner/name",
    ),
    "an unknown command": (nothing, ["tarin"], "tarin: no such command; did you mean train?"),
}


VECTORS: dict[str, str] = {
    "nan.txt": r"^twotower: nan\.txt:2: 'nan' among the numbers, want finite ones",
    "short.vec": r"short\.vec:3: the last line, after 2 words, want 9 as the header says",
    "long.vec": r"long\.vec:3: a line more than the 1 words that the header says",
    "cut.bin": r"cut\.bin: byte 26: ends in word 2 of 2; the file is cut short",
    "fasttext.bin": r"fasttext\.bin: a model in fastText's own format, .*name the \.vec file",
    "cut.txt.gz": r"cut\.txt\.gz: broken gzip",
    "empty.txt": r"empty\.txt: empty, want word vectors",
    "stranger.kv": r"stranger\.kv: a pickle of pathlib\.PosixPath, refused, nothing in it was executed",
    "lone.npy": r"lone\.npy: no words beside it, want one of lone\.txt",
    "fewer.npy": r"fewer\.npy: 2 rows, want 1, the words of fewer\.txt",
    "two.zip": r"two\.zip: an archive of a\.txt, b\.txt, want one table; name it, as in two\.zip!a\.txt",
    "two.zip!c.txt": r"two\.zip!c\.txt: no such file in it, there is a\.txt, b\.txt",
    "good.txt+glove-51d": r"^twotower: glove-51d: no such file, want word vectors: glove-50d, random, train",
    "tiny": r"tiny: a folder, want word vectors",
}
"""Values of `vectors`, and what is said of them."""

MISTAKES |= {
    f"vectors={name}": (odd_vectors, ["train", "data=beir", "data.path=tiny", f"vectors={name}"], said)
    for name, said in VECTORS.items()
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
