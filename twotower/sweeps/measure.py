"""Whether a sweep can end, and rank its trials: its metric, its early stopping, its size, its command.

    metric: {name: val/MRR@10}  ->  "metric.name: 'val/MRR@10' is not what a run logs; write mrr_10"

A run logs the metrics of `evaluation.metrics` at every cut-off of `k`, and the loss and accuracy on dev.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from twotower.config import Train
from twotower.evaluation.metrics import NAMES, SYNONYMS, canonical
from twotower.sweeps import space
from twotower.sweeps.file import Method, Metric, Sweep

LOSS, ACCURACY = "dev_loss", "dev_accuracy"
_EACH_ITS_OWN = ("loss", "temperature", "learn_temperature", "margin", "symmetric", "distance", "hardest")


def faults_of(sweep: Sweep) -> Iterator[str]:
    """What is wrong with everything but the parameters."""
    if sweep.metric:
        yield from _metric(sweep.metric)
    elif not sweep.content.get("metric"):
        needs = "method: bayes" if sweep.method is Method.bayes else "early_terminate" if sweep.early else ""
        if needs:
            yield f"metric: missing, {needs} needs it; write metric: {{name: mrr_10, goal: maximize}}"
    if sweep.content.get("method") in ("random", "bayes") and not sweep.run_cap:
        yield f"run_cap: missing, method: {sweep.method} has no end of its own; write run_cap: 20"
    if "command" in sweep.content:
        yield from _command(sweep.content["command"])


def remarks_of(sweep: Sweep) -> Iterator[str]:
    """What the user should know before the first trial of a sweep without faults."""
    cap = sweep.run_cap
    if sweep.method is Method.grid:
        points = space.count(sweep.parameters)
        capped = f", of which run_cap={cap} lets {cap:,} run" if 0 < cap < points else ""
        yield f"a grid of {points:,} points{capped}"
    names = {name.rpartition(".")[2] for name, one in sweep.parameters.items() if len(one.ends()) > 1}
    if sweep.metric and sweep.metric.name == LOSS and (own := sorted(names & set(_EACH_ITS_OWN))):
        yield f"metric.name: dev_loss of trials that differ in {own[0]} is not comparable; want mrr_10"
    fixed = [word for word in sweep.content.get("command", ()) if re.match(r"[A-Za-z_][\w.]*=", str(word))]
    if fixed:
        name, _, value = str(fixed[0]).partition("=")
        yield f"command: engine=local does not see {fixed[0]}; want {name}: {{value: {value}}} as a parameter"


def unlogged(metric: Metric, cfg: Train) -> str:
    """Why a run of these knobs does not log the metric; empty if it does."""
    cut = metric.name.rpartition("_")[2]
    if metric.name in (LOSS, ACCURACY) or not cut.isdigit() or int(cut) in cfg.k:
        return ""
    shown = ",".join(map(str, cfg.k))
    nearest = f"{metric.name.rpartition('_')[0]}_{min(cfg.k, key=lambda k: abs(k - int(cut)))}"
    return (
        f"metric.name: {metric.name} is never logged, for k is {shown}; "
        f"write {nearest}, or k: {{value: [{shown},{cut}]}}"
    )


def _metric(metric: Metric) -> Iterator[str]:
    want = _logged(metric.name)
    if want != metric.name:
        yield f"metric.name: {metric.name!r} is not what a run logs; write {want}"
    elif metric.maximised == (want == LOSS):
        goal, done = ("minimize", "maximised") if want == LOSS else ("maximize", "minimised")
        yield f"metric.goal: {metric.name} would be {done}; write goal: {goal}"


def _logged(name: str) -> str:
    """The metric that a run logs whose name comes nearest; `name` itself if it logs that."""
    plain = re.sub(r"^(val(id(ation)?)?|dev|eval(uation)?|test)[_/.]", "", name.strip().lower())
    plain = re.sub(r"[@/. -]+", "_", plain)
    if "loss" in plain:
        return LOSS
    if plain in ("accuracy", "acc"):
        return ACCURACY
    try:
        return canonical(plain)
    except ValueError:
        base, _, cut = plain.rpartition("_") if plain[-1:].isdigit() else (plain, "", "10")
        close = difflib.get_close_matches(base, [*NAMES, *SYNONYMS], n=1)
        return canonical(f"{close[0]}_{cut}") if close and re.fullmatch("[1-9][0-9]*", cut) else "mrr_10"


def _command(got: Any) -> Iterator[str]:
    if not isinstance(got, list) or not all(isinstance(word, str | int | float) for word in got):
        yield "command: want a list of words; leave it out, and `twotower train` is put in"
    elif "${args_no_hyphens}" not in got:
        arguments = [word for word in got if str(word).startswith("${args")]
        what = f"{arguments[0]} writes --name=value" if arguments else "no trial would get its knobs"
        yield f"command: {what}; write ${{args_no_hyphens}}, or leave command out"
