"""Where a run is logged: a JSON-lines file always, Weights & Biases where wanted; never a prompt.

The only module that knows wandb. Online if the user is logged in, else offline, to be sent later by
`wandb sync`; `WANDB_MODE` is respected. A failure of W&B never stops a run.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from twotower import knobs, show
from twotower.config import Tracking, Train
from twotower.training.history import Row

Counts = tuple[list[int], list[int]]
"""A histogram: how many in each bin, and the edges of the bins, one more."""


class Tracker:
    """Logs history rows of one run; W&B's own is `None` where it is not used."""

    def __init__(self, scratch: Path, wandb_run: Any = None, history: Sequence[Row] = ()) -> None:
        """`history` is what the run has already; rows on disk beyond it come again."""
        self._rows = (scratch / "metrics.jsonl").open("w", buffering=1, encoding="utf-8")
        self._full = False
        self._wandb = wandb_run
        self.wandb_id: str | None = None if wandb_run is None else str(wandb_run.id)
        """W&B's id of this run, kept even if W&B fails later on."""
        for row in history:
            self.log(row)

    def log(self, row: Row, ranks: Counts | None = None) -> None:
        """One history row; for W&B with the histogram of the ranks that its evaluation gave."""
        self._write(row)
        if self._wandb is None:
            return
        import wandb  # imported already, by `start`

        more = {"dev_ranks": wandb.Histogram(np_histogram=ranks)} if ranks else {}
        # W&B leaves out a step that it has, so that a continued run doubles no row; without `commit` it would
        # hold the row back until the next, and let the last one overwrite the summary
        self._guarded("log", {**row, **more}, step=row["epoch"], commit=True)

    def _write(self, row: Row) -> None:
        """To the file; a disk that refuses is said once, for the checkpoint has the history too."""
        try:
            self._rows.write(json.dumps(row) + "\n")
        except OSError as error:
            if not self._full:
                show.talk(f"{self._rows.name}: a row is missing ({error.strerror})")
            self._full = True

    def artifact(self, files: Sequence[Path]) -> None:
        """Give files to W&B, as they lie where they are; they must not change afterwards."""
        if self._wandb is None:
            return
        import wandb  # imported already, by `start`

        made = wandb.Artifact(f"checkpoint-{self.wandb_id}", type="model")
        failures: tuple[type[BaseException], ...] = (ValueError, *_failures())
        try:
            for file in files:
                made.add_file(str(file), policy="immutable")  # else it is copied into the user's home
        except failures as error:
            show.talk(f"W&B: no artifact ({_line(error)})")
            return
        self._guarded("log_artifact", made)

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """Close the run, its best metrics in the summary; once closed, nothing more happens."""
        with suppress(OSError):  # a full disk was spoken of already
            self._rows.close()
        self._guarded("summary.update", dict(summary))
        self._guarded("finish", exit_code=exit_code)
        self._wandb = None

    def _guarded(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Call a method of W&B's run, if there is one; a failure ends its use."""
        if self._wandb is None:
            return
        try:
            attrgetter(method)(self._wandb)(*args, **kwargs)
        except _failures() as error:
            show.talk(f"W&B failed and is left out from here on ({_line(error)})")
            self._wandb = None


def start(
    cfg: Train,
    name: str,
    scratch: Path,
    plain: Mapping[str, Any],
    *,
    wandb_id: str | None = None,
    history: Sequence[Row] = (),
) -> Tracker:
    """Open the tracker of run `name`; W&B's files lie under `scratch`.

    `plain` is the resolved config, which W&B shows flat, with dotted names. A continued run has a `history`,
    and the `wandb_id` that it had, which it keeps online; offline it becomes a run of its own, with all rows.
    """
    mode = os.environ.get("WANDB_MODE", "").strip().lower()
    if cfg.tracking is Tracking.none or mode == "disabled":
        return Tracker(scratch, None, history)
    import wandb  # half a second, paid only by runs that use it

    settings = wandb.Settings(silent=True, init_timeout=20, finish_timeout=60, console="off")
    attempts: tuple[Literal["online", "offline"], ...] = (_mode(mode), "offline")
    for attempt in dict.fromkeys(attempts):
        known = wandb_id if attempt == "online" else None
        try:
            run = wandb.init(
                project=cfg.project,
                name=name,
                dir=str(scratch),
                mode=attempt,
                config=knobs.flat(plain),
                settings=settings,
                id=known,
                resume="allow" if known else None,
            )
        except _failures() as error:
            show.talk(f"W&B: {attempt} failed ({_line(error)})")
            continue
        folder = Path(run.dir).parent
        show.talk(f"W&B: online, {run.url}" if attempt == "online" else f"W&B: offline; wandb sync {folder}")
        return Tracker(scratch, run, history)
    return Tracker(scratch, None, history)


def logged_in() -> bool:
    """Whether runs would go to a server, as WANDB_MODE says or else the user's login; nobody is asked."""
    mode = os.environ.get("WANDB_MODE", "").strip().lower()
    return mode != "disabled" and _mode(mode) == "online"


def _mode(wanted: str) -> Literal["online", "offline"]:
    """`online` or `offline`: as WANDB_MODE says, else online if the user is logged in."""
    if wanted == "online":
        return "online"
    if wanted in ("offline", "dryrun"):  # dryrun: the older word
        return "offline"
    import wandb  # half a second, paid only by runs that use it

    try:
        # the probe neither prompts nor asks the network
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except _failures() as error:  # a malformed key
        show.talk(f"W&B: {_line(error)}")
        return "offline"


def _failures() -> tuple[type[BaseException], ...]:
    """What W&B raises when its service, its server or its settings fail."""
    import wandb  # half a second, paid only by runs that use it
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError  # with wandb, as above

    return wandb.Error, OSError, HandleAbandonedError, MailboxClosedError


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
