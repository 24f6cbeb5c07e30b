"""Bad input on the command line ends in one clear sentence, or in a drop that the report counts.

Every run happens in an empty folder, in this process; nothing that failed may look like a finished
run.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.cli.train import train_command as main
from recsys.config.composition import compose
from recsys.errors import ConfigError

SMALL = [
    *["data=transactions", "model=popularity", "evaluation.min_buyers=1"],
    *[
        "logger=none",
        "train.max_epochs=1",
        "trainer.enable_progress_bar=false",
        "hydra.run.dir=run",
    ],
]


class Ending(NamedTuple):
    """How a command ended: exit code, standard output and the lines of standard error."""

    code: int
    out: str
    errors: list[str]


Command = Callable[..., Ending]


@pytest.fixture
def train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*arguments: str) -> Ending:
        capsys.readouterr()
        code = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Ending(code, out, err.strip().splitlines())

    return run


def sales(num_rows: int = 80) -> pd.DataFrame:
    """Purchases of six users and eight items over ninety days."""
    rng = np.random.default_rng(0)
    hours = np.sort(rng.integers(0, 90 * 24, num_rows))
    return pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in rng.integers(0, 6, num_rows)],
            "item_id": [f"i{item}" for item in rng.integers(0, 8, num_rows)],
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h"),
        }
    )


def held_out(frame: pd.DataFrame, days: int) -> pd.Series:
    """True in the last so many days."""
    return frame["timestamp"] > frame["timestamp"].max() - pd.Timedelta(days=days)


def assert_one_sentence(ending: Ending, *fragments: str) -> None:
    """The command failed with one line that names all of these, and left nothing that looks
    finished.
    """
    assert ending.code == 2, ending
    assert len(ending.errors) == 1, ending.errors
    sentence = ending.errors[0]
    assert sentence.startswith("error: ")
    for fragment in fragments:
        assert fragment in sentence, sentence
    assert not list(Path().rglob("metrics.json"))


def report_of(ending: Ending) -> dict[str, object]:
    """The data report of a run that ended well; its folder is the last line printed."""
    assert ending.code == 0, ending.errors
    folder = Path(ending.out.strip().splitlines()[-1])
    assert (folder / "metrics.json").is_file()
    return json.loads((folder / "data_report.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (
            ["train.max_epoch=3"],
            ["train.max_epoch is not a setting", "did you mean max_epochs?", "patience"],
        ),
        (["model=neumff"], ["model=neumff does not exist", "did you mean neumf?", "popularity"]),
        (["modell=neumf"], ["modell is not a setting", "did you mean model?"]),
        (["experiment=nowhere"], ["experiment=nowhere does not exist", "it is one of: "]),
        (["loss=hinge"], ["loss=hinge does not exist", "full_softmax"]),
        (["data=transactions"], ["data.path has no value: set data.path="]),
        (["data=presplit", "data.test_path=x.csv"], ["data.train_path has no value"]),
        (
            ["data=transactions", "data.columns.userid=x"],
            ["data.columns.userid is not a setting", "did you mean user_id?"],
        ),
        (
            ["model=popularity", "model.embedding_dim=8"],
            ["model.embedding_dim is not a setting", "_target_"],
        ),
        (["data.path"], ["missing EQUAL", "write key=value"]),
        (
            ["data=transactions", "data.path=sales (1).csv"],
            ["needs quotes", "'data.path=\"data (1).csv\"'"],
        ),
        (["data=transactions", "data.separator=;"], ["needs quotes"]),
    ],
    ids=lambda value: " ".join(value) if "=" in value[0] else "",
)
def test_setting_that_does_not_exist_or_cannot_be_read(
    train: Command, arguments: list[str], fragments: list[str]
) -> None:
    assert_one_sentence(train(*arguments), *fragments)
    with pytest.raises(ConfigError) as caught:
        compose(arguments)
    assert all(fragment in str(caught.value) for fragment in fragments)
    assert not list(Path().rglob("config.yaml"))


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["data._target_=os.system"], ["_target_=os.system is not allowed", "recsys."]),
        (["model._target_=recsys.nowhere.Model"], ["_target_=recsys.nowhere.Model does not exist"]),
        (["+model.depth=3"], ["model.depth is not a setting of Popularity"]),
        (
            ["model=mf", "loss.name=hinge"],
            ["loss.name is not a setting"],
        ),
        (
            ["model=mf", "loss=bpr", "loss.num_negatives=0"],
            ["loss.num_negatives=0: it has to be at least 1"],
        ),
        (
            ["model=mf", "train.monitor=val/new/ndcg@99"],
            ["train.monitor='val/new/ndcg@99'", "val/new/ndcg@10"],
        ),
        (["model=mf", "train.monitor=ndcg@10"], ["train.monitor='ndcg@10'", "val/new/ndcg@10"]),
        (
            ["model=mf", "train.monitor=val/old/ndcg@10"],
            ["no view 'old'", "train.monitor", "new, all, candidates"],
        ),
        (
            ["model=mf", "train.monitor=val/candidates/ndcg@10"],
            ["nobody can be evaluated", "val/candidates/ndcg@10"],
        ),
        (
            ["evaluation.views=[old]"],
            ["evaluation.views=['old']", "new, all, candidates, cold_items or cold_users"],
        ),
        (["evaluation.ks=[]"], ["evaluation.ks=[]"]),
        (
            ["evaluation.baselines=[popular]"],
            ["evaluation.baselines: popular does not exist", "did you mean popularity?"],
        ),
        (["evaluation=presplit"], ["evaluation=presplit needs published parts", "data=presplit"]),
        (
            ["evaluation.min_buyers=99"],
            ["sales.csv: 0 users left to fit on", "evaluation.min_buyers=99"],
        ),
        (
            ["evaluation.split.test_days=80"],
            ["sales.csv covers", "108 held out", "evaluation.split.test_days"],
        ),
        (["evaluation.split.test_days=0"], ["evaluation.split.test_days=0"]),
        (["seed=abc"], ["seed='abc': it has to be a whole number"]),
        (["train.lr=abc", "model=mf"], ["train.lr=abc: it has to be a number above 0"]),
        (
            ["loss.batch_size=many", "model=mf"],
            ["loss.batch_size=many: it has to be a whole number"],
        ),
        (
            ["trainer.acelerator=cpu", "model=mf"],
            ["trainer.acelerator is not a setting", "did you mean accelerator?"],
        ),
        (["data.on_bad_rows=ignore"], ["data.on_bad_rows=ignore", "drop or error"]),
        (["data.timezone=Mars/Base"], ["data.timezone='Mars/Base'", "Europe/Paris"]),
        (["data.timestamp_unit=days"], ["data.timestamp_unit=days", "s, ms, us, ns or D"]),
        (
            ["data.columns.user_id=customer"],
            ["column 'customer' is not in sales.csv", "'user_id', 'item_id', 'timestamp'"],
        ),
        (["data.columns.user_id=Customer ID"], ["column 'Customer ID' is not in sales.csv"]),
        (["data.columns.item_id=null"], ["data.columns.item_id is null"]),
        (
            ["data.columns.timestamp=null"],
            ["sales.csv has no timestamps", "evaluation=leave_last_out"],
        ),
        (
            ["data.columns.quantity=pieces"],
            ["column 'pieces' is not in sales.csv", "data.columns.quantity=null"],
        ),
    ],
    ids=lambda value: " ".join(value) if "=" in value[0] else "",
)
def test_setting_that_does_not_fit_the_data_or_the_model(
    train: Command, arguments: list[str], fragments: list[str]
) -> None:
    sales().to_csv("sales.csv", index=False)
    assert_one_sentence(train(*SMALL, "data.path=sales.csv", *arguments), *fragments)


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (
            lambda f: f.drop(columns="item_id"),
            ["column 'item_id' is not in sales.csv", "data.columns.item_id"],
        ),
        (lambda f: f.head(0), ["sales.csv has a header but no rows", "data.path"]),
        (lambda f: f.assign(user_id="one"), ["sales.csv: 1 user left to fit on"]),
        (lambda f: f.assign(item_id="one"), ["sales.csv: 1 item left to fit on"]),
        (lambda f: pd.concat([f.head(1)] * 30), ["sales.csv covers 0.0 days"]),
        (lambda f: f.assign(user_id=None), ["none of the 80 rows can be used (80 had no user_id)"]),
        (
            lambda f: f.assign(timestamp="someday"),
            ["none of the 80 rows", "80 had a timestamp that cannot be read"],
        ),
        (lambda f: f.assign(timestamp=range(80)), ["data.timestamp_unit"]),
    ],
    ids=[
        "no item",
        "no rows",
        "one user",
        "one item",
        "one row",
        "no user ids",
        "no dates",
        "numbers as dates",
    ],
)
def test_table_that_nothing_can_be_learned_from(
    train: Command, change: Callable[[pd.DataFrame], pd.DataFrame], fragments: list[str]
) -> None:
    change(sales()).to_csv("sales.csv", index=False)
    assert_one_sentence(train(*SMALL, "data.path=sales.csv"), *fragments)


def test_missing_file_says_where_it_was_looked_for(train: Command, tmp_path: Path) -> None:
    ending = train(*SMALL, "data.path=nowhere.csv")
    assert_one_sentence(ending, f"data.path: nowhere.csv does not exist (looked in {tmp_path})")


@pytest.mark.parametrize("name", ["my sales.csv", "sales (1).csv", "größer?.csv", "a,b=[c].csv"])
def test_path_with_special_characters_works_in_quotes(train: Command, name: str) -> None:
    sales().to_csv(name, index=False)
    assert report_of(train(*SMALL, f'data.path="{name}"'))["source"] == name


def test_password_of_a_database_is_not_repeated(train: Command) -> None:
    ending = train(
        *SMALL, 'data.path="postgresql://bob:s3cret@127.0.0.1:1/shop"', "data.table=sales"
    )
    assert_one_sentence(ending, "data.path: the database cannot be read")
    assert "s3cret" not in ending.out + ending.errors[0]


def test_all_rows_alike_leave_one_user(train: Command) -> None:
    pd.concat([sales().head(1)] * 30).to_csv("sales.csv", index=False)
    with pytest.warns(UserWarning, match="leaks time"):
        ending = train(
            *SMALL, "data.path=sales.csv", "evaluation=leave_last_out", "evaluation.min_buyers=1"
        )
    assert_one_sentence(ending, "sales.csv: 1 user left to fit on")


def test_repeated_rows_are_counted_and_dropped_where_asked(train: Command) -> None:
    pd.concat([sales()] * 2).to_csv("sales.csv", index=False)
    dropped = report_of(train(*SMALL, "data.path=sales.csv", "data.duplicates=drop"))
    kept = report_of(train(*SMALL, "data.path=sales.csv", "hydra.run.dir=other"))
    repeats = int(pd.concat([sales()] * 2).duplicated().sum())
    assert repeats >= 80
    assert dropped["dropped"] == {"a repeated row": repeats}
    assert (kept["dropped"], kept["duplicate_rows"]) == ({}, repeats)


def test_missing_ids_are_counted_or_an_error(train: Command) -> None:
    frame = sales().assign(user_id=np.arange(80) % 6.0)
    frame.loc[::4, "user_id"] = np.nan
    frame.to_parquet("sales.parquet")
    report = report_of(train(*SMALL, "data.path=sales.parquet"))
    assert report["dropped"] == {"no user_id": 20}
    ending = train(
        *SMALL, "data.path=sales.parquet", "data.on_bad_rows=error", "hydra.run.dir=strict"
    )
    assert ending.code == 2
    assert ending.errors == [
        "error: sales.parquet: 20 rows have no user_id (the first is data row 1); "
        "mend the table, or set data.on_bad_rows=drop to leave them out and count them"
    ]
    assert not Path("strict", "metrics.json").exists()


def test_ids_with_spaces_unicode_and_leading_zeros_reach_the_run_as_they_are(
    train: Command,
) -> None:
    users = ["007", "7", "NA", " a b", "ü 漢", "🛒"]
    frame = sales()
    frame["user_id"] = frame["user_id"].map(
        dict(zip([f"u{n}" for n in range(6)], users, strict=True))
    )
    frame.to_csv("sales.csv", index=False)
    report = report_of(train(*SMALL, "data.path=sales.csv"))
    assert (report["users"], report["dropped"]) == (6, {})
    assert set(np.load("run/vocabulary.npz")["user_ids"]) == set(users)
    assert set(pd.read_parquet("run/per_user.parquet")["user_id"]) <= set(users)


def test_times_that_cannot_be_read_or_lie_ahead_are_counted(train: Command) -> None:
    frame = sales().astype({"timestamp": "str"})
    frame.loc[:4, "timestamp"] = "soon"
    frame.loc[5:7, "timestamp"] = "2199-01-01"
    frame.to_csv("sales.csv", index=False)
    report = report_of(train(*SMALL, "data.path=sales.csv"))
    assert report["dropped"] == {
        "a timestamp that cannot be read": 5,
        "a timestamp in the future": 3,
    }


def test_strangers_in_the_test_part_are_counted(train: Command) -> None:
    frame = sales()
    late = held_out(frame, 28)
    strangers = late & (np.arange(80) % 2 == 0)
    frame.loc[strangers, "user_id"] = "stranger"
    frame.loc[late & ~strangers & (np.arange(80) % 3 == 0), "item_id"] = "novelty"
    frame.to_csv("sales.csv", index=False)
    report = report_of(train(*SMALL, "data.path=sales.csv"))
    counts = report["phases"]["test"]  # type: ignore[index]
    assert counts["truth_users_unknown"] == 1
    assert counts["truth_rows_of_unknown_items"] == int((frame["item_id"] == "novelty").sum()) > 0
    assert set(np.load("run/vocabulary.npz")["item_ids"]) <= {f"i{n}" for n in range(8)}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_nobody_known_in_the_test_part_is_a_run_without_test_metrics(
    train: Command, column: str
) -> None:
    frame = sales()
    frame.loc[held_out(frame, 28), column] = "stranger"
    frame.to_csv("sales.csv", index=False)
    counts = report_of(train(*SMALL, "data.path=sales.csv"))["phases"]["test"]  # type: ignore[index]
    assert counts["truth_rows"] == int(held_out(frame, 28).sum())
    unknown = "truth_users_unknown" if column == "user_id" else "truth_users_without_known_item"
    assert counts[unknown] == counts["truth_users"]
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert "val/all/ndcg@10" in metrics
    assert not [name for name in metrics if name.startswith("test/")]
    assert len(pd.read_parquet("run/per_user.parquet")) == 0


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_nobody_to_choose_the_epoch_by_is_one_sentence(train: Command, column: str) -> None:
    frame = sales()
    last = held_out(frame, 56) & ~held_out(frame, 28)
    frame.loc[held_out(frame, 56), column] = "stranger"
    frame.to_csv("sales.csv", index=False)
    ending = train(*SMALL, "data.path=sales.csv", "model=mf")
    users = frame.loc[last, "user_id"].nunique()
    unknown, of_strange_items = (users, 0) if column == "user_id" else (0, users)
    assert_one_sentence(
        ending,
        "nobody can be evaluated in the validation part by val/new/ndcg@10",
        f"of {users} users {unknown} are unknown",
        f"{of_strange_items} bought only items unknown",
    )
    assert not Path("run").exists()


def test_published_split_counts_what_its_test_part_alone_knows(train: Command) -> None:
    frame = sales()[["user_id", "item_id"]]
    frame.to_csv("train.csv", index=False)
    pd.DataFrame({"user_id": ["u1", "stranger"], "item_id": ["i1", "i2"]}).to_csv(
        "test.csv", index=False
    )
    arguments = [
        argument for argument in SMALL if not argument.startswith(("data=", "evaluation."))
    ]
    report = report_of(
        train(*arguments, "data=presplit", "data.train_path=train.csv", "data.test_path=test.csv")
    )
    assert report["phases"]["test"]["truth_users_unknown"] == 1  # type: ignore[index]


def test_missing_part_of_a_published_split_is_named(train: Command) -> None:
    sales().to_csv("train.csv", index=False)
    ending = train("data=presplit", "data.train_path=train.csv", "data.test_path=nowhere.csv")
    assert_one_sentence(ending, "data.test_path: nowhere.csv does not exist")


def test_resuming_what_is_no_run_is_refused(train: Command) -> None:
    Path("folder").mkdir()
    for folder in ("folder", "nowhere"):
        assert_one_sentence(
            train(f"train.resume={folder}"), f"{folder} is not a run folder", "config.yaml"
        )


def test_resuming_with_other_settings_is_refused(train: Command) -> None:
    assert_one_sentence(train("train.resume=run", "seed=2"), "takes no other setting", "seed=2")


def test_resuming_a_finished_run_is_refused(train: Command) -> None:
    sales().to_csv("sales.csv", index=False)
    report_of(train(*SMALL, "data.path=sales.csv"))
    ending = train("train.resume=run")
    assert (ending.code, ending.errors) == (
        2,
        ["error: run has finished; there is nothing to resume"],
    )


def test_folder_of_a_run_with_another_configuration_is_refused_and_left_alone(
    train: Command,
) -> None:
    sales().to_csv("sales.csv", index=False)
    report_of(train(*SMALL, "data.path=sales.csv"))
    before = {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()}
    ending = train(*SMALL, "data.path=sales.csv", "seed=2")
    assert ending.code == 2
    assert "run already holds a run with another configuration" in ending.errors[0]
    assert {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()} == before


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has a GPU")
def test_gpu_that_this_machine_has_not_is_one_sentence(train: Command) -> None:
    sales().to_csv("sales.csv", index=False)
    ending = train(*SMALL, "data.path=sales.csv", "model=mf", "trainer=gpu")
    assert_one_sentence(ending, "trainer: ", "gpu")


def test_sound_input_ends_well(train: Command) -> None:
    sales().to_csv("sales.csv", index=False)
    report = report_of(train(*SMALL, "data.path=sales.csv", "model=mf"))
    assert (report["rows_in"], report["rows"], report["dropped"]) == (80, 80, {})


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["train.lr=0.1", "loss=bpr"],
            "train.lr, loss have no effect: model=popularity is not trained",
        ),
        (
            ["evaluation=none", "evaluation.min_buyers=1", "evaluation.ks=[3]"],
            "evaluation.ks has no effect: evaluation=none evaluates nothing",
        ),
        (
            ["model=mf", "evaluation=none", "train.max_epochs=1", "train.patience=2"],
            "train.patience has no effect: evaluation=none has no validation part",
        ),
    ],
)
def test_settings_that_cannot_act_on_this_model_or_split_are_said(train, overrides, words):
    small = [each for each in SMALL if not each.startswith("train")]
    sales().to_csv("sales.csv", index=False)
    ending = train(*small, "data.path=sales.csv", *overrides)
    assert ending.code == 0
    assert words in " ".join(ending.errors)


def one_day(frame: pd.DataFrame) -> None:
    frame.assign(timestamp="2024-05-01").to_csv("sales.csv", index=False)


def titled(frame: pd.DataFrame) -> None:
    Path("sales.csv").write_text("Sales of the year\n" + frame.to_csv(index=False))


def with_a_zero_byte(frame: pd.DataFrame) -> None:
    lines = frame.to_csv(index=False).splitlines()
    lines[2] = lines[2].replace(",", "\0,", 1)
    Path("sales.csv").write_text("\n".join(lines) + "\n")


def as_parquet_beside_notes(frame: pd.DataFrame) -> None:
    Path("sales.csv").mkdir()
    frame.to_parquet("sales.csv/part.parquet")
    Path("sales.csv/notes.txt").write_text("of June")


@pytest.mark.parametrize(
    ("written", "fragments"),
    [
        (one_day, ["covers 0.0 days", "choose evaluation=leave_last_out"]),
        (titled, ["'Sales of the year'", "take out lines above the header"]),
        (with_a_zero_byte, ["sales.csv, line 3 holds a zero byte", "take it out"]),
        (as_parquet_beside_notes, ["sales.csv/notes.txt is no Parquet file", "move it elsewhere"]),
        (lambda frame: Path("sales.csv").mkdir(), ["is a folder without a Parquet file"]),
    ],
)
def test_what_is_wrong_with_a_whole_file_is_one_sentence(train, written, fragments):
    written(sales())
    assert_one_sentence(train(*SMALL, "data.path=sales.csv"), *fragments)
    assert not Path("run").exists()


def test_logs_in_a_folder_of_parquet_files_are_left_out(train):
    Path("sales.csv/_delta_log").mkdir(parents=True)
    Path("sales.csv/_delta_log/0.json").write_text("{}")
    Path("sales.csv/.crc").write_text("x")
    sales().to_parquet("sales.csv/part.parquet")
    assert report_of(train(*SMALL, "data.path=sales.csv"))["rows"] == 80


def test_what_happened_on_one_day_can_be_evaluated_as_the_sentence_says(train):
    one_day(sales())
    report_of(train(*SMALL, "data.path=sales.csv", "evaluation=leave_last_out"))


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["=3"], ["the key before = is missing"]),
        (["model=[gmf,mf]"], ["is a list, and a run has one model: choose a model; it is one of"]),
        (["evaluation.ks=[]"], ["evaluation.ks=[]: it has to be a list of at least one value"]),
        (["evaluation.views=[]"], ["nothing would be evaluated", "choose evaluation=none"]),
        (["evaluation.views=[candidates]"], ["these data have no lists of candidates"]),
        (["hydra.run.dir=sales.csv"], ["sales.csv cannot be written", "choose another"]),
        (["data.timestamp_format=%d.%m."], ["has no year"]),
        (["data.path=sqlite:///none.db", "data.table=t"], ["database none.db does not exist"]),
        (["data.path=''"], ["data.path='' names no table: write a file"]),
        (["data.path=https://shop/sales.csv"], ["https:// is not read; download the file"]),
        (["model=mf", "trainer.limit_train_batches=0"], ["nothing would be trained"]),
        (["model=mf", "trainer.strategy=none"], ["trainer: ", "invalid strategy name"]),
    ],
)
def test_a_setting_that_nothing_can_be_done_with_leaves_no_file(train, arguments, fragments):
    sales().to_csv("sales.csv", index=False)
    assert_one_sentence(train(*SMALL, "data.path=sales.csv", *arguments), *fragments)
    assert [file.name for file in Path().iterdir()] == ["sales.csv"]


def test_levels_without_the_median_are_refused_before_anything_is_read(train):
    forecast = ["data=sales", "data.step=day", "data.path=none.csv", "model=seasonal_naive"]
    for levels in ("[0.1,0.9]", "[]", "[0.5,0.1]"):
        ending = train(*forecast, f"evaluation.quantiles={levels}")
        assert_one_sentence(ending, "evaluation.quantiles=", "0.5 among them")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["evaluation=none", "train.monitor=val/all/ndcg@10"], "evaluates nothing"),
        (["train.monitor=val/all/ndcg@3"], "it is not among the metrics"),
    ],
)
def test_a_metric_that_nothing_measures_is_said(train, overrides, words):
    sales().to_csv("sales.csv", index=False)
    ending = train(*SMALL, "data.path=sales.csv", *overrides)
    assert ending.code == 0
    assert "train.monitor has no effect: " in " ".join(ending.errors)
    assert words in " ".join(ending.errors)


def test_other_processes_of_a_training_are_started_with_what_was_typed(train, monkeypatch):
    typed = ["recsys", "train", *SMALL]
    monkeypatch.setattr(sys, "argv", list(typed))
    found = []

    def run(settings: object, folder: Path) -> Path:
        found.append(list(sys.argv))
        return folder

    monkeypatch.setattr("recsys.cli.train.run_training", run)
    train(*SMALL, "data.path=sales.csv")
    assert found == [typed]
