"""Where a run is logged: a JSON-lines file always, Weights & Biases where wanted; never a prompt.

The only module that knows wandb. Online if the user is logged in, else offline, to be sent later by
`wandb sync`; `WANDB_MODE` is respected. A failure of W&B never stops a run.
"""

import json
import os
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from twotower import show
from twotower.config import Tracking, Train


class Tracker:
    """Logs history rows of one run; W&B's own is `None` where it is not used."""

    def __init__(self, scratch: Path, wandb_run: Any = None) -> None:
        self._rows = (scratch / "metrics.jsonl").open("a", buffering=1, encoding="utf-8")
        self._wandb = wandb_run
        self.wandb_id: str | None = None if wandb_run is None else str(wandb_run.id)
        """W&B's id of this run, kept even if W&B fails later on."""

    def log(self, row: Mapping[str, Any]) -> None:
        """One history row."""
        self._rows.write(json.dumps(row) + "\n")
        self._guarded("log", row)

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """Close the run, its best metrics in the summary; once closed, nothing more happens."""
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


def start(cfg: Train, name: str, scratch: Path, plain: Mapping[str, Any]) -> Tracker:
    """Open the tracker of run `name`; W&B's files lie under `scratch`.

    `plain` is the resolved config, which W&B shows flat, with dotted names.
    """
    mode = os.environ.get("WANDB_MODE", "").strip().lower()
    if cfg.tracking is Tracking.none or mode == "disabled":
        return Tracker(scratch)
    import wandb  # half a second, paid only by runs that use it

    settings = wandb.Settings(silent=True, init_timeout=20, finish_timeout=60, console="off")
    attempts: tuple[Literal["online", "offline"], ...] = (_mode(mode), "offline")
    for attempt in dict.fromkeys(attempts):
        try:
            run = wandb.init(
                project=cfg.project,
                name=name,
                dir=str(scratch),
                mode=attempt,
                config=flat(plain),
                settings=settings,
            )
        except _failures() as error:
            show.talk(f"W&B: {attempt} failed ({_line(error)})")
            continue
        folder = Path(run.dir).parent
        show.talk(f"W&B: online, {run.url}" if attempt == "online" else f"W&B: offline; wandb sync {folder}")
        return Tracker(scratch, run)
    return Tracker(scratch)


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


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested knobs by dotted name.

    >>> flat({"loss": {"kind": "triplet", "margin": 0.2}, "dim": 8})
    {'loss.kind': 'triplet', 'loss.margin': 0.2, 'dim': 8}
    """
    made: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            made |= flat(value, f"{prefix}{key}.")
        else:
            made[f"{prefix}{key}"] = value
    return made
