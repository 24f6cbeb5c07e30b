"""A run repeats itself from its folder."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.cli.main import main as recsys
from recsys.cli.train import train_command as main
from recsys.runs.folder import RunFolder
from recsys.tasks import lifecycle
from recsys.tasks.lifecycle import metrics_that_differ


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small table and a run on it."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    size = 800
    days = np.sort(rng.integers(0, 100, size))
    table = pd.DataFrame(
        {
            "user_id": rng.integers(0, 20, size),
            "item_id": rng.integers(0, 25, size),
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
        }
    )
    table.to_csv(folder / "sales.csv", index=False)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        main(
            [
                "data=transactions",
                "data.path=sales.csv",
                "evaluation.min_buyers=1",
                "model=gmf",
                "seed=7",
                "train.max_epochs=2",
                "logger=none",
                "trainer.enable_progress_bar=false",
                "hydra.run.dir=first",
            ]
        )
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """That run, in a copy of the folder, which is where we are."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return RunFolder.open("first")


def edit_record(run: RunFolder, **changes: object) -> None:
    run.write_json("run.json", run.read_json("run.json") | changes)


def test_run_json_holds_what_repeats_a_run(finished):
    record = finished.read_json("run.json")
    assert {"versions", "git_commit", "git_dirty", "hardware", "threads", "command"} <= set(record)
    assert record["seed"] == 7
    assert record["peak_memory_mb"] > 50
    assert record["started"] <= record["finished"]
    page = (finished.path / "report.html").read_text()
    assert "Threads of torch" in page
    assert "Highest memory of the process" in page


def test_a_rerun_gives_the_same_metrics_bit_for_bit(finished, capsys):
    main([f"rerun={finished.path}", "hydra.run.dir=second"])
    captured = capsys.readouterr()
    assert captured.out.strip().splitlines()[-1] == "second"
    assert "the same metrics as first, bit for bit" in captured.err
    second = RunFolder.open("second")
    assert metrics_that_differ(finished, second) == []
    assert second.read_config() == finished.read_config()
    assert second.read_json("run.json")["rerun_of"] == "first"
    weights = [run.read_weights() for run in (finished, second)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_rerun_stands_beside_the_runs_of_its_kind_and_takes_their_threads(finished, capsys):
    threads = torch.get_num_threads()
    try:
        edit_record(finished, threads=threads + 1)
        main([f"rerun={finished.path}"])
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    (again,) = Path("runs/transactions/gmf").iterdir()
    assert capsys.readouterr().out.strip().endswith(str(again))


def test_a_metric_that_differs_is_named(finished, capsys):
    metrics = finished.read_json("metrics.json")
    metrics["test/new/ndcg@10"] = np.nextafter(metrics["test/new/ndcg@10"], 1)
    finished.write_json("metrics.json", metrics | {"train/seconds": 1e9})
    main([f"rerun={finished.path}", "hydra.run.dir=second"])
    assert (
        f"1 of {len(metrics)} metrics differ from first: test/new/ndcg@10"
        in capsys.readouterr().err
    )


def test_what_is_undefined_in_both_is_the_same_and_what_one_lacks_is_not(tmp_path):
    one, other = (RunFolder(tmp_path / name) for name in ("one", "other"))
    for run, metrics in (
        (one, {"undefined": np.nan, "number": 1.0, "mine": 1.0, "train/seconds": 1.0}),
        (other, {"undefined": np.nan, "number": np.nan, "its": 1.0, "train/seconds": 2.0}),
    ):
        run.path.mkdir()
        run.write_json("metrics.json", metrics)
    assert metrics_that_differ(one, one) == []
    assert metrics_that_differ(one, other) == ["number", "mine", "its"]


def test_other_versions_are_said(finished, capsys):
    versions = finished.read_json("run.json")["versions"]
    edit_record(finished, versions=versions | {"torch": "1.0"})
    main([f"rerun={finished.path}", "hydra.run.dir=second"])
    said = capsys.readouterr().err
    assert "numbers may differ, because the run was made with other: torch" in said
    assert "(then 1.0)" in said


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_other_data_are_refused(finished, capsys):
    table = pd.read_csv("sales.csv")
    table.iloc[:-1].to_csv("sales.csv", index=False)
    said = refused([f"rerun={finished.path}", "hydra.run.dir=second"], capsys)
    assert "first was trained on other data (fingerprint" in said
    assert not Path("second").exists()


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_training_that_is_refused_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "nowhere.csv does not exist" in refused(
        ["data=transactions", "data.path=nowhere.csv", "model=gmf", "hydra.run.dir=run"], capsys
    )
    assert not Path("run").exists()
    Path("run").mkdir()
    Path("run/notes.txt").write_text("mine")
    refused(["data=transactions", "data.path=nowhere.csv", "hydra.run.dir=run"], capsys)
    assert [file.name for file in Path("run").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("train.lr=-1", "it has to be above 0"),
        ("data.path=nowhere.csv", "does not exist"),
        ("model=autoencoder loss.unobserved_weight=.2", "no effect without a penalty"),
        # noticed when the model is built, and when Lightning starts
        ("train.pretrained.gmf=first model=neumf", "pretrained.mlp is missing"),
        ("trainer.accelerator=tpu", "trainer: "),
    ],
)
def test_whatever_refuses_a_run_leaves_no_file_of_it(finished, capsys, wrong, words):
    before = set(Path().rglob("*"))
    assert words in refused(["data=transactions", "data.path=sales.csv", *wrong.split()], capsys)
    assert set(Path().rglob("*")) == before


def test_a_run_that_was_begun_before_stays_when_it_is_refused(finished, capsys):
    Path("again").mkdir()
    shutil.copy("first/config.yaml", "again")
    os.truncate("sales.csv", 0)
    refused(["train.resume=again"], capsys)
    assert [file.name for file in Path("again").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    "command",
    [
        ["export", "run=first", "name=mine", "folder=sales.csv"],
        ["runs", "runs=first", "output=sales.csv/list.csv"],
        ["train", "rerun=first", "hydra.run.dir=sales.csv"],
    ],
)
def test_a_file_in_the_place_of_a_folder_is_named(finished, capsys, command):
    with contextlib.suppress(SystemExit):
        assert recsys(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: sales.csv cannot be written (")
    assert "choose another" in said


def fewer(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[5:]


def another_item(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[-1:].assign(item_id=777)])


def swapped(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(item_id=table["item_id"].to_numpy()[::-1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (fewer, "rows then 800, now 795"),
        (another_item, "items then 25, now 26"),
        (swapped, "with the same counts, but other values"),
    ],
)
def test_a_run_is_not_continued_on_other_data(finished, capsys, change, words):
    for name in ("metrics.json", "report.html"):
        (finished.path / name).unlink()
    table = pd.read_csv("sales.csv")
    change(table).to_csv("sales.csv", index=False)
    before = contents(finished.path)
    for _ in range(2):  # the first refusal forgets nothing
        said = refused([f"train.resume={finished.path}"], capsys)
        assert contents(finished.path) == before
        assert "first was trained on other data" in said
        assert words in said
        assert "cannot be continued; bring the data back" in said
    assert not (finished.path / "metrics.json").exists()
    table.to_csv("sales.csv", index=False)
    main([f"train.resume={finished.path}"])
    assert (finished.path / "metrics.json").exists()


ITEMS = pd.DataFrame(
    {"item_id": range(25), "price": range(25), "note": ["cheap", None, "é"] * 8 + ["x"]}
)


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(quantity=np.arange(len(table)) % 3 + 1)


@pytest.fixture
def with_items(finished, monkeypatch) -> RunFolder:
    """A run on quantities and attributes of items, which died before its end."""
    with_units(pd.read_csv("sales.csv")).to_csv("sales.csv", index=False)
    ITEMS.to_parquet("items.parquet")
    command = ["data=transactions", "data.path=sales.csv", "data.columns.quantity=quantity"]
    command += ["data.items.path=items.parquet", "evaluation.min_buyers=1", "model=popularity"]
    main([*command, "logger=none", "hydra.run.dir=items"])
    return RunFolder.open("items")


@pytest.mark.parametrize(
    ("change", "table"),
    [
        (lambda: ITEMS.assign(price=ITEMS["price"] + (ITEMS["item_id"] == 3)), "items"),
        (lambda: ITEMS.assign(note=ITEMS["note"].fillna("None")), "items"),
        (lambda: ITEMS.rename(columns={"note": "remark"}), "items"),
        (lambda: ITEMS.iloc[:-1], "items"),
    ],
)
def test_a_run_is_neither_continued_nor_repeated_with_other_attributes(
    with_items, capsys, change, table
):
    change().to_parquet("items.parquet")
    said = refused([f"rerun={with_items.path}", "hydra.run.dir=second"], capsys)
    assert f"items was trained with other values in the columns of {table}" in said
    assert not Path("second").exists()
    (with_items.path / "metrics.json").unlink()
    before = contents(with_items.path)
    assert "cannot be continued" in refused([f"train.resume={with_items.path}"], capsys)
    assert contents(with_items.path) == before
    ITEMS.iloc[::-1].to_parquet("items.parquet")  # the order of the rows means nothing
    main([f"train.resume={with_items.path}"])


def test_a_run_is_not_repeated_with_other_quantities(with_items, capsys):
    table = pd.read_csv("sales.csv")
    table["quantity"] += 1
    table.to_csv("sales.csv", index=False)
    said = refused([f"rerun={with_items.path}"], capsys)
    assert "with other values in the columns of events" in said


def test_what_a_run_reads_is_written_down_before_it_trains(finished, monkeypatch, capsys):
    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(lifecycle, "_fit_and_judge", killed)
    with pytest.raises(SystemExit):
        main([f"rerun={finished.path}", "hydra.run.dir=second"])
    assert "continue where it was with train.resume=second" in capsys.readouterr().err
    expected = finished.read_json("run.json")
    record = RunFolder.open("second").read_json("run.json")
    for key in ("data_fingerprint", "split_fingerprint"):
        assert record[key] == expected[key]


def test_another_split_of_the_same_data_is_refused(finished, capsys):
    edit_record(finished, split_fingerprint="other")
    said = refused([f"rerun={finished.path}", "hydra.run.dir=second"], capsys)
    assert "fitted and evaluated other rows of the same data" in said


def test_halves_of_neumf_come_from_the_same_data(finished, capsys):
    edit_record(finished, data_fingerprint="other")
    arguments = [
        each
        for each in finished.read_json("run.json")["command"].split()[2:]
        if not each.startswith(("model=", "hydra."))
    ]
    halves = [f"train.pretrained.{half}=first" for half in ("gmf", "mlp")]
    said = refused([*arguments, "model=neumf", "hydra.run.dir=third", *halves], capsys)
    assert "train.pretrained.gmf=first was trained on other data" in said


def test_other_settings_and_unfinished_runs_are_refused(finished, capsys):
    assert "takes no other setting" in refused([f"rerun={finished.path}", "seed=2"], capsys)
    (finished.path / "metrics.json").unlink()
    assert "has not finished training" in refused([f"rerun={finished.path}"], capsys)


def test_a_resumed_run_keeps_its_start_and_says_when_it_went_on(finished):
    started, resumed = "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"
    edit_record(finished, started=started, resumed=[resumed])
    (finished.path / "metrics.json").unlink()
    main([f"train.resume={finished.path}"])
    record = finished.read_json("run.json")
    assert record["started"] == started
    assert record["resumed"][0] == resumed
    assert len(record["resumed"]) == 2


def test_a_run_that_died_before_its_report_gets_one(finished, capsys):
    (finished.path / "report.html").unlink()
    before = json.loads((finished.path / "metrics.json").read_text())
    main([f"train.resume={finished.path}"])
    assert (finished.path / "report.html").is_file()
    assert finished.read_json("metrics.json") == before
    assert "nothing to resume" in refused([f"train.resume={finished.path}"], capsys)
