from typing import Any

import page_case
import pytest

from twotower.evaluation.page_sections import diagnoses, geometry, judgement, slices, verdict


def board(*rows: tuple[str, str, str]) -> dict[str, Any]:
    """A group of (kind, name, letters), best first."""
    made = [page_case.line(name, kind, 0.3, 100) | {"letters": letters} for kind, name, letters in rows]
    return {"protocol": {}, "judged": 100, "verdict": "one & two", "rows": made}


@pytest.mark.parametrize(
    ("rows", "level", "said"),
    [
        ([("checkpoint", "x", "a"), ("checkpoint", "y", "b")], "good", "A clear best"),
        (
            [("checkpoint", "x", "a"), ("run", "y", "ab"), ("checkpoint", "z", "b")],
            *("unsure", "No winner: the first of 3 ties with 1"),
        ),
        ([("floor", "BM25", "a"), ("checkpoint", "x", "b")], "bad", "Nothing stands above BM25"),
        ([("checkpoint", "x", "a"), ("floor", "chance", "a")], "bad", "Cannot be told from chance"),
        (
            [("checkpoint", "x", "a"), ("floor", "chance", "b")],
            "unsure",
            "One row, nothing to compare it with",
        ),
        ([("checkpoint", "x", ""), ("checkpoint", "y", "")], "unsure", "Not tested: no values by query"),
        ([("floor", "chance", "")], "unsure", "Floors alone"),
    ],
)
def test_the_judgement_follows_the_letters(rows: list[tuple[str, str, str]], level: str, said: str) -> None:
    assert judgement(board(*rows)) == (level, said)


def test_the_verdict_says_best_floors_luck_and_queries() -> None:
    group = page_case.group(3)
    html = verdict(group, "mrr_10")
    best = group["rows"][0]
    for said in (
        best["name"],
        f"{best['metrics']['mrr_10']:.4f}",
        "BM25",
        "<b>0.2607</b>",
        "<b>0.2895</b>",
        "<b>540</b>",
    ):
        assert said in html


def test_what_was_chosen_on_one_split_is_reported_on_the_other() -> None:
    choice = {
        "choose_split": "dev", "report_split": "test", "chosen": "x",
        "metrics": {"mrr_10": 0.21}, "intervals": {"mrr_10": [0.18, 0.24]},
    }  # fmt: skip
    html = verdict(board(("checkpoint", "x", "a")) | {"choice": choice}, "mrr_10")
    assert "Chosen on dev, on test" in html
    assert "<b>0.2100</b>" in html
    assert "0.1800–0.2400" in html


def test_alarms_stand_with_the_verdict_as_text() -> None:
    html = verdict(board(("checkpoint", "x", "a")) | {"alarms": ["5 < 200 queries"]}, "mrr_10")
    assert "<li>5 &lt; 200 queries</li>" in html
    assert "one &amp; two" in html


def test_a_cause_has_its_bar_its_knob_and_its_command() -> None:
    html = diagnoses([{"name": "x", "diagnosis": page_case.diagnosis(540)}])
    assert '<rect width="47.0%" height="100%">' in html  # 94 of 200 failed
    assert "94 queries, 47% of failed" in html
    assert "<code>vectors</code>" in html
    assert "data.path=&#x27;my data/msmarco&#x27;" in html
    assert "<b>41</b> queries fixed" in html


def test_a_cause_of_no_query_is_left_out() -> None:
    found = page_case.diagnosis(540)
    found["causes"][0]["queries"] = 0
    assert "no word in common" not in diagnoses([{"name": "x", "diagnosis": found}])


def test_a_diagnosis_that_is_not_whole_is_left_out() -> None:
    assert diagnoses([{"name": "x", "diagnosis": {"failed": 3}}]) == ""


def test_texts_of_queries_are_text() -> None:
    found = page_case.diagnosis(540)
    found["causes"][0]["examples"][0]["query"] = "<script>alert(1)</script>"
    assert "<script" not in diagnoses([{"name": "x", "diagnosis": found}])


def test_slices_stand_side_by_side() -> None:
    html = slices(
        [{"name": "x", "slices": page_case.slices(0.3)}, {"name": "y", "slices": page_case.slices(0.2)}],
        "mrr_10",
    )
    line = html[html.index("1-3 words") :]
    line = line[: line.index("</tr>")]
    assert ">120<" in line
    assert line.index("<b>0.2200</b>") < line.index("<b>0.1200</b>")


def test_geometry_has_a_column_for_each_measure_that_is_there() -> None:
    html = geometry(
        [{"name": "x", "geometry": {"mean_cosine": 0.97, "new_one": 2.0}}, {"name": "y", "geometry": {}}]
    )
    assert "Mean cosine" in html
    assert "New one" in html
    assert "Hub skew" not in html
    assert html.count("<tr") == 2


def test_empty_parts_are_left_out() -> None:
    bare = [page_case.line("x", "checkpoint", 0.3, 100)]
    assert (diagnoses(bare), slices(bare, "mrr_10"), geometry(bare)) == ("", "", "")
