"""The commands as they are typed, and what they load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.inference.commands import forecast_command, main, recommend_command

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_inference_loads_nothing_but_numpy_and_onnxruntime() -> None:
    code = (
        "import sys, os, recsys.inference, recsys.inference.commands as c\n"
        "heavy = {'torch', 'lightning', 'pytorch_lightning', 'hydra', 'omegaconf', 'pandas', "
        "'pyarrow', 'onnx', 'onnxscript'}\n"
        "print(sorted(heavy & set(sys.modules)), os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    assert run("-c", code).stdout == "[] 1\n"


def test_a_command_whose_reader_has_gone_ends_without_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "recsys", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_script_recommends_and_says_what_it_did(bundles: Path, tmp_path: Path) -> None:
    users, output = tmp_path / "users.csv", tmp_path / "output.csv"
    users.write_text("user_id\n007\nnobody\n")
    script = str(ROOT / "scripts" / "recommend.py")
    settings = (f"bundle={bundles / 'by_user'}", f"users={users}", f"output={output}", "k=2")
    done = run(script, *settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 users (1 known), 4 rows in ")
    assert output.read_text() == (
        '"user_id","rank","item_id","score"\n"007",1,"last",9\n"007",2,"日本",8\n'
        '"nobody",1,"0012",9\n"nobody",2,"12",9\n'
    )


def test_module_fails_with_one_sentence(bundles: Path, tmp_path: Path) -> None:
    bundle = f"bundle={bundles / 'by_user'}"
    done = run(
        "-m", "recsys.inference", "recommend", bundle, "users=no.csv", f"output={tmp_path}/o.csv"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: users file no.csv does not exist\n"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["bundel=x"], "error: 'bundel' is not a known setting; did you mean bundle?"),
        (["bundle=x"], "error: users= is missing; usage: "),
        (["bundle=nowhere", "users=u.csv", "output=o.csv"], "error: nowhere is not a folder"),
        (["k=0"], "error: k=0 is too small: it is at least 1"),
        (["exclude=bought"], "error: exclude='bought' is not known: it is none or seen"),
    ],
)
def test_mistakes_exit_2(
    settings: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recommend_command(settings) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(sentence)
    assert output.err.count("\n") == 1


def test_seen_are_excluded_on_request_or_the_lack_of_them_is_said(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users, output = tmp_path / "users.csv", tmp_path / "output.csv"
    users.write_text("user_id\nu 5\n7\n")
    settings = [f"users={users}", f"output={output}", "exclude=seen"]
    assert main(["recommend", f"bundle={bundles / 'by_user'}", *settings]) == 0
    assert capsys.readouterr().out.startswith("2 users (2 known), 9 rows in ")
    output.unlink()
    assert main(["recommend", f"bundle={bundles / 'by_user_unseen'}", *settings]) == 2
    assert "export it with seen=true" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("ids", "bundle", "known", "cause"),
    [
        (["7.0", "12.0"], "by_user", 0, "their ids end in '.0'"),
        (["7", "12.0", "gone"], "by_user", 1, "neither their ids nor what they bought\n"),
        (["7", "NA", "gone"], "by_user", 2, None),
        (["7.0", "12.0"], "by_history", 0, "their ids end in '.0'"),
    ],
)
def test_few_users_that_the_bundle_knows_are_said_with_the_likely_cause(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ids, bundle, known, cause
) -> None:
    users = tmp_path / "users.csv"
    users.write_text("\n".join(["user_id", *ids]))
    settings = [f"users={users}", f"output={tmp_path / 'output.csv'}", "k=3"]
    assert main(["recommend", f"bundle={bundles / bundle}", *settings]) == 0
    printed = capsys.readouterr()
    assert f"{len(ids)} users ({known} known)" in printed.out
    if cause is None:
        assert printed.err == ""
    else:
        assert f"{len(ids) - known} of {len(ids)} users got the most popular items" in printed.err
        assert cause in printed.err


def test_everyone_getting_what_is_popular_is_said(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "u.csv").write_text("user_id\n7\n")
    settings = [f"users={tmp_path}/u.csv", f"output={tmp_path}/o.csv"]
    assert recommend_command([f"bundle={bundles / 'by_history_unseen'}", *settings]) == 0
    assert "all users got the most popular items" in capsys.readouterr().err


def test_few_series_that_the_bundle_knows_are_said_with_the_likely_cause(
    forecasters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history, output = tmp_path / "history.csv", tmp_path / "output.csv"
    settings = [f"bundle={forecasters / 'plain'}", f"history={history}", f"output={output}"]
    rows = "series_id,timestamp,y\n7.0,2024-01-01T00,1\n12.0,2024-01-01T00,2\n"
    history.write_text(rows)
    assert main(["forecast", *settings]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("2 series (0 known), 6 rows")
    assert "2 of 2 series were forecast from their histories alone" in printed.err
    assert "their ids end in '.0'" in printed.err
    history.write_text(rows.replace("7.0", "7"))
    assert main(["forecast", *settings]) == 0
    assert capsys.readouterr().err == ""


def test_a_moment_that_no_model_reads_is_refused(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "users.csv").write_text("user_id\n7\n")
    settings = [f"users={tmp_path}/users.csv", f"output={tmp_path}/new/o.csv", "at=2024-01-01"]
    assert main(["recommend", f"bundle={bundles / 'by_user'}", *settings]) == 2
    assert "reads neither hour nor weekday; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_batch_that_is_refused_leaves_no_folder(bundles: Path, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text('user_id\n7\n""\n')
    settings = [f"users={tmp_path}/users.csv", f"output={tmp_path}/new/deep/o.csv"]
    assert main(["recommend", f"bundle={bundles / 'by_user'}", *settings]) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["users.csv"]


def test_script_forecasts_and_says_what_it_did(forecasters: Path, tmp_path: Path) -> None:
    history, output = tmp_path / "history.csv", tmp_path / "output.csv"
    history.write_text("series_id,timestamp,y\n7,2024-01-01T00,1\nZoë,2024-01-01T00,2\n")
    script = str(ROOT / "scripts" / "forecast.py")
    done = run(script, f"bundle={forecasters / 'plain'}", f"history={history}", f"output={output}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 series (2 known), 6 rows in ")
    assert output.read_text().splitlines()[:2] == [
        '"series_id","timestamp","0.1","0.5","0.9"',
        '"7","2024-01-01T01:00:00",100.01,101.01,102.01',
    ]


def test_what_a_table_lacks_is_said(
    forecasters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "h.csv").write_text(
        "series_id,timestamp,y,price,promo\n7,2024-10-27T00:00Z,1,,\n7,2024-10-27T01:00Z,1,,\n"
        "7,2024-10-27T03:00Z,1,,\n7,2024-10-27T09:00Z,,,\n8,2024-10-27T00:00Z,,,\n"
    )
    settings = [f"bundle={forecasters / 'ahead'}", f"history={tmp_path}/h.csv"]
    assert main(["forecast", *settings, f"output={tmp_path}/o.csv"]) == 0
    warnings = capsys.readouterr().err.splitlines()
    for line, sentence in zip(
        warnings,
        [
            "1 series have no y and got no forecast: '8'",
            "1 steps have no row and count as missing, not as zero",
            "1 rows were added to the previous one, because the clock of Europe/Berlin",
            "6 of 6 values of price, promo are not known for the 3 steps ahead",
            "1 rows lie beyond the 3 steps ahead",
        ],
        strict=True,
    ):
        assert line.startswith(f"warning: {sentence}")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["users=x"], "error: 'users' is not a known setting"),
        (["bundle=x", "history=h.csv"], "error: output= is missing; usage: "),
        (["bundle=nowhere", "history=h.csv", "output=o.csv"], "error: nowhere is not a folder"),
    ],
)
def test_mistakes_in_forecasting_exit_2(
    settings: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forecast_command(settings) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_forecasting_with_a_recommender_is_refused(
    bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"bundle={bundles / 'by_user'}", "history=h.csv", "output=o.csv"]
    assert forecast_command(settings) == 2
    assert "is a bundle for the task 'recommender', not 'forecaster'" in capsys.readouterr().err
