import string
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twotower import compose, config, knobs
from twotower.manual import COMMANDS

TEXTS = {
    name: [knob for knob, kind in knobs.types_of(command.config).items() if kind is str]
    for name, command in COMMANDS.items()
}


def test_knobs_arrive_as_their_types() -> None:
    words = [
        "query_tower=gru", "loss=triplet", "margin=0.25", "learning_rate=1e-05", "tied=True",
        "share_words=False", "k=[1, 5]", "optimizer=sgd", "data.packages=numpy,json", "epochs=2",
        "pooling=max",
    ]  # fmt: skip
    _, cfg = compose.load("train", words)
    assert isinstance(cfg, config.Train)
    assert isinstance(cfg.query_tower, config.GRUTower)
    assert cfg.query_tower.pooling is config.Pooling.max
    assert cfg.loss == config.Triplet(margin=0.25)
    assert cfg.data == config.Docstrings(packages=["numpy", "json"])
    assert (cfg.learning_rate, cfg.tied, cfg.share_words, cfg.epochs) == (1e-05, True, False, 2)
    assert (cfg.k, type(cfg.k), cfg.optimizer) == ([1, 5], list, config.Optimizer.sgd)


def test_a_short_name_reaches_both_towers_and_the_full_name_wins_in_any_order() -> None:
    words = ["query_tower.hidden_dim=8", "hidden_dim=16"]
    for order in (words, words[::-1]):
        _, cfg = compose.load("train", order)
        assert (cfg.query_tower.hidden_dim, cfg.doc_tower.hidden_dim) == (8, 16)


def test_a_group_counts_wherever_it_stands() -> None:
    _, cfg = compose.load("train", ["margin=0.3", "loss=triplet"])
    assert cfg.loss.margin == 0.3


def test_a_knob_without_effect_is_said_and_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _, cfg = compose.load("train", ["margin=0.3"])
    assert cfg.loss == config.Contrastive()
    assert capsys.readouterr().err == "margin=0.3 has no effect: no choice in force has that knob\n"


AWKWARD = (
    string.punctuation + " é漢字\t${oc.env:HOME} ${seed} ??? null true 1,2 [x] 'y' \"z\" \\${w} \x1b[31m"
)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [AWKWARD, "???", "${seed}", "", "null", "a=b,c=d", "(x)"])
def test_a_text_arrives_to_the_letter(name: str, value: str) -> None:
    assert TEXTS[name]
    _, cfg = compose.load(name, [f"{knob}={value}" for knob in TEXTS[name]])
    assert {getattr(cfg, knob) for knob in TEXTS[name]} == {value}


@example("???").via("OmegaConf's word for missing")
@given(st.text())
@settings(max_examples=10, deadline=None)
def test_any_text_arrives_to_the_letter(value: str) -> None:
    _, cfg = compose.load("evaluate", ["data=beir", f"data.path={value}"])
    assert cfg.data.path == value


def test_what_has_no_effect_is_named_without_a_word_said(capsys: pytest.CaptureFixture[str]) -> None:
    made = compose.composed("train", ["margin=0.3", "epochs=2"])
    assert made.idle == ("margin",)
    assert made.cfg.epochs == 2
    assert capsys.readouterr().err == ""


def test_hydra_composes_each_choice_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compose.load("train", ["loss=triplet"])
    monkeypatch.setattr(compose.hydra, "compose", None)
    assert compose.load("train", ["loss=triplet", "epochs=7"])[1].epochs == 7


def test_conf_is_found_beside_the_package_or_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twotower" / "conf").mkdir(parents=True)
    monkeypatch.setattr(compose, "__file__", str(tmp_path / "twotower" / "compose.py"))
    assert compose.conf_dir() == tmp_path / "twotower" / "conf"
    (tmp_path / "twotower" / "conf").rmdir()
    assert compose.conf_dir() == tmp_path / "conf"
