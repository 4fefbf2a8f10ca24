from pathlib import Path

import pytest

from twotower import recall


def test_a_line_is_kept_for_the_next_session_on_one_line(tmp_path: Path) -> None:
    history = tmp_path / "cache" / "history"
    for line in ("Zürich 東京", "two\u2028lines\nor three", "half \udce9"):
        recall.remember(history, line)
    assert recall.remembered(history) == ["Zürich 東京", "two lines or three", "half ?"]
    assert history.stat().st_mode & 0o777 == 0o600  # what one asks is one's own


def test_a_long_history_is_cut_to_its_end(tmp_path: Path) -> None:
    history = tmp_path / "history"
    history.write_text("".join(f"{number}\n" for number in range(recall.KEPT + 5)))
    kept = [str(number) for number in range(5, recall.KEPT + 5)]
    assert recall.remembered(history) == kept
    assert history.read_text().split() == kept
    assert list(tmp_path.iterdir()) == [history]


def test_a_history_that_cannot_be_read_or_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for history in (tmp_path, tmp_path / "file" / "history"):  # a folder; below a file
        recall.remember(history, "csv")
        assert recall.remembered(history) == []


def test_a_history_of_other_bytes_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "history").write_bytes(b"caf\xe9\ncsv")
    assert recall.remembered(tmp_path / "history") == ["caf\ufffd", "csv"]


@pytest.mark.parametrize(
    ("state", "there"),
    [("/var/state", "/var/state/twotower/history"), ("relative", "/home/me/.local/state/twotower/history")],
)
def test_the_history_is_the_users_own_wherever_one_works(
    state: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert recall.file() == Path(there)


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    recall.remember(recall.file(), "csv")
    assert recall.remembered(recall.file()) == []
