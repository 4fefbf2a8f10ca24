from pathlib import Path

import numpy as np
import pytest
from index_case import Indexes, held, same_bytes
from search_case import TEXTS

from twotower import config
from twotower.search import changes, checking, edits, index, versions
from twotower.search.edits import edit
from twotower.search.stages import Plan
from twotower.search.versions import Place

NEW = {"abc.new": "a new file", "zzz": "the square of a csv file"}


@pytest.fixture
def made(tmp_path: Path) -> Indexes:
    indexes = Indexes(tmp_path)
    indexes.build()
    return indexes


def live(made: Indexes, name: str = "docs") -> Place:
    return versions.resolve(made.root, name)


def test_added_documents_are_found_and_live_at_once(made: Indexes) -> None:
    change = made.add(NEW)
    assert (change.added, change.changed, change.removed, change.same) == (set(NEW), set(), set(), 0)
    assert str(change) == "2 added"
    assert held(live(made)) == dict(sorted({**TEXTS, **NEW}.items()))
    assert live(made).version == "v0002"
    assert held(versions.resolve(made.root, "docs@v0001")) == TEXTS


def test_adding_what_is_there_changes_nothing_and_makes_no_version(made: Indexes) -> None:
    change = made.add({"json.load": TEXTS["json.load"]})
    assert not change
    assert str(change) == "1 as they were"
    assert live(made).version == "v0001"
    assert [path.name for path in (made.root / "docs").glob(".build*")] == []


def test_adding_another_text_under_a_known_id_is_refused_with_the_way_out(made: Indexes) -> None:
    with pytest.raises(ValueError, match=r"add: docs has .json.load. with another text; .*index update docs"):
        made.add({"json.load": "something else", **NEW})
    assert held(live(made)) == TEXTS


def test_some_of_a_source_are_added_by_id(made: Indexes) -> None:
    assert made.add(NEW, "zzz").added == {"zzz"}
    with pytest.raises(ValueError, match="ids: more has no document 'a', 'b', 'c' and 1 more"):
        made.add(NEW, "zzz", "a", "b", "c", "d")


def test_removed_documents_are_gone(made: Indexes) -> None:
    assert str(made.remove("json.load", "zürich")) == "2 removed"
    assert held(live(made)) == {key: TEXTS[key] for key in TEXTS if key not in ("json.load", "zürich")}
    assert made.case.loads == 1  # by the build alone: nothing is encoded


def test_removing_what_is_not_there_is_refused_by_name(made: Indexes) -> None:
    with pytest.raises(ValueError, match="remove: docs has no document 'x'; want ids"):
        made.remove("json.load", "x")
    assert held(live(made)) == TEXTS


def test_removing_everything_is_refused(made: Indexes) -> None:
    with pytest.raises(ValueError, match="no document would be left"):
        made.remove(*TEXTS)


def test_an_update_takes_the_source_as_it_is_now(made: Indexes) -> None:
    now = {**TEXTS, **NEW, "json.load": "write a json file"}
    del now["re.sub"]
    change = made.update(now)
    assert (change.added, change.changed, change.removed) == (set(NEW), {"json.load"}, set())
    assert (change.same, change.left) == (4, 1)
    assert held(live(made)) == dict(sorted({**now, "re.sub": TEXTS["re.sub"]}.items()))


def test_an_update_that_prunes_removes_what_the_source_lacks(made: Indexes) -> None:
    now = {key: TEXTS[key] for key in ("csv.reader", "json.load")}
    change = made.update(now, prune=True)
    assert (len(change.removed), change.left) == (4, 0)
    assert held(live(made)) == now


def test_some_are_updated_by_id(made: Indexes) -> None:
    now = {key: f"{text} again" for key, text in TEXTS.items()}
    assert made.update(now, "re.sub").changed == {"re.sub"}
    assert held(live(made)) == {**TEXTS, "re.sub": now["re.sub"]}
    with pytest.raises(ValueError, match="ids: docs has no document 'nope'"):
        made.update(now, "nope")


def test_a_source_of_which_some_went_in_gives_an_update_those_alone(made: Indexes) -> None:
    made.add(NEW, "zzz")
    made.write({key: f"{text} again" for key, text in NEW.items()}, made.folder / "more.jsonl")
    change = made.edit(changes.update([made.reading(made.folder / "more.jsonl")], [], prune=False))
    assert (change.added, change.changed) == (set(), {"zzz"})


@pytest.mark.parametrize("storage", list(config.Storage))
def test_edits_leave_what_a_fresh_build_gives(tmp_path: Path, storage: config.Storage) -> None:
    """Whatever was added, changed and removed in what order: ids, vectors and documents to the byte."""
    made, rng = Indexes(tmp_path), np.random.default_rng(3)
    made.build(plan=Plan(storage=storage))
    words = " ".join(TEXTS.values()).split()
    now = dict(TEXTS)
    for _ in range(6):
        for _ in range(rng.integers(1, 4)):
            now[f"d{rng.integers(20)}"] = " ".join(rng.choice(words, rng.integers(1, 9)))
        for gone in rng.choice(sorted(now), rng.integers(0, 3), replace=False).tolist():
            del now[gone]
        made.update(now, prune=True)
        assert held(live(made)) == dict(sorted(now.items()))
    fresh = made.build("fresh", Plan(storage=storage))
    assert same_bytes(live(made).folder, fresh.folder)
    assert index.read(live(made).folder)["longest"] == index.read(fresh.folder)["longest"]
    checking.check(live(made).folder, lambda _: made.encoder)


def test_a_vector_does_not_depend_on_how_many_are_encoded_at_a_time(tmp_path: Path) -> None:
    made = Indexes(tmp_path, config.MLPTower(hidden_dim=33))
    rng = np.random.default_rng(0)
    words = " ".join(TEXTS.values()).split()
    texts = {f"d{row:04}": " ".join(rng.choice(words, rng.integers(1, 30))) for row in range(600)}
    made.write(dict(list(texts.items())[::2]))
    made.build()
    made.update(texts)
    assert same_bytes(live(made).folder, made.build("fresh").folder)


def test_another_checkpoint_edits_no_index(made: Indexes, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Indexes(tmp_path / "other")
    other.case.checkpoint.write_bytes(b"another checkpoint")
    other.case.__post_init__()
    made.case.checkpoint.write_bytes(b"another")
    from twotower.model import sidecar  # noqa: PLC0415

    sidecar.write(made.case.checkpoint, made.case.content)
    with pytest.raises(ValueError, match=r"model.pt: not the checkpoint that docs was built by, case \("):
        made.add(NEW)
    assert held(live(made)) == TEXTS


def test_an_edit_while_another_process_is_at_it_is_refused(made: Indexes) -> None:
    with versions.locked(made.root, "docs"), pytest.raises(ValueError, match="docs"):
        made.remove("json.load")


def test_an_edit_of_no_index_is_an_error(made: Indexes) -> None:
    with pytest.raises((OSError, ValueError), match="nope"):
        edit(made.root, "nope", lambda _: made.encoder, changes.remove(["x"]))


def test_repeated_texts_are_numbered_by_the_first(made: Indexes) -> None:
    made.add({"aaa": TEXTS["re.sub"], "zz": TEXTS["re.sub"]})
    found = index.load(live(made).folder)
    assert found.duplicates[[found.row(doc) for doc in ("re.sub", "zz", "aaa")]].tolist() == [0, 0, 0]
    assert found.manifest["repeated"] == 2
    found.close()


def test_a_failed_edit_leaves_nothing_behind(made: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(edits.sealed, "close", refused)
    with pytest.raises(OSError, match="No space"):
        made.add(NEW)
    assert sorted(path.name for path in (made.root / "docs").iterdir() if path.is_dir()) == ["v0001"]
