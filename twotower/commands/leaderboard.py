"""`twotower leaderboard`: which checkpoint is really better, each protocol apart; read without torch."""

from pathlib import Path

from twotower import show
from twotower.config import BoardFormat, Leaderboard
from twotower.evaluation import board_table, seeds
from twotower.evaluation.document import document
from twotower.evaluation.leaderboard import Asked, Board, Group, board
from twotower.evaluation.metrics import shown
from twotower.evaluation.names import label
from twotower.evaluation.page import page


def run(cfg: Leaderboard) -> int:
    """Print alarms, verdicts and tables, or with `best_only` the path of the best checkpoint."""
    asked = Asked(
        top=cfg.top,
        sweep=cfg.sweep,
        baseline=cfg.baseline,
        choose_split=cfg.choose_split,
        report_split=cfg.report_split,
        after=cfg.after,
        expand=cfg.expand,
        draws=cfg.draws,
        cache_dir=Path(cfg.cache_dir),
    )
    found = board(Path(cfg.checkpoint_dir), cfg.metric, asked)
    if cfg.best_only:
        return _best(found, cfg.format)
    for line in _head(found):
        show.talk(line)
    match cfg.format:
        case BoardFormat.json:
            show.document(document(found, whole=cfg.verbose))
        case BoardFormat.html:
            show.result(page(document(found, whole=True)))
        case BoardFormat.csv:
            show.grid(_joined(found, cfg.verbose), "csv")
        case _:
            _tables(found, cfg)
    return 0


def _best(found: Board, form: BoardFormat) -> int:
    row = found.best()
    if row.seeds:
        show.talk(f"{row.name} is the best row; of its seeds {seeds.seed_of(row.seeds[0])} is the best")
    if form is BoardFormat.json:
        show.document({"checkpoint": row.checkpoint})
    else:
        show.result(str(row.checkpoint))
    return 0


def _head(found: Board) -> list[str]:
    head = f"{found.found} checkpoints found, {found.ranked} with {shown(found.metric)}"
    if len(found.groups) > 1:
        head += f"; {len(found.groups)} protocols, whose numbers do not compare, stand apart"
    return [head, *(f"left out: {name}: {why}" for name, why in found.left_out)]


def _tables(found: Board, cfg: Leaderboard) -> None:
    """Each protocol: its alarms, what it is, the verdict, the table."""
    for remark in found.remarks:
        show.talk(f"note: {remark}")
    for group in found.groups:
        for alarm in group.alarms:
            show.talk(f"alarm: {alarm}")
        title = f"{label(group.protocol)}, {group.judged} queries"
        show.result(f"## {title}\n" if cfg.format is BoardFormat.markdown else title)
        show.grid(board_table.grid(group, found.metric, verbose=cfg.verbose), cfg.format.value)
    if found.groups and cfg.format is BoardFormat.table:
        show.talk(board_table.LEGEND)


def _joined(found: Board, verbose: bool) -> show.Grid:
    """One table for programs, its first column the protocol; its columns those of any protocol."""
    grids = [(group, _programs(group, found.metric, verbose)) for group in found.groups]
    columns = list(dict.fromkeys(name for _, grid in grids for name in grid.columns))
    rows = []
    for group, grid in grids:
        for row in grid.rows:
            cells = dict(zip(grid.columns, row, strict=True))
            rows.append([group.protocol.key, *(cells.get(name, "") for name in columns)])
    return show.Grid("", ["protocol", *columns], rows)


def _programs(group: Group, metric: str, verbose: bool) -> show.Grid:
    return board_table.grid(group, metric, verbose=verbose, ends=True)
