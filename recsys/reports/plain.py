"""The leaderboard of any task: what was measured in the test, beside baselines."""

import pandas as pd

from recsys.reports.blocks import Cell, Section, Table
from recsys.reports.facts import RunFacts
from recsys.reports.formats import decimal
from recsys.reports.labels import model_title
from recsys.reports.leaderboard import plain_board


def plain_leaderboard(facts: RunFacts) -> Section | None:
    """A row a model, a column a metric; None without a test."""
    board = plain_board(facts.metrics, facts.model)
    if board.empty:
        return None
    rows = tuple(
        (Cell(model_title(str(name))), *(Cell(decimal(value)) for value in row))
        for name, row in zip(board.index, board.to_numpy(), strict=True)
    )
    marked = int(pd.Index(board.index).get_loc(facts.model))
    header = ("model", *map(str, board.columns))
    return Section("leaderboard", "Leaderboard", "", (Table("Test", header, rows, marked),))
