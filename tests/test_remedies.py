import shlex
from functools import cache
from typing import Any

import pytest

from twotower import cli, config, knobs
from twotower.config import Train
from twotower.evaluation import remedies
from twotower.evaluation.reasons import CAUSES
from twotower.evaluation.remedies import Facts

FACTS = Facts(vocabulary=60_000, longest=300)


@cache
def trained(*words: str) -> Train:
    _, cfg = cli.load("train", words)
    assert isinstance(cfg, Train)
    return cfg


def content(cfg: Train, **source: Any) -> dict[str, Any]:
    """What a checkpoint says of a run with these knobs."""
    return {"training_stats": {"config": knobs.plain(cfg)}, "data": {"source": source}}


def tried(line: str) -> Train:
    """The knobs of a command."""
    name, command, *words = shlex.split(line)
    assert (name, command) == ("twotower", "train")
    return trained(*words)


RUNS = [
    (),
    ("data=beir", "data.path=/a folder/it's one", "name=first", "k=1,10", "select=mrr_10"),
    (
        "data=docstrings",
        "data.packages=json,email",
        "query_tower=gru",
        "doc_tower.num_layers=2",
        "loss=triplet",
    ),
    ("data=triplets", "data.path=/t.tsv", "tied=true", "hidden_dim=32", "loss.learn_temperature=false"),
    ("data=msmarco", "data.dev_share=0.2", "query_tower=gru", "doc_tower=gru", "pooling=last", "loss=margin"),
]


@pytest.mark.parametrize("words", RUNS)
@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause != "duplicate"])
def test_the_command_is_the_run_again_with_the_knob_turned(words: tuple[str, ...], cause: str) -> None:
    cfg = trained(*words)
    found = remedies.remedy(cause, content(cfg), FACTS)
    before, after = (knobs.flat(knobs.plain(one)) for one in (cfg, tried(found.command)))
    before, after = (
        {key: value for key, value in one.items() if not hidden(key, cfg)} for one in (before, after)
    )
    apart = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} - {"name"}
    knob, _, value = found.knob.partition("=")
    if knob == "loss":
        assert {key.split(".")[0] for key in apart} == {"loss"}
    else:
        assert apart == {knob}
        assert knobs.shown(after[knob]) == value
    assert after["name"] == f"{cfg.name}-{knob.rpartition('.')[2]}"


def hidden(key: str, cfg: Train) -> bool:
    """Knobs of a document tower that is the query's."""
    return cfg.tied and key.startswith("doc_tower.")


@pytest.mark.parametrize(
    ("cause", "words", "knob"),
    [
        ("unknown_words", ["min_count=3"], "min_count=1"),
        ("unknown_words", [], "max_size=120000"),
        ("unknown_words", ["max_size=90000"], "vectors=glove-50d+train"),  # there was room
        ("no_common_word", [], "vectors=glove-50d+train"),
        ("no_common_word", ["vectors=random"], "vectors=glove-50d"),
        ("no_common_word", ["vectors=train"], "vectors=glove-50d+train"),
        ("no_common_word", ["vectors=a.txt"], "vectors=a.txt+train"),
        ("no_common_word", ["vectors=train+a.txt"], "dim=512"),
        ("truncated", [], "max_doc_words=320"),  # 300 in steps of 64
        ("truncated", ["max_doc_words=400"], "max_doc_words=448"),  # no fewer than before
        ("hub", [], "random_negatives=512"),
        ("hub", ["random_negatives=0"], "random_negatives=256"),
        ("hub", ["loss=margin"], "loss=contrastive"),
        ("length_bias", ["bag=mean"], "doc_tower.bag=unit"),
        ("length_bias", ["bag=mean", "tied=true"], "query_tower.bag=unit"),
        ("length_bias", ["query_tower=gru", "doc_tower=gru", "pooling=max"], "doc_tower.pooling=mean"),
        ("length_bias", [], "random_negatives=512"),
        ("duplicate", [], "qrels"),
    ],
)
def test_the_knob_depends_on_the_run(cause: str, words: list[str], knob: str) -> None:
    assert remedies.remedy(cause, content(trained(*words)), FACTS).knob == knob


def test_duplicates_are_looked_at_in_the_data() -> None:
    cfg = trained("data=beir", "data.path=here", "data.dev_share=0.3")
    found = remedies.remedy("duplicate", content(cfg, kind="beir", path="/data/a b"), FACTS)
    assert found.command == "twotower data data=beir 'data.path=/data/a b' near=0.9"
    _, report = cli.load("data", shlex.split(found.command)[2:])
    assert isinstance(report, config.Data)


def test_the_data_are_read_where_they_were_read() -> None:
    cfg = trained("data=beir", "data.path=here", "epochs=3")
    source = {"kind": "beir", "path": "/data/here", "dev_share": 0.1, "on_bad": "skip"}
    line = remedies.remedy("truncated", content(cfg, **source), FACTS).command
    assert line == (
        "twotower train data=beir data.path=/data/here data.on_bad=skip epochs=3 max_doc_words=320 "
        "name=run-max_doc_words"
    )


@pytest.mark.parametrize(
    "stored", [{}, {"model": {"dim": 3}}, {"data": {"kind": "elsewhere"}}, {"data": "x"}]
)
@pytest.mark.parametrize("cause", CAUSES)
def test_a_checkpoint_that_does_not_say_how_it_was_trained_has_a_knob_and_no_command(
    stored: dict[str, Any], cause: str
) -> None:
    found = remedies.remedy(cause, {"training_stats": {"config": stored}}, FACTS)
    assert found.knob
    assert found.command == ""


def test_what_need_not_be_typed_is_the_default_of_train() -> None:
    stored = knobs.plain(trained())
    assert {group: stored[group]["kind"] for group in remedies.USUAL} == remedies.USUAL
