import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from board_case import PROTOCOL, put

from twotower.evaluation import names
from twotower.model import sidecar

OTHER = replace(PROTOCOL, corpus_hash="other").to_dict()


def test_best_is_the_highest_mrr_at_10(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1)
    best = put(tmp_path, "b-000000", 0.3)
    put(tmp_path, "c-000000", 0.2)
    assert names.find("@best", tmp_path) == best
    assert names.find("@mrr_10", tmp_path) == best


def test_a_metric_names_the_best_by_it_under_any_of_its_names(tmp_path: Path) -> None:
    low = put(tmp_path, "a-000000", 0.1, eval_results={"mrr_10": 0.1, "success_5": 0.9})
    put(tmp_path, "b-000000", 0.3, eval_results={"mrr_10": 0.3, "success_5": 0.2})
    for name in ("@success_5", "@accuracy_5", "@hit_rate_5"):
        assert names.find(name, tmp_path) == low


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1)
    with pytest.raises(ValueError, match="mrr"):
        names.find("@mr_10", tmp_path)


def test_a_metric_that_nobody_measured_is_a_missing_checkpoint(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1)
    with pytest.raises(FileNotFoundError, match=r"checkpoint=@ndcg_7: no checkpoint in .* has ndcg_7"):
        names.find("@ndcg_7", tmp_path)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_of_equals_the_earlier_run_is_best(value: float, tmp_path: Path) -> None:
    put(tmp_path, "a-000000", value, created="2026-01-02T00:00:00")
    first = put(tmp_path, "b-000000", value, created="2026-01-01T00:00:00")
    assert names.find("@best", tmp_path) == first


def test_latest_goes_by_when_the_run_began_not_by_name_or_file_time(tmp_path: Path) -> None:
    latest = put(tmp_path, "a-000000", None, created="2026-01-03T00:00:00")
    put(tmp_path, "z-000000", 0.9, created="2026-01-02T00:00:00")
    assert names.find("@latest", tmp_path) == latest


def test_best_over_several_protocols_is_refused_and_lists_them(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1)
    put(tmp_path, "b-000000", 0.3, protocol=OTHER)
    with pytest.raises(ValueError, match=r"checkpoint=@best: 2 protocols, .*tiny dev.*; tiny dev") as caught:
        names.find("@best", tmp_path)
    assert PROTOCOL.key in str(caught.value)  # the titles are equal, the keys are not


def test_what_is_recorded_only_does_not_split_the_protocol(tmp_path: Path) -> None:
    put(tmp_path, "a-000000", 0.1)
    deep = put(tmp_path, "b-000000", 0.3, protocol=replace(PROTOCOL, depth=99, tokenizer="y").to_dict())
    assert names.find("@best", tmp_path) == deep


def test_a_run_is_found_by_its_whole_name_and_by_the_one_it_was_given(tmp_path: Path) -> None:
    path = put(tmp_path, "first-run-3fa2b1", 0.1)
    for name in ("first-run-3fa2b1", "first-run", str(path), path.name):
        assert names.find(name, tmp_path) == path


def test_a_name_that_several_runs_have_is_refused_and_lists_them(tmp_path: Path) -> None:
    put(tmp_path, "run-000001", 0.1)
    second = put(tmp_path, "run-000002", 0.2)
    with pytest.raises(ValueError, match="2 runs are named 'run'; say which: run-000001, run-000002"):
        names.find("run", tmp_path)
    assert names.find("run-000002", tmp_path) == second


def test_a_folder_of_a_runs_name_does_not_hide_the_run(workplace: Path) -> None:
    (workplace / "demo").mkdir()
    path = put(workplace / "checkpoints", "demo-000000", 0.1)
    assert names.find("demo", workplace / "checkpoints") == path
    with pytest.raises(IsADirectoryError, match="checkpoint: checkpoints: a folder, want a checkpoint file"):
        names.find("checkpoints", workplace / "checkpoints")


@pytest.mark.parametrize("name", ["nothing", "nothing.pt", "a/b.pt"])
def test_a_name_of_nothing_is_a_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"checkpoint: {name}: no such file, and no run of that name"):
        names.find(name, tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        names.find(name, tmp_path / "no folder")


def test_an_empty_folder_has_no_best(tmp_path: Path) -> None:
    for name in ("@best", "@latest"):
        with pytest.raises(
            FileNotFoundError, match=f"checkpoint={name}: no checkpoint in .*`twotower train`"
        ):
            names.find(name, tmp_path)


BROKEN: dict[str, Any] = {
    "eval_results: mrr_10 is 'high', want a number": {"eval_results": {"mrr_10": "high"}},
    "eval_results: mrr_10 is True, want a number": {"eval_results": {"mrr_10": True}},
    "eval_results: got list, want a JSON object": {"eval_results": [1]},
    "floors: bm25: got float, want a JSON object": {"floors": {"bm25": 0.3}},
    "protocol: got str, want a JSON object": {"protocol": "full"},
    "protocol: 'split' is missing": {"protocol": {k: v for k, v in OTHER.items() if k != "split"}},
    "protocol: min_grade is 'one', want int": {"protocol": OTHER | {"min_grade": "one"}},
    "training_stats: got list, want a JSON object": {"training_stats": [1]},
}


@pytest.mark.parametrize(("says", "content"), BROKEN.items())
def test_a_broken_sidecar_is_a_problem_of_its_own_and_named(
    says: str, content: dict[str, Any], tmp_path: Path
) -> None:
    good = put(tmp_path, "good-000000", 0.1)
    bad = put(tmp_path, "bad-000000", 0.9, **content)
    found = names.listing(tmp_path)
    assert [entry.path for entry in found.entries] == [good]
    ((file, why),) = found.problems
    assert file == bad.name
    assert why.startswith(says)
    assert names.find("@best", tmp_path) == good


def test_where_all_are_broken_the_reasons_are_given(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.1)
    sidecar.sidecar_of(path).write_text("{")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint in .*a-000000.*not a sidecar"):
        names.find("@best", tmp_path)


def test_a_file_that_is_no_checkpoint_is_a_problem_not_an_end(tmp_path: Path) -> None:
    good = put(tmp_path, "good-000000", 0.1)
    (tmp_path / "notes.pt").write_text("no checkpoint")  # without a sidecar, which cannot be rebuilt either
    found = names.listing(tmp_path)
    assert [entry.path for entry in found.entries] == [good]
    ((file, why),) = found.problems
    assert file == "notes.pt"
    assert "\n" not in why


def test_of_a_run_its_best_is_listed_and_other_epochs_are_named_by_path(tmp_path: Path) -> None:
    best = put(tmp_path, "a-000000", 0.3)
    other = best.with_name(best.name.replace("best", "epoch4"))
    other.write_bytes(b"x")
    sidecar.write(other, {"run": "a-000000", "eval_results": {"mrr_10": 0.9}})
    found = names.listing(tmp_path)
    assert [entry.path for entry in found.entries] == [best]
    assert found.remarks()[0].startswith("1 files of further epochs stand aside")
    assert names.find("a-000000", tmp_path) == names.find("@best", tmp_path) == best
    assert names.find(other.name, tmp_path) == other


def test_a_checkpoint_from_elsewhere_goes_by_its_file_name(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.pt"
    path.write_bytes(b"x")
    sidecar.sidecar_of(path).write_text(json.dumps({"eval_results": None}))
    (entry,) = names.listing(tmp_path).entries
    assert (entry.run, entry.created, entry.metrics, entry.protocol) == ("elsewhere", "", {}, None)
    assert names.find("elsewhere", tmp_path) == path


def test_the_collection_and_split_that_are_asked_for_choose_the_protocol(tmp_path: Path) -> None:
    source = {"kind": "beir", "path": "/data/a"}
    here = put(tmp_path, "a-000000", 0.1, data={"source": {**source, "dev_share": 0.1}})
    there = put(
        tmp_path, "b-000000", 0.3, protocol=OTHER, data={"source": {"kind": "beir", "path": "/data/b"}}
    )
    assert names.find("@best", tmp_path, source=source) == here
    assert names.find("@best", tmp_path, source={"kind": "beir", "path": "/data/b"}) == there
    with pytest.raises(ValueError, match="2 protocols"):
        names.find("@best", tmp_path, source={"kind": "beir", "path": "/data/c"}, split="dev")


def test_where_one_protocol_stands_nothing_asked_for_leaves_a_checkpoint_out(tmp_path: Path) -> None:
    path = put(tmp_path, "a-000000", 0.1, data={"source": {"kind": "docstrings", "packages": ["x"]}})
    assert names.find("@best", tmp_path, source={"kind": "beir", "path": "/data"}, split="test") == path


def test_full_and_own_candidates_are_chosen_between_by_what_is_asked_for(tmp_path: Path) -> None:
    own, others = (
        replace(PROTOCOL, candidates=f"own-{digits}", mean_candidates=8.2, most_candidates=10).to_dict()
        for digits in ("00000000000a", "00000000000b")
    )
    full = put(tmp_path, "a-000000", 0.1)
    listed = put(tmp_path, "b-000000", 0.4, protocol=own)
    with pytest.raises(ValueError, match=r"own candidates \(8\.2 a query\)"):
        names.find("@best", tmp_path)
    assert names.find("@best", tmp_path, candidates="full") == full
    assert names.find("@best", tmp_path, candidates="own") == listed
    put(tmp_path, "c-000000", 0.5, protocol=others)
    with pytest.raises(ValueError, match="2 protocols"):
        names.find("@best", tmp_path, candidates="own")
