"""Indexes of real small runs, compared and let through the gate, or not."""

import json
from pathlib import Path

import pytest
from index_case import Indexes
from passages_case import passages

from tests.training_case import small, write_beir
from twotower import cli
from twotower.commands import train
from twotower.model import checkpoint
from twotower.search import versions


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection, a trained checkpoint `good` and an untrained one `bad`."""
    home = tmp_path_factory.mktemp("rivals")
    folder = write_beir(passages(400), home / "passages")
    for name, epochs in (("good", 4), ("bad", 0)):
        assert train.run(small(folder, home, name=name, epochs=epochs)) == 0
        (path,) = (home / "checkpoints").glob(f"two_tower_best_{name}-*.pt")
        path.rename(home / f"{name}.pt")
    return home


def index(runs: Path, folder: Path, *words: str) -> int:
    return cli.main(["index", *words, f"index_dir={folder}", f"cache_dir={runs / 'cache'}"])


def build(runs: Path, folder: Path, name: str, *words: str) -> int:
    data = ("data=beir", f"data.path={runs / 'passages'}")
    return index(runs, folder, "build", "docs", f"checkpoint={runs / name}.pt", *data, *words)


def test_a_worse_one_is_refused_and_a_better_one_passes(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(runs, tmp_path, "good") == build(runs, tmp_path, "bad") == 0
    capsys.readouterr()
    assert index(runs, tmp_path, "switch", "docs") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "docs@v0002 is worse than docs@v0001: MRR@10 " in err
    assert err.endswith("; v0001 stays live, force=true switches anyway\n")
    assert versions.live(tmp_path, "docs") == "v0001"
    assert index(runs, tmp_path, "switch", "docs", "force=true") == 0
    assert versions.live(tmp_path, "docs") == "v0002"
    capsys.readouterr()
    assert index(runs, tmp_path, "switch", "docs@v0001", "min_gain=0.05") == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.startswith("docs@v0001 is live: docs@v0001 gains the 0.05 that is wanted: MRR@10 ")


def test_a_build_that_is_to_be_switched_to_passes_the_same_gate(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(runs, tmp_path, "good") == 0
    assert build(runs, tmp_path, "bad", "switch=true") == 2
    assert versions.live(tmp_path, "docs") == "v0001"
    capsys.readouterr()
    assert build(runs, tmp_path, "good", "switch=true", "kind=hnsw") == 0
    assert "cannot be told from docs@v0001" in capsys.readouterr().out
    assert versions.live(tmp_path, "docs") == "v0003"


def test_two_are_compared_in_a_table_or_as_json(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(runs, tmp_path, "good") == build(runs, tmp_path, "bad") == 0
    capsys.readouterr()
    assert index(runs, tmp_path, "compare", "docs") == 0
    out = capsys.readouterr().out
    assert "split dev" in out
    assert "docs@v0001 is better than docs@v0002" in out
    words = ("compare", "docs@v0001", "docs@v0002", "format=json", "metric=recall_10")
    assert index(runs, tmp_path, *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gap"]["metric"] == "recall_10"
    assert found["gap"]["difference"] < 0
    assert 0 < found["overlap"] < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "docs"], "docs has one version alone, want two indexes"),
        (["compare", "docs", "docs@v0001"], "got docs@v0001 twice, want two indexes"),
        (["compare", "docs", "other"], "index other: no such index"),
        (["compare", "docs@v0007", "docs"], "no version 'v0007', want one of v0001"),
        (["switch", "docs"], "v0001 is live already"),
        (["switch", "nothing"], "index nothing: no such index"),
        (["compare", "docs", "docs", "metric=mrr"], "metric: got mrr, want one with a cut-off"),
        (["rollback", "docs"], "no version was live before v0001"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    words: list[str], message: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(runs, tmp_path, "good")
    capsys.readouterr()
    assert index(runs, tmp_path, *words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_without_judged_queries_the_gate_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Indexes(tmp_path)
    checkpoint.save(made.case.checkpoint, made.case.retriever, made.case.content)
    for _ in range(2):
        made.build()
    words = [f"index_dir={made.root}", f"cache_dir={made.case.cache_dir}"]
    assert cli.main(["index", "switch", "docs", *words]) == 0
    assert (
        "passes unmeasured: no judged queries, so nothing is measured; of the first 10 hits both have 100%"
        in (capsys.readouterr().out)
    )
    assert cli.main(["index", "switch", "docs@v0001", "min_gain=0.1", *words]) == 2
