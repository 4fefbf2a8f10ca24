import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twotower.evaluation import results
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.results import Measured, PerQuery

PROTOCOL = Protocol(collection="tiny", split="dev", corpus_hash="c", queries_hash="q", qrels_hash="r")
MEASURED = Measured(
    name="first",
    kind="checkpoint",
    identity="a" * 64,
    protocol=PROTOCOL,
    metrics={"mrr_1": 0.5, "mrr_10": 0.75, "queries": 3, "judged": 2},
    intervals={"mrr_1": (0.0, 1.0), "mrr_10": (0.5, 1.0)},
    geometry={"mean_cosine": 0.1},
    cost={"index_mb": 2.5},
    leak={"leaky": 1, "clean": {"mrr_1": 1.0}},
    slices={"length": [{"value": "1-3 words", "queries": 2, "metrics": {}, "intervals": {}}]},
    checkpoint="two_tower_best_first.pt",
    created="2026-01-01T00:00:00",
)
VALUES = PerQuery(
    np.array(["q1", "q2"]),
    {"mrr_1": np.array([1.0, 0.0]), "mrr_10": np.array([1.0, 0.5])},
    np.array([True, False]),
)


def find(folder: Path, identity: str = MEASURED.identity, ks: tuple[int, ...] = (1, 10)) -> Path | None:
    found = results.find(folder, identity, PROTOCOL, list(ks))
    return found[0] if found else None


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    assert results.read(path) == MEASURED
    values = results.per_query(path)
    assert values.ids.tolist() == ["q1", "q2"]
    assert values.values["mrr_10"].tolist() == [1.0, 0.5]
    assert values.leaky is not None
    assert values.leaky.tolist() == [True, False]
    assert results.per_query(path, ["mrr_1"]).values.keys() == {"mrr_1"}


def test_content_is_found_whatever_its_name(tmp_path: Path) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    assert find(tmp_path) == path
    assert find(tmp_path, ks=(10, 1, 10)) == path
    assert find(tmp_path, identity="b" * 64) is None
    assert find(tmp_path, ks=(1, 5)) is None
    assert results.find(tmp_path, MEASURED.identity, replace(PROTOCOL, corpus_hash="x"), [1, 10]) is None
    assert results.find(tmp_path, MEASURED.identity, replace(PROTOCOL, max_doc_words=9), [1, 10]) is None


def test_the_same_under_another_name_takes_its_place(tmp_path: Path) -> None:
    results.write(tmp_path, MEASURED, VALUES)
    path = results.write(tmp_path, replace(MEASURED, name="second"), VALUES)
    assert sorted(tmp_path.iterdir()) == [path, path.with_suffix(".npz")]


def test_a_damaged_one_is_not_found_and_is_listed_as_a_problem(tmp_path: Path) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    path.write_text(path.read_text()[:-9])
    assert find(tmp_path) is None
    kept, problems = results.listing(tmp_path)
    assert kept == []
    ((name, why),) = problems
    assert name == path.name
    assert "not a kept evaluation" in why


def test_no_flipped_byte_is_more_than_a_line(tmp_path: Path) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    for file in (path, path.with_suffix(".npz")):
        whole = file.read_bytes()
        for place in range(0, len(whole), 3):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
            find(tmp_path)  # an evaluation or None, and never an error
        file.write_bytes(whole)
    assert find(tmp_path) == path


@pytest.mark.parametrize("damage", ["cut", "other values", "fewer ids", "gone"])
def test_values_that_are_not_of_the_evaluation_are_not_used(tmp_path: Path, damage: str) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    beside = path.with_suffix(".npz")
    match damage:
        case "cut":
            beside.write_bytes(beside.read_bytes()[:-200])
        case "other values":
            np.savez(beside, query_ids=VALUES.ids, mrr_1=[1.0, 1.0], mrr_10=[1.0, 0.5])
        case "fewer ids":
            np.savez(beside, query_ids=VALUES.ids[:1], **VALUES.values)
        case _:
            beside.unlink()
    assert find(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format 2, want 1"),
        ({"kind": "other"}, "kind 'other'"),
        ({"metrics": {"mrr_1": "high"}}, "mrr_1 is 'high'"),
        ({"metrics": {"mrr_1": float("nan")}}, "mrr_1 is nan"),
        ({"protocol": {}}, "missing"),
        ({"strange": 1}, "strange"),
    ],
)
def test_an_evaluation_that_is_not_whole_names_its_file(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=rf"{path.name}: not a kept evaluation \(.*{says}"):
        results.read(path)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    path = results.write(tmp_path / "kept", replace(MEASURED, name="../../x y"), VALUES)
    assert path.parent == tmp_path / "kept"
    assert path.name.startswith("_.._x_y-")


def test_a_diagnosis_beside_it_is_no_evaluation(tmp_path: Path) -> None:
    path = results.write(tmp_path, MEASURED, VALUES)
    (tmp_path / "first-x.diagnosis.json").write_text("{}")
    assert results.listing(tmp_path) == ([(path, MEASURED)], [])
