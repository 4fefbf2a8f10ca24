"""The local engine: trials on this machine, some at a time, proposed by Optuna, each in its own process.

    propose -> write down -> start -> hear its rows, stop it early -> read off its run's record how it ended

Trials on one collection wait for the first, which tokenises it for all. A trial without a result goes on from
its run's state when the sweep does.
"""

import hashlib
import json
import os
import signal
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

from twotower import compose, config, knobs, show
from twotower.sweeps import folder as folders
from twotower.sweeps import outcome, space, trial
from twotower.sweeps.file import Sweep
from twotower.sweeps.folder import Folder, Result, Trial
from twotower.sweeps.going import Going, shared
from twotower.sweeps.live import Live, State
from twotower.sweeps.outcome import Goal
from twotower.sweeps.proposals import Place, Proposals
from twotower.sweeps.space import Point
from twotower.sweeps.summary import Summary
from twotower.training import runs

ASIDE = (*runs.WITHOUT_EFFECT, *runs.LAST_BITS, "sweep")
"""Knobs that make no other configuration, but for the path of a collection."""
PATIENCE = 60.0
"""Seconds that interrupted trials have to write down where they are."""


def key_of(point: Point) -> str:
    """Hash of the configuration that a point stands for, without what changes nothing in it.

    >>> key_of({"tied": True, "threads": 1}) == key_of({"tied": True, "query_tower": "mlp"})
    True
    """
    from twotower.training.setup import settled  # torch, which the check of the file has imported before

    plain = knobs.flat(knobs.plain(settled(compose.composed("train", space.words(point)).cfg)))
    kept = {name: value for name, value in plain.items() if name not in ASIDE or name == "data.path"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


class Local:
    """One worker of a sweep, at work."""

    def __init__(self, sweep: Sweep, cfg: config.Sweep, folder: Folder, worker: str) -> None:
        place = Place(cfg.storage or str(folder.journal), folder.name, worker, cfg.seed)
        self.sweep, self.cfg, self.folder = sweep, cfg, folder
        self.proposals = Proposals(sweep, place, key_of)
        self.goal = _goal(sweep)
        self.threads = threads(cfg)
        self.results = folder.results()
        self.going: list[Going] = []
        self.failures = 0
        """Trials that failed since this worker began."""
        self._left: list[Trial] = []
        self._seconds: list[float] = []

    def run(self) -> None:
        """Run trials until there is nothing left to run; KeyboardInterrupt where the user stops them."""
        self._left = self._take_up()
        with ExitStack() as stack:
            context = stack.enter_context(served(self.cfg))
            live = stack.enter_context(Live(self.goal, self.proposals.swept))
            stack.callback(self._kill)
            try:
                self._work(context, live)
            except KeyboardInterrupt:
                self._interrupt(live)
                raise
        if self._too_many():
            show.talk(f"stopped: {self.failures} trials failed, max_failures={self.cfg.max_failures}")

    def time_left(self) -> float | None:
        """Seconds, if the trials to come take as long as those before; None where nothing is known."""
        total = self.proposals.total
        if not total or not self._seconds:
            return None
        open_ones = total - sum(result.ended for result in self.results.values())
        spent = sum(going.seconds() for going in self.going)
        each = sum(self._seconds) / len(self._seconds)
        return max(0.0, open_ones * each - spent) / self.cfg.jobs

    def best(self) -> Result | None:
        """The best trial so far."""
        return outcome.best(self.results.values(), maximised=self.proposals.maximised)

    def summary(self) -> Summary:
        """What it all came to."""
        known = self.proposals
        return Summary(
            self.folder, self.goal, self.folder.results(), known.importance(), known.swept, known.total
        )

    def _state(self) -> State:
        going = [one.shown(self.goal) for one in self.going]
        name, total = self.folder.name, self.proposals.total
        return State(name, total, going, list(self.results.values()), self.time_left())

    def _work(self, context: ForkServerContext, live: Live) -> None:
        while True:
            self._fill(context)
            if not self.going:
                return
            ends = {going.process.sentinel: going for going in self.going}
            pipes = {going.pipe: going for going in self.going}
            for ready in connection.wait([*ends, *pipes], timeout=live.pause):
                if ready in pipes:
                    self._judge(pipes[ready])
            for going in [going for going in self.going if not going.process.is_alive()]:
                self._end(going, live)
            live.draw(self._state())

    def _fill(self, context: ForkServerContext) -> None:
        """Start trials while there is room, and no more than one on what nobody has tokenised."""
        while len(self.going) < self.cfg.jobs and not self._too_many() and not self._reached():
            if not self._left:
                proposed = self.proposals.next()
                if proposed is None:
                    return
                self.folder.plan(proposed)
                self._left.append(proposed)
            cfg = self._config(self._left[0])
            if any(not going.warm and shared(going.cfg) == shared(cfg) for going in self.going):
                return
            self._start(context, self._left.pop(0), cfg)

    def _start(self, context: ForkServerContext, one: Trial, cfg: config.Train) -> None:
        env = {"WANDB_RUN_GROUP": self.folder.name}
        if self.cfg.tracking is config.Tracking.auto:
            env["WANDB_MODE"] = os.environ.get("WANDB_MODE") or "offline"
        order = trial.Order(one.number, cfg, self.folder, env, trial.TRAIN)
        self.going.append(Going.begin(context, one, order))

    def _config(self, one: Trial) -> config.Train:
        """The knobs of a trial's run, new or to be continued."""
        cfg, sweep, content = self.cfg, self.folder.name, self.sweep.content
        own: config.Train = replace(
            compose.composed("train", space.words(one.point)).cfg,
            name=f"{sweep}-{one.number}",
            sweep=sweep,
            checkpoint_dir=cfg.checkpoint_dir,
            cache_dir=cfg.cache_dir,
            tracking=cfg.tracking,
            threads=self.threads,
            project=cfg.project or str(content.get("project") or config.Train.project),
        )
        run = self.folder.run_of(one.number)
        return replace(own, resume=run) if run else own

    def _take_up(self) -> list[Trial]:
        """What is to be done again or gone on with; trials that ended while no sweep saw it are counted."""
        planned = {one.number: one for one in self.folder.planned()}
        left = []
        for number in self.proposals.mine():
            if number not in planned:
                self.proposals.void(number, "never began")
                continue
            known = self.results.get(number) or self._record(planned[number])
            self.proposals.take_up(number)
            if known.ended:
                self._count(known)
            else:
                left.append(planned[number])
        if left:
            show.talk(f"{len(left)} trials go on from where they were")
        return left

    def _record(self, one: Trial) -> Result:
        """How a trial ended that no sweep was there to see."""
        folder = Path(self.cfg.checkpoint_dir)
        return outcome.recorded(
            one.number, folder, self.folder.run_of(one.number), self._metric(self._config(one))
        )

    def _metric(self, cfg: config.Train) -> outcome.Goal:
        metric = self.sweep.metric
        name = metric.name if metric else cfg.select
        return outcome.Goal(name, self.proposals.maximised)

    def _judge(self, going: Going) -> None:
        """Take what a trial has to say; stop it if it is not worth going on with."""
        for row in going.hear():
            value = self.goal.of(row)
            if value is None:
                continue
            step = sum(self.goal.of(one) is not None for one in going.rows)
            stop = self.proposals.report(going.trial.number, step, value)
            if stop and not going.stopped and row["epoch"] < going.cfg.epochs:
                going.stopped = True
                going.signal(signal.SIGTERM)

    def _end(self, going: Going, live: Live) -> None:
        """A trial's process has ended."""
        self._judge(going)
        going.leave()
        self.going.remove(going)
        number, folder = going.trial.number, self.folder
        found = outcome.recorded(
            number, Path(self.cfg.checkpoint_dir), folder.run_of(number), self._metric(going.cfg)
        )
        if not found.ended:
            found = outcome.judged(found, going.process.exitcode or 0, going.why, folder.log(number))
        found = replace(found, seconds=round(going.seconds(), 2))
        self._seconds.append(found.seconds)
        self._count(found)
        live.tell(found, going.trial.point, self._state())

    def _count(self, found: Result) -> None:
        """Write down how a trial ended, then tell the study; a killed one may still go on there."""
        self.folder.end(found)
        self.results[found.number] = found
        match found.status:
            case "done" if found.value is not None:
                self.proposals.done(found.number, found.value)
            case "pruned":
                self.proposals.pruned(found.number)
            case "done" | "failed":
                self.proposals.failed(found.number)
        self.failures += found.status in ("failed", "killed")

    def _too_many(self) -> bool:
        return 0 < self.cfg.max_failures <= self.failures

    def _reached(self) -> bool:
        """Whether the best is as good as the file's target."""
        metric, best = self.sweep.metric, self.best()
        if metric is None or metric.target is None or best is None or best.value is None:
            return False
        return best.value >= metric.target if metric.maximised else best.value <= metric.target

    def _interrupt(self, live: Live) -> None:
        """Let every trial write down where it is."""
        for going in self.going:
            going.signal(signal.SIGINT)
        until = time.monotonic() + PATIENCE
        for going in self.going:
            going.process.join(max(0.0, until - time.monotonic()))
        for going in [going for going in self.going if not going.process.is_alive()]:
            self._judge(going)
            if self._record(going.trial).ended:  # it came to its end meanwhile
                self._end(going, live)

    def _kill(self) -> None:
        """Leave no trial behind."""
        for going in self.going:
            going.process.kill()
            going.leave()


def run(sweep: Sweep, cfg: config.Sweep, folder: Folder) -> Summary:
    """Run a sweep, or go on with it, to its end; what it came to.

    Raises:
        KeyboardInterrupt: the user stopped it; how to go on is said.
        ValueError: another process works on it, or the storage is another sweep's.
    """
    with folders.held(folder, shared=bool(cfg.storage)) as worker:
        if not cfg.storage:  # a process that was killed leaves Optuna's lock, and we hold one of our own
            folder.journal.with_name(f"{folder.journal.name}.lock").unlink(missing_ok=True)
        engine = Local(sweep, cfg, folder, worker)
        try:
            engine.run()
        except KeyboardInterrupt:
            where = "" if cfg.checkpoint_dir == "checkpoints" else f" checkpoint_dir={cfg.checkpoint_dir}"
            show.talk(f"continue: twotower sweep resume={folder.name}{where}")
            raise
        return engine.summary()


def _goal(sweep: Sweep) -> Goal:
    """The file's metric; without one, what a trial keeps its best epoch by."""
    if sweep.metric:
        return Goal(sweep.metric.name, sweep.metric.maximised)
    select = sweep.parameters.get("select")
    return Goal(str(select.ends()[0]) if select else config.Train.select)


def served(cfg: config.Sweep) -> AbstractContextManager[ForkServerContext]:
    """The server of a sweep's trials, as `trial.served`."""
    return trial.served(threads(cfg), tracked=cfg.tracking is not config.Tracking.none)


def threads(cfg: config.Sweep) -> int:
    """Of each trial."""
    return cfg.threads or max(1, cores() // cfg.jobs)


def cores() -> int:
    """Of this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
