"""`twotower train`: one run from knobs to its best checkpoint, new or continued."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from twotower import knobs, show
from twotower.config import GRUTower, Train
from twotower.evaluation.evaluate import Result
from twotower.model import sidecar
from twotower.training import keeper, loop, machine, resume, runs, setup, tracking
from twotower.training.group import Group, joined
from twotower.training.history import Listener, Row
from twotower.training.keeper import Keeper
from twotower.training.resume import Saver
from twotower.training.runs import Known
from twotower.training.session import Pace, Session
from twotower.training.setup import Setup
from twotower.training.step import Stepper
from twotower.training.stop import Stop
from twotower.training.tracking import Tracker


def run(cfg: Train, *, listener: Listener | None = None) -> int:
    """Train; the exit code is 0 unless an error says otherwise.

    A run with a `listener` is a sweep's, as one under W&B's agent is: SIGTERM stops it for good.
    """
    cfg = setup.settled(cfg)
    keeper.latest(cfg.keep)
    sidecar.check_name(cfg.name)
    known = runs.find(Path(cfg.checkpoint_dir), cfg.resume) if cfg.resume else None
    changes = runs.agree(known, cfg) if known else runs.Changes()
    cfg = replace(cfg, resume="")
    recurrent = any(isinstance(tower, GRUTower) for tower in (cfg.query_tower, cfg.doc_tower))
    machine.settle(cfg.seed, cfg.threads or int(recurrent))  # many small products, slower on two threads
    device = machine.device_of(cfg.device)
    machine.check(cfg.precision, device, compiles=cfg.compile)
    with joined(device) as group:
        with group.leader_first():
            work = setup.build(cfg)
        work.retriever.two_tower.to(device)
        setup.fitted(cfg.k, cfg.select, len(work.docs))
        new = _known(known, cfg, work, group)
        with runs.held(new.run, group.leads):
            in_sweep = listener is not None or "WANDB_SWEEP_ID" in os.environ
            session = _session(cfg, work, new, group, Stop(in_sweep=in_sweep))
            if known:
                _continue(session, changes)
            _train(session, new, listener or Listener())
    return 0


def _known(known: Known | None, cfg: Train, work: Setup, group: Group) -> Known:
    """The run that is continued, or a new one, its name reserved; told to all processes.

    Raises ValueError where a run is to be continued on other data.
    """
    data = resume.data_of(work)
    if known:
        runs.same_data(known, data)
        return known
    said = ""
    if group.leads:
        for remark in setup.remarks(cfg, work):
            show.talk(remark)
        new = sidecar.reserve(Path(cfg.checkpoint_dir), cfg.name)
        runs.write(Known(new, knobs.plain(cfg), data, ""))
        show.talk(f"run {new.name}")
        said = str(runs.file_of(new))
    return runs.read(Path(group.tell(said)))


def _session(cfg: Train, work: Setup, known: Known, group: Group, stop: Stop) -> Session:
    """The untrained run, alike on all processes."""
    cfg = replace(cfg, k=setup.fitted(cfg.k, cfg.select, len(work.docs)))
    model = work.retriever.two_tower
    group.align(list(model.state_dict().values()))
    stepper = Stepper(cfg, model, work.train.batches(cfg.batch_size * group.size), group)
    return Session(cfg, work, known.run, stepper, group, stop)


def _continue(session: Session, changes: runs.Changes) -> None:
    """Put back the state that the run was killed with, and say where it goes on."""
    path, progress = runs.state_of(session.run), session.progress
    if path.is_file():
        resume.restore(session, resume.read(path))
        progress = session.progress
        progress.changes += [f"epoch {progress.epoch}: {change}" for change in changes.course]
    if not session.group.leads:
        return
    name = session.run.name
    at = f"at epoch {progress.epoch}, batch {progress.sums.batches}" if path.is_file() else "from its start"
    show.talk(f"run {name} goes on {at}")
    if changes.harmless:
        show.talk(f"changed, without effect on what it learns: {'; '.join(changes.harmless)}")
    if progress.changes:
        show.talk(f"not as if never stopped: {'; '.join(progress.changes)}")


def _train(session: Session, known: Known, listener: Listener) -> None:
    """Train to the end, or to where the user or an error stops it; what there is then is kept."""
    cfg, group = session.cfg, session.group
    if group.leads:
        listener.begins(known.run.name)
        for row in session.progress.history:
            listener.hears(row)
    keep = Keeper(session, _tracker(session)) if group.leads else None
    saver = Saver(session, Pace(cfg, session.progress, session.batches))

    def take(row: Row, result: Result | None) -> None:
        if keep:  # the leader alone keeps what there is
            keep.take(row, result)
            listener.hears(row)

    with session.stop, _ending(session, known, keep, saver):
        loop.train(session, saver, take)
        if keep:
            with session.stop.at_once(group.size == 1):
                keep.close(whole=True)
            runs.end(known, "done")
        group.wait()


def _tracker(session: Session) -> Tracker:
    run, cfg = session.run, session.cfg
    history = session.progress.history
    return tracking.start(
        cfg, run.name, run.scratch, knobs.plain(cfg), wandb_id=session.wandb_id, history=history
    )


@contextmanager
def _ending(session: Session, known: Known, keep: Keeper | None, saver: Saver) -> Iterator[None]:
    """However the work within ends before its end: what there is is kept, and how to go on is said."""
    stop = session.stop
    try:
        yield
    except KeyboardInterrupt:
        if stop.for_good:
            _end_early(session, known, keep)
            return
        _interrupted(session, keep, saver)
        raise
    except FloatingPointError as error:
        _give_up(session, keep, str(error))
        if keep:
            runs.end(known, str(error))  # continued, it would come out the same
        raise
    except OSError:
        _say_how_to_go_on(session)
        raise
    finally:
        if keep:
            keep.tracker.finish({}, exit_code=1)


def _interrupted(session: Session, keep: Keeper | None, saver: Saver) -> None:
    """Write the state down, if it is whole, and keep the best so far."""
    if session.stop.clean:
        saver.write()
    _say_how_to_go_on(session)
    if not session.stop.again:
        _give_up(session, keep, "interrupted")


def _end_early(session: Session, known: Known, keep: Keeper | None) -> None:
    """Keep the best of a run that its sweep has seen enough of; it has ended."""
    sweep = session.cfg.sweep or os.environ.get("WANDB_SWEEP_ID", "")
    session.progress.stopped = f"{runs.PRUNED} by sweep {sweep}".rstrip()
    if keep:
        keep.close(whole=True)
        runs.end(known, session.progress.stopped)
    session.group.wait()


def _give_up(session: Session, keep: Keeper | None, why: str) -> None:
    """Keep the best of a run that does not come to its end."""
    session.progress.stopped = why
    if keep:
        keep.close(whole=False)
    if session.stop.clean:
        session.group.wait()


def _say_how_to_go_on(session: Session) -> None:
    """The one command that continues the run."""
    size, folder = session.group.size, session.cfg.checkpoint_dir
    start = f"torchrun --nproc_per_node={size} -m twotower" if size > 1 else "twotower"
    if session.group.leads:
        show.talk(f"continue: {start} train resume={session.run.name} checkpoint_dir={shlex.quote(folder)}")
