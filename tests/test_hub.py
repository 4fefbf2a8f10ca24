import ssl
import sys
import urllib.error
from pathlib import Path

import polars as pl
import pytest

from twotower.data import hub

ROWS = [{"query": f"q{n}", "positive": f"d{n}", "more": {"ids": [n, n + 1]}} for n in range(5)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a folder owner/name in it is what the package loads as that data set."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def write(file: Path, rows: list[dict[str, object]] = ROWS) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(file)


def test_rows_come_by_split_numbered_from_one(here: Path) -> None:
    write(here / "owner" / "name" / "train-00000-of-00002.parquet")
    write(here / "owner" / "name" / "train-00001-of-00002.parquet")
    write(here / "owner" / "name" / "validation-00000-of-00001.parquet", ROWS[:1])
    splits = {split: list(rows) for split, rows in hub.load("hf://owner/name", "").items()}
    assert splits == {"train": list(enumerate(ROWS + ROWS, start=1)), "dev": [(1, ROWS[0])]}


def test_rows_are_the_same_whatever_is_read_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "owner" / "name" / "train.parquet")
    monkeypatch.setattr(hub, "BATCH", 2)
    assert list(hub.load("hf://owner/name@main", "")["train"]) == list(enumerate(ROWS, start=1))


def configurations(folder: Path, *names: str) -> None:
    parts = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in names)
    for row, name in enumerate(names):
        write(folder / name / "train.parquet", ROWS[row : row + 1])
    (folder / "README.md").write_text(f"---\nconfigs:\n{parts}---\n")


def test_of_several_configurations_one_must_be_said(here: Path) -> None:
    configurations(here / "owner" / "two", "v1", "v2")
    with pytest.raises(ValueError, match=r"^hf://owner/two: several config.*, want data\.subset=v1 or v2$"):
        hub.load("hf://owner/two", "")
    with pytest.raises(ValueError, match=r"^hf://owner/two: no configuration 'v3', want data\.subset=v1 or"):
        hub.load("hf://owner/two", "v3")
    assert list(hub.load("hf://owner/two", "v2")["train"]) == [(1, ROWS[1])]


def test_a_lone_configuration_need_not_be_said(here: Path) -> None:
    configurations(here / "owner" / "one", "only")
    write(here / "owner" / "none" / "train.parquet")
    assert list(hub.load("hf://owner/one", "")) == ["train"]
    assert list(hub.load("hf://owner/none", "v1.1")) == ["train"]  # it has no configurations at all
    with pytest.raises(ValueError, match=r"no configuration 'other', want data\.subset=only$"):
        hub.load("hf://owner/one", "other")


@pytest.mark.parametrize(
    "path", ["hf://name", "hf://", "hf://a/b/c", "hf://../up", "hf://owner/name@", "owner/x"]
)
def test_a_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"want hf://owner/name or hf://owner/name@revision$"):
        hub.load(path, "")


def test_a_damaged_file_is_one_line(here: Path) -> None:
    write(here / "owner" / "bad" / "train.parquet")
    (here / "owner" / "bad" / "train.parquet").write_bytes(b"PAR1 and nonsense")
    with pytest.raises(ValueError, match=r"^hf://owner/bad: cannot be loaded: .*[Pp]arquet") as caught:
        hub.load("hf://owner/bad", "")
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_one_line(here: Path) -> None:
    (here / "owner" / "empty").mkdir(parents=True)
    with pytest.raises((ValueError, OSError), match=r"^hf://owner/empty: ") as caught:
        hub.load("hf://owner/empty", "")
    assert "\n" not in str(caught.value)


def test_two_names_of_one_split_are_refused(here: Path) -> None:
    folder = here / "owner" / "twice"
    write(folder / "a.parquet")
    parts = "".join(f"  - split: {split}\n    path: a.parquet\n" for split in ("dev", "val"))
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{parts}---\n")
    with pytest.raises(ValueError, match=r"^hf://owner/twice: two splits are dev: dev, val$"):
        hub.load("hf://owner/twice", "")


def test_without_a_network_it_says_what_to_do(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    with pytest.raises(OSError, match=r"refused.*by hand and say data\.path=FOLDER") as caught:
        hub.load("hf://nobody/nothing", "")
    assert "\n" not in str(caught.value)


def test_offline_by_wish_it_says_what_to_do(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        OSError, match=r"^hf://nobody/nothing: not to be had from the hub \(.*data\.path=FOLDER"
    ):
        hub.load("hf://nobody/nothing", "")


def test_any_answer_of_the_hub_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise urllib.error.HTTPError(url, 401, "who are you", None, None)  # type: ignore[arg-type]

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    hub._reach("hf://a/b", "http://hub")

    def distrust(url: str, timeout: float) -> None:
        raise urllib.error.URLError(ssl.SSLError("its certificate is not known here"))

    monkeypatch.setattr("urllib.request.urlopen", distrust)
    hub._reach("hf://a/b", "http://hub")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        ValueError, match=r"^hf://a/b: datasets is not installed; pip install 'twotower\[hub\]'$"
    ):
        hub.load("hf://a/b", "")
