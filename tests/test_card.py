import re
from pathlib import Path
from typing import Any

import pytest
from board_case import PROTOCOL
from export_case import put

from twotower import config
from twotower.evaluation import card
from twotower.model import checkpoint, sidecar

FORMS = (config.SENTENCE_TRANSFORMERS, config.SAFETENSORS)


def text(path: Path, form: config.ExportFormat = FORMS[0], where: str = "out", **changes: Any) -> str:
    return card.text(path, {**checkpoint.read(path), **changes}, form, where)


def test_metrics_stand_with_their_protocol_intervals_and_floors(tmp_path: Path) -> None:
    made = text(put(tmp_path))
    assert f"{PROTOCOL}; 4 queries; protocol `{PROTOCOL.key}`" in made
    assert "| | this model | 95 % interval | untrained |" in made
    # four queries of 1, 1/2, 1/2, 0: the draws of four whose means are 2.5 % and 97.5 % of all
    assert re.search(r"\| MRR@10 \| 0\.5000 \| 0\.125 to 0\.875 \| 0\.2500 \|", made)
    assert re.search(r"\| Recall@10 \| 0\.7500 \| 0\.250 to 1\.000 \|  \|", made)


def test_data_are_named_with_their_hash_and_without_their_place(tmp_path: Path) -> None:
    made = text(put(tmp_path))
    assert "Collection `tiny`, content hash `0123456789abcdef`: 1,234 documents" in made
    assert "judged queries: 40 in train, 10 in dev" in made
    assert "Word vectors to begin with: `glove.txt`." in made
    assert "Epoch 3, seed 7." in made
    assert "/home/someone" not in made


def test_the_licence_is_left_open(tmp_path: Path) -> None:
    made = text(put(tmp_path))
    assert "## Licence\n\nNot stated" in made
    assert "license:" not in made.split("---")[1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["out", "hf://me/model"])
def test_the_code_compiles_and_names_where_it_is(
    form: config.ExportFormat, where: str, tmp_path: Path
) -> None:
    made = text(put(tmp_path), form, where)
    (code,) = re.findall(r"```python\n(.*?)```", made, flags=re.DOTALL)
    compile(code, "card", "exec")
    assert f'"{where.removeprefix("hf://")}"' in code
    assert ("`checkpoint=hf://me/model`" in made) == (where != "out")


def test_without_per_query_values_there_are_no_intervals(tmp_path: Path) -> None:
    path = put(tmp_path)
    sidecar.per_query_of(path).unlink()
    made = text(path)
    assert "| MRR@10 | 0.5000 | 0.2500 |" in made
    assert "95 %" not in made


def test_damaged_per_query_values_are_an_error(tmp_path: Path) -> None:
    path = put(tmp_path)
    file = sidecar.per_query_of(path)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{file.name}: damaged"):
        text(path)


@pytest.mark.parametrize("unknown", [None, {}])
def test_what_is_not_known_is_said(unknown: Any, tmp_path: Path) -> None:
    path = put(tmp_path)
    nothing = dict.fromkeys(("data", "protocol", "cost", "training_stats", "environment", "floors"), unknown)
    made = text(path, **nothing)
    assert "Its metrics are not known." in made
    assert "Its training data are not known." in made
    assert "None" not in made
