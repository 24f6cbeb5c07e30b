"""M4: the hourly series of the competition."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from recsys.data.panel import SalesPanel
from recsys.data.report import PanelReport
from recsys.data.sales_tables import SalesTable, panel_from_sales
from recsys.data.sources.files import data_folder
from recsys.data.tables import read_table
from recsys.errors import DataError
from recsys.ranges import Season

M4_START = np.datetime64("2015-07-01T00:00:00", "s")
M4 = "Hourly-train.csv and Hourly-test.csv from github.com/Mcompetitions/M4-methods (Dataset)"


def m4_hourly(path: str | None = None, seasonality: Season | None = None) -> SalesPanel:
    """The 414 hourly series of the M4 competition: the last 48 hours of each are its test.

    Args:
        path: folder with train.parquet and test.parquet (series_id, timestamp, y), or with the
            published Hourly-train.csv and Hourly-test.csv; None: m4_hourly in the folder
            RECSYS_DATA.
        seasonality: steps after which sales repeat; None: 24.
    """
    folder = Path(path or data_folder() / "m4_hourly")
    if (folder / "Hourly-train.csv").exists() and (folder / "Hourly-test.csv").exists():
        table = _published_m4(folder)
    else:
        missing = [n for n in ("train.parquet", "test.parquet") if not (folder / n).exists()]
        if missing:
            setting = "set data.path to" if path is None else "data.path has to name"
            raise DataError(
                f"{folder / missing[0]} does not exist: get {M4} and {setting} the folder that"
                " holds both"
            )
        columns = {"series_id": "series_id", "timestamp": "timestamp", "y": "y"}
        table = pa.concat_tables(
            read_table(folder / name, columns) for name in ("train.parquet", "test.parquet")
        )
    return panel_from_sales(
        table, PanelReport(folder.name), SalesTable("hour", seasonality=seasonality)
    )


def _published_m4(folder: Path) -> pa.Table:
    """Series as rows, their values as columns; the hours are made up, as no file tells them."""
    parts = [pd.read_csv(folder / f"Hourly-{part}.csv", index_col=0) for part in ("train", "test")]
    values = pd.concat([part.melt(ignore_index=False)["value"].dropna() for part in parts])
    hour = values.groupby(level=0).cumcount()
    return pa.table(
        {
            "series_id": pa.array(values.index.astype("str")),
            "timestamp": pa.array(M4_START + hour.to_numpy() * np.timedelta64(1, "h")),
            "y": pa.array(values.to_numpy()),
        }
    )
