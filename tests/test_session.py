import pytest

from twotower import config
from twotower.training.session import MEASURED, Pace, Progress
from twotower.training.step import Sums


def knobs(epochs: int, *, every_epoch: bool = True) -> config.Train:
    tower = config.MLPTower()
    return config.Train(
        data=config.Docstrings(),
        query_tower=tower,
        doc_tower=tower,
        loss=config.Contrastive(),
        epochs=epochs,
        eval_every_epoch=every_epoch,
    )


def test_the_next_epoch_begins_with_nothing_counted() -> None:
    progress = Progress(epoch=1, sums=Sums(batches=3), spent=2.0, seconds=5.0)
    progress.turn()
    assert (progress.epoch, progress.sums, progress.spent, progress.seconds) == (2, Sums(), 0.0, 5.0)


@pytest.mark.parametrize(
    ("every_epoch", "said"),
    [
        (True, "about 3 min 30 s to go at most: 379 batches of 500 ms, 4 evaluations of 5.0 s"),
        (False, "about 3 min 14 s to go at most: 379 batches of 500 ms, 1 evaluations of 5.0 s"),
    ],
)
def test_after_some_steps_the_time_is_estimated_once(every_epoch: bool, said: str) -> None:
    progress = Progress(epoch=1)
    pace = Pace(knobs(4, every_epoch=every_epoch), progress, 100)
    pace.evaluation = 5.0
    lines = []
    for step in range(30):
        progress.count(60.0 if step == 0 else 0.5)  # the first warms up and is left out
        progress.sums.batches += 1
        lines.append(pace.step())
    # 400 batches in all, 21 done: 379 of half a second are 189.5 s
    assert [line for line in lines if line] == [said]
    assert lines.index(said) == MEASURED


def test_a_continued_run_counts_what_is_left() -> None:
    progress = Progress(epoch=3, sums=Sums(batches=50), seconds=1000.0)
    pace = Pace(knobs(4), progress, 100)
    for _ in range(MEASURED + 1):
        progress.count(1.0)
        progress.sums.batches += 2  # two batches a step
        line = pace.step()
    # 400 batches, 250 + 42 done, each half a second
    assert line == "about 54 s to go at most: 108 batches of 500 ms"
