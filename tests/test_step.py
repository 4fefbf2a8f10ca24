import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command

from tests.step_case import LOSSES, PAIRS, assert_equal, batches, gradients, stepper
from twotower import config
from twotower.data.batches import Batch
from twotower.model.blocks import Pieces
from twotower.text.ragged import Ragged
from twotower.training import step
from twotower.training.step import Stepper, Sums


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("tower", ["mlp", "gru"])
def test_gradcache_gives_the_plain_gradients(tower: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step.blocks, "ROWS", 7)
    (batch, *_) = batches()
    for double, tolerance in ((True, 1e-6), (False, 1e-4)):
        plain = gradients(stepper(tower=tower, loss=loss), batch, double=double)
        for chunk in (6, 999) if double else (6,):
            cached = stepper(tower=tower, loss=loss, cache_chunk=chunk)
            assert_equal(gradients(cached, batch, double=double), plain, tolerance)


@pytest.mark.parametrize("tower", ["mlp", "gru"])
def test_gradcache_repeats_dropout(tower: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (batch, *_) = batches()
    cached = gradients(stepper(tower=tower, dropout=0.5, cache_chunk=6), batch, double=True)

    def in_chunks(self: Stepper, embed: Any, texts: Ragged) -> torch.Tensor:
        parts = [texts.take(range(at, min(at + 6, len(texts)))) for at in range(0, len(texts), 6)]
        return torch.cat([real(self, embed, part) for part in parts])

    real = Stepper._embed
    monkeypatch.setattr(Stepper, "_embed", in_chunks)
    assert_equal(cached, gradients(stepper(tower=tower, dropout=0.5), batch, double=True), 1e-9)


def test_tied_towers_and_words_of_their_own_are_learned_alike() -> None:
    (batch, *_) = batches()
    for knobs in ({"tied": True}, {"share_words": False}):
        plain = gradients(stepper(**knobs), batch, double=True)
        assert_equal(gradients(stepper(**knobs, cache_chunk=4), batch, double=True), plain, 1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_whole_matrix_never_exists_with_gradcache(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step.blocks, "ROWS", 5)
    (batch, *_) = batches()
    asked: list[int] = []
    real = Batch.marks
    monkeypatch.setattr(Batch, "marks", lambda *a: asked.append(1) or marked(real(*a)))

    def marked(masks: Sequence[np.ndarray]) -> Any:
        assert all(min(mask.shape) <= 5 for mask in masks)
        return masks

    one = stepper(loss=loss, cache_chunk=4)
    one.learn(batch)
    one.count(batch, Sums())
    assert len(asked) >= 8


def weights(one: Stepper) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in one.model.state_dict().items()}


def trained(one: Stepper, several: list[Batch]) -> dict[str, torch.Tensor]:
    one.epoch(several, Sums(), lambda: None)
    return weights(one)


def test_accumulated_batches_count_alike() -> None:
    first, second, last = batches()
    one = stepper(accumulate=2, optimizer=config.Optimizer.sgd, beta1=0.0, grad_clip=0.0, warmup=0.0)
    start, updates, sums = weights(one), [], Sums()
    one.epoch([first, second, last], sums, lambda: updates.append(weights(one)))
    # the mean of the two first batches' gradients; then the last batch's alone
    assert (len(updates), sums.batches, one.schedule.taken) == (2, 3, 2)

    halves = [gradients(stepper(), batch, double=False) for batch in (first, second)]
    for name in ("query_tower.layers.0.weight", "words.vectors"):
        rate = 0.01 * one.model.rates(10.0)[name]
        mean = (halves[0][name] + halves[1][name]) / 2
        torch.testing.assert_close(updates[0][name], start[name] - rate * mean, rtol=1e-5, atol=1e-7)


def test_a_schedule_counts_updates() -> None:
    one = stepper(accumulate=2, scheduler=config.Scheduler.linear)
    seen: list[float] = []
    one.epoch(batches(), Sums(), lambda: seen.append(one.rate()))
    assert seen == pytest.approx([0.005, 0.0])  # two updates of three batches: 1, 1/2, and the end


@pytest.mark.parametrize("knobs", [{}, {"cache_chunk": 7}])
def test_accumulation_with_one_batch_is_none(knobs: dict[str, Any]) -> None:
    one, other = (trained(stepper(accumulate=n, **knobs), batches()[:1]) for n in (1, 4))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("tower", ["mlp", "gru", "lstm", "rnn"])
@pytest.mark.parametrize("chunk", [0, 11])
def test_bf16_learns_nearly_the_same(tower: str, chunk: int) -> None:
    (batch, *_) = batches()
    plain = gradients(stepper(tower=tower), batch, double=False)
    rough = gradients(
        stepper(tower=tower, precision=config.Precision.bf16, cache_chunk=chunk), batch, double=False
    )
    assert all(value.dtype != torch.bfloat16 for value in rough.values())
    assert_equal(rough, plain, 0.1)
    assert any(not torch.equal(rough[name], plain[name]) for name in plain)
    assert plain["figures"].tolist() == pytest.approx(rough["figures"].tolist(), rel=0.02, abs=0.051)


def test_vectors_under_bf16_have_unit_length_and_evaluation_is_in_fp32() -> None:
    one, plain = stepper(precision=config.Precision.bf16), stepper()
    one.model.train()
    assert one._queries(PAIRS.queries).norm(dim=1).sub(1).abs().max() < 1e-6
    rough, exact = Sums(), Sums()
    one.count(batches()[0], rough)
    plain.count(batches()[0], exact)
    assert rough == exact


@pytest.mark.parametrize("chunk", [0, 7])
@pytest.mark.parametrize("tower", ["mlp", "gru"])
def test_rows_of_words_have_the_gradients_of_the_table(tower: str, chunk: int) -> None:
    (batch, *_) = batches()
    plain = gradients(stepper(tower=tower), batch, double=True)
    rows = gradients(stepper(tower=tower, sparse_words=True, cache_chunk=chunk), batch, double=True)
    assert rows["words.vectors"].is_sparse
    assert rows["query_tower.word_weights"].is_sparse
    dense = {name: value.to_dense() if value.is_sparse else value for name, value in rows.items()}
    assert_equal(dense, plain, 1e-9)


@pytest.mark.parametrize(
    "knobs", [{}, {"cache_chunk": 7}, {"accumulate": 2}, {"optimizer": config.Optimizer.sgd}]
)
def test_rows_of_words_are_learned(knobs: dict[str, Any]) -> None:
    one = stepper(sparse_words=True, **knobs)
    start, epochs = weights(one), [Sums() for _ in range(25)]
    for sums in epochs:
        one.schedule.taken = 0
        one.epoch(batches(), sums, lambda: None)
    assert epochs[-1].loss < 0.9 * epochs[0].loss
    moved = (one.model.words.vectors - start["words.vectors"]).abs().amax(dim=1)
    assert moved[:2].tolist() == [0, 0]  # padding and unknown stand in no text
    assert moved[2:].gt(0).all()


@pytest.mark.parametrize(
    "knobs", [{}, {"cache_chunk": 7, "dropout": 0.3}, {"sparse_words": True}, {"accumulate": 2}]
)
def test_a_restored_stepper_goes_on_bit_for_bit(knobs: dict[str, Any]) -> None:
    whole = stepper(**knobs)
    kept: list[Any] = []

    def keep() -> None:
        kept.append((weights(whole), whole.state(), torch.get_rng_state(), Sums(**vars(sums))))

    sums = Sums()
    several = batches(size=10)
    with torch.random.fork_rng():
        whole.epoch(several, sums, lambda: keep() if len(kept) == 0 else None)
        again = stepper(**knobs)
        state, saved, generator, done = kept[0]
        # the optimizers' tensors went on changing in place: take the state of a run that stops there
        stopped = stepper(**knobs)
        stopped.epoch(several[: done.batches], Sums(), lambda: None)
        again.model.load_state_dict(state)
        again.restore(stopped.state())
        torch.set_rng_state(generator)
        again.epoch(several[done.batches :], done, lambda: None)
    assert saved["taken"] == 1
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(whole).items())
    assert done == sums


def test_a_loss_that_is_not_finite_is_an_error_in_blocks_too() -> None:
    for chunk in (0, 7):
        one = stepper(cache_chunk=chunk)
        with torch.no_grad():
            one.model.query_tower.layers[0].weight.fill_(math.nan)
        with pytest.raises(FloatingPointError, match=r"the loss became nan at learning rate 0\.01"):
            one.epoch(batches(), Sums(), lambda: None)


def test_counting_learns_nothing_and_draws_nothing() -> None:
    one, sums = stepper(dropout=0.5), Sums()
    before, state = weights(one), torch.get_rng_state()
    for batch in batches():
        one.count(batch, sums)
    assert (sums.batches, sums.pairs) == (3, 50)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in weights(one).items())
    assert all(p.grad is None for p in one.model.parameters())


def test_texts_of_one_chunk_are_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = Pieces._one
    monkeypatch.setattr(Pieces, "_one", lambda self, piece: seen.append(1) or real(self, piece))
    stepper(cache_chunk=500).learn(batches()[0])
    assert len(seen) == 2


COMPILED = """
import torch
from tests.step_case import assert_equal, batches, gradients, stepper
from twotower.config import Precision
from twotower.training import machine

machine.check(Precision.fp32, torch.device("cpu"), compiles=True)
compiled = gradients(stepper(compile=True), batches()[0], double=False)
assert_equal(compiled, gradients(stepper(), batches()[0], double=False), 1e-4)
"""


@pytest.mark.slow
def test_compiled_towers_give_the_same_gradients(command: Command) -> None:
    done = command(code=COMPILED)  # a process of its own: shapes checked at run time cannot be compiled
    assert done.returncode == 0, done.stderr
