from pathlib import Path

import pytest
from index_case import Indexes

from twotower.search import inventory, versions


@pytest.fixture
def made(tmp_path: Path) -> Indexes:
    indexes = Indexes(tmp_path)
    indexes.build()
    indexes.build("other")
    indexes.remove("re.sub")
    return indexes


def test_every_version_is_listed_and_the_live_one_marked(made: Indexes) -> None:
    rows = inventory.listing(made.root)
    assert [(row["index"], row["version"], row["live"], row["documents"]) for row in rows] == [
        ("docs", "v0001", False, 6),
        ("docs", "v0002", True, 5),
        ("other", "v0001", True, 6),
    ]
    table = inventory.table(rows)
    assert table.heading == "2 indexes, 3 versions"
    assert [row[0] for row in table.rows] == ["docs@v0001", "docs@v0002 live", "other@v0001 live"]


def test_a_damaged_one_is_listed_as_such(made: Indexes) -> None:
    (made.root / "docs" / "v0001" / "manifest.json").write_text("{")
    rows = inventory.listing(made.root)
    assert "damaged" in rows[0]["problem"]
    assert inventory.table(rows).rows[0][3] == "damaged"


def test_no_folder_is_no_index(tmp_path: Path) -> None:
    assert inventory.listing(tmp_path / "nowhere") == []


def test_info_says_what_it_was_built_from(made: Indexes) -> None:
    content = inventory.info(versions.resolve(made.root, "docs"))
    assert (content["index"], content["live"], content["documents"]) == ("docs@v0002", True, 5)
    lines = dict(inventory.lines(content))
    assert lines["sources.0.name"] == "docs"
    assert lines["checkpoint.run"] == "case"
    assert lines["tied" if "tied" in lines else "live"] == "yes"


def test_stats_count_documents_and_vectors(made: Indexes) -> None:
    content = inventory.stats(versions.resolve(made.root, "docs"))
    assert (content["documents"], content["vectors"], content["repeated"]) == (5, 5, 0)
    assert content["bytes"].keys() == {"documents", "ids", "vectors", "towers and the rest"}
    assert sum(content["bytes"].values()) == inventory.info(versions.resolve(made.root, "docs"))["bytes"]
