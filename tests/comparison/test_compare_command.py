"""From the command line to tables, files and refusals."""

import re

import numpy as np
import pandas as pd
import pytest

from recsys.cli.compare import compare_command

LOW = [0.0, 0.1, 0.0, 0.2, 0.3, 0.0, 0.1, 0.4, 0.0, 0.1]


@pytest.fixture
def folders(recommender, tmp_path):
    """Popularity without a training time, and MF of two seeds."""
    popularity = recommender(
        "popularity",
        LOW,
        model="popularity",
        model__dim=1,
        metrics={"train/seconds": None},
    )
    seeds = [
        recommender(
            f"mf{seed}",
            [value + 0.3 + 0.01 * seed * place for place, value in enumerate(LOW)],
            seed=seed,
            metrics={"train/seconds": 10.0 * seed},
            record={"peak_memory_mb": 1000.0 * seed},
        )
        for seed in (1, 2)
    ]
    return [popularity, *seeds]


@pytest.fixture
def compare(tmp_path, capsys):
    def run(*arguments):
        code = compare_command([*map(str, arguments), f"output={tmp_path / 'out'}"], "compare")
        return code, capsys.readouterr(), tmp_path / "out"

    return run


def listed(folders):
    return "runs=[" + ",".join(map(str, folders)) + "]"


def test_table_on_screen_and_folder_on_the_last_line(compare, folders):
    code, printed, output = compare(listed(folders))
    assert code == 0
    assert printed.out.strip().splitlines()[-1] == str(output)
    assert "NDCG@10, new items, 10 customers" in printed.out
    row = next(line for line in printed.out.splitlines() if line.strip().startswith("mf "))
    assert re.search(r"0\.4875 \[0\.\d{4}, 0\.\d{4}\] +\+0\.3675 \[\+0\.\d{4}, \+0", row)
    assert re.search(r" 2 +0\.0318, 0\.4650 to 0\.5100 +15 s +1\.5 s +1,500 MB", row)
    assert "MF is first" in printed.out
    assert "MF is better than popularity" in printed.out
    assert "popularity has one seed" in printed.out
    assert "new customers" in printed.out


def test_leaderboard_csv_holds_every_number_in_full(compare, folders):
    _, _, output = compare(listed(folders))
    table = pd.read_csv(output / "leaderboard.csv").set_index("name")
    assert table.index.tolist() == ["mf", "popularity"]
    mf = table.loc["mf"]
    assert mf["value"] == pytest.approx(np.mean(LOW) + 0.3 + 0.015 * 4.5, abs=1e-12)
    assert mf["low"] < mf["value"] < mf["high"]
    assert mf["seeds"] == "1 2"
    assert mf["num_seeds"] == 2
    assert mf["train_seconds"] == 15
    assert mf["evaluation_seconds"] == 1.5
    assert mf["peak_memory_mb"] == 1500
    assert mf["reference"] == "popularity"
    assert mf["test/new/recall@10"] == 0.5
    assert np.isnan(table.loc["popularity", "train_seconds"])
    assert not [column for column in table if "baselines" in column]
    slices = pd.read_csv(output / "slices.csv")
    assert set(slices["name"]) == {"mf", "popularity"}
    assert {"slice", "units", "value", "low", "high", "p_holm"} <= set(slices)


def test_the_page_opens_offline_and_holds_tables_and_pictures(compare, recommender, folders):
    strange = recommender("<b>", LOW, model="<b>&", model__dim=2)
    _, _, output = compare(listed([*folders, strange]))
    page = (output / "comparison.html").read_text()
    assert page.count("<svg") == 2
    assert "<b>" not in page
    assert not re.search(r"(src|href)=[\"']?(http|//)", page)
    assert "&lt;b&gt;&amp;" in page
    for words in ("Leaderboard", "Slices", "training time", "p (corrected)", "1,500", "Holm"):
        assert words in page, words


def test_the_reference_is_a_folder_or_a_row(compare, folders):
    for reference in ("mf", folders[2], f"{folders[2]}/../mf2"):
        _, printed, output = compare(listed(folders), f"reference={reference}")
        table = pd.read_csv(output / "leaderboard.csv").set_index("name")
        assert set(table["reference"]) == {"mf"}
        assert table.loc["popularity", "difference"] < 0
        assert "Popularity is worse than MF" in printed.out.replace(
            "popularity is", "Popularity is"
        )
    code, printed, _ = compare(listed(folders), "reference=populartiy")
    assert code == 2
    assert "did you mean popularity? It is one of: mf, popularity" in printed.err


def test_forecasters_are_compared_by_their_errors(compare, forecaster, sales):
    runs = [
        forecaster("naive", sales(2.0), model="seasonal_naive", model__dim=1),
        forecaster("lstm", sales(np.linspace(1, 1.5, 12))),
    ]
    code, printed, output = compare(listed(runs))
    assert code == 0
    assert "WAPE, 6 series" in printed.out
    assert pd.read_csv(output / "leaderboard.csv")["name"].tolist() == ["lstm", "seasonal_naive"]
    assert "LSTM is better than seasonal naive" in printed.out
    assert "better to the left" in (output / "comparison.html").read_text()


def test_the_same_seed_gives_the_same_files(compare, folders):
    _, _, output = compare(listed(folders))
    first = {file.name: file.read_text() for file in output.iterdir()}
    compare(listed(folders))
    assert {file.name: file.read_text() for file in output.iterdir()} == first
    compare(listed(folders), "seed=7")
    assert (output / "leaderboard.csv").read_text() != first["leaderboard.csv"]


def test_a_wider_confidence_gives_wider_intervals(compare, folders):
    widths = []
    for confidence in (0.5, 0.99):
        _, printed, output = compare(listed(folders), f"confidence={confidence}")
        table = pd.read_csv(output / "leaderboard.csv")
        widths.append(table["high"] - table["low"])
        assert f"{100 * confidence:g}" in printed.out
    assert (widths[1] > widths[0]).all()


@pytest.mark.parametrize("confidence", ["0", "1", "95", "-0.5"])
def test_an_impossible_confidence_is_refused(compare, folders, confidence):
    code, printed, output = compare(listed(folders), f"confidence={confidence}")
    assert code == 2
    assert f"confidence={confidence} is not between 0 and 1" in printed.err
    assert not output.exists()


def test_a_refusal_is_one_sentence_and_writes_nothing(compare, recommender, folders):
    other = recommender("other", LOW, evaluation__ks=[3])
    code, printed, output = compare(listed([*folders, other]))
    assert code == 2
    assert printed.err.startswith("error: ")
    assert len(printed.err.strip().splitlines()) == 1
    assert "evaluation.ks" in printed.err
    assert not output.exists()


def test_a_file_in_the_place_of_the_folder_is_named(folders, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    arguments = [listed(folders), f"output={tmp_path / 'taken'}"]
    assert compare_command(arguments, "compare.py") == 2
    assert "taken cannot be written (File exists): choose another output" in capsys.readouterr().err


def test_one_run_is_shown_with_its_interval(compare, folders):
    code, printed, output = compare(f"runs={folders[0]}")
    assert code == 0
    assert "every row has one seed" in printed.out
    page = (output / "comparison.html").read_text()
    assert "nothing to compare" in page


def test_the_default_output_lies_below_runs(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert compare_command([listed(folders)], "compare") == 0
    (page,) = (tmp_path / "runs" / "comparisons").glob("*/comparison.html")
    assert capsys.readouterr().out.strip().endswith(str(page.parent.relative_to(tmp_path)))
