import re
from typing import Any

import page_case
import pytest

from twotower.evaluation.page_table import table, text


def board(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"protocol": {"title": "tiny dev"}, "rows": list(rows)}


def row(name: str = "one", value: float = 0.25, **more: Any) -> dict[str, Any]:
    return {**page_case.line(name, "checkpoint", value, 100), **more}


def heads(html: str) -> list[str]:
    return re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", html)


def first(html: str) -> list[str]:
    """The words of the first row's cells."""
    line = re.search(r"<tbody.*?</tr>", html, re.DOTALL)
    assert line
    return [re.sub(r"<[^>]*>", " ", cell).strip() for cell in re.findall(r"<t[dh][ >].*?</t[dh]>", line[0])]


def test_a_metric_stands_with_its_interval_and_sorts_by_its_value() -> None:
    html = table(board(row()), "mrr_10")
    assert (
        'data-v="0.25"><b>0.2500</b> <small class="ends">0.1600–0.3400</small>' in html
    )  # 0.9 / 10 each way


def test_columns_that_no_row_fills_are_left_out() -> None:
    assert heads(table(board(row(intervals={})), "mrr_10")) == [
        *("Name", "MRR@10", "nDCG@10", "Recall@1", "Recall@10", "Recall@100")
    ]


def test_each_row_has_a_cell_for_each_heading() -> None:
    group = page_case.group(5)
    html = table(group, "mrr_10")
    widths = {len(re.findall(r"<t[dh][ >]", line)) for line in re.findall(r"<tr.*?</tr>", html, re.DOTALL)}
    assert widths == {len(heads(html))}


def test_an_empty_cell_has_no_value_to_sort_by() -> None:
    html = table(board(row(cost={"seconds": 3}), row("two")), "mrr_10")
    assert html.count('<td class="number" data-v="3">3</td>') == 1
    assert html.count('<td class="number"></td>') == 1


def test_what_sorts_downwards_first_is_what_is_better_larger() -> None:
    html = table(board(row(cost={"seconds": 3, "docs_per_second": 9})), "mrr_10")
    found = dict(re.findall(r'data-first="(\w+)"[^>]*>([^<]*)<', html))
    order = {title: way for way, title in re.findall(r'data-first="(\w+)"[^>]*>([^<]*)<', html)}
    assert set(found) == {"ascending", "descending"}
    assert order["MRR@10"] == order["Encoding, docs/s"] == "descending"
    assert order["Training, s"] == "ascending"


def test_a_row_that_nothing_beats_at_its_price_has_a_star() -> None:
    cheap, dear = row(cost={"seconds": 3}, pareto=["seconds"]), row(cost={"seconds": 9})
    assert table(board(cheap, dear), "mrr_10").count("★") == 1


def test_the_seeds_of_a_configuration_follow_its_row() -> None:
    seeds = [{"seed": 7, "name": "s", "checkpoint": "a.pt", "metrics": {"mrr_10": 0.123}}]
    html = table(board(row(seeds=seeds, spread={"mrr_10": 0.002})), "mrr_10")
    assert 'class="seed"><th scope="row" title="a.pt">seed 7 <bdi>s</bdi></th>' in html
    assert ">0.1230</td>" in html
    assert "1 seeds, sd 0.0020" in html


def test_wins_ties_and_losses_name_the_baseline() -> None:
    versus = {"baseline": "BM25", "wins": 9, "ties": 5, "losses": 2, "difference": 0.031, "p": 0.0002}
    html = table(board(row(versus=versus)), "mrr_10")
    assert "Against BM25" in heads(html)
    assert "9/5/2  +0.0310   won/tied/lost, p &lt; 0.001" in first(html)


@pytest.mark.parametrize(
    ("more", "title", "cell"),
    [
        ({"after": {"seconds": 60.0, "mrr_10": 0.2}}, "after 60 s", "0.2000"),
        ({"leak": {"leaky": 3, "clean": {"mrr_10": 0.19}}}, "MRR@10, unseen", "0.1900"),
        ({"reported": {"metrics": {"mrr_10": 0.18}, "intervals": {}}}, "MRR@10, reported", "0.1800"),
        ({"p_best": 0.25}, "p to best", "0.250"),
    ],
)
def test_what_ordered_nothing_has_a_column_of_its_own(more: dict[str, Any], title: str, cell: str) -> None:
    html = table(board(row(**more)), "mrr_10")
    assert first(html)[heads(html).index(title)] == cell


def test_a_floor_and_a_run_file_say_what_they_are() -> None:
    html = table(board(row(kind="floor"), row(kind="run")), "mrr_10")
    assert re.findall(r'class="badge">([^<]*)<', html) == ["floor", "run file"]


def test_names_are_text() -> None:
    html = table(board(row('<img src=x onerror="alert(1)">', towers="<b>", sweep="<i>")), "mrr_10")
    assert not re.search(r"<(img|b|i)[ >](?!0|.*?</b>)", html)
    assert text('<img src=x onerror="alert(1)">') in html
