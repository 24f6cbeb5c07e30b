"""The page of a forecaster, and what it says."""

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from recsys.data.report import PanelReport
from recsys.reports.console import print_forecast_leaderboard, print_panel_report
from recsys.reports.facts import read_forecast_facts
from recsys.reports.forecast_page import forecast_page
from recsys.reports.forecast_verdict import forecast_caution, forecast_verdict
from recsys.reports.intervals import metric_interval
from recsys.reports.leaderboard import best_of, forecast_leaderboard
from recsys.reports.page import write_report
from recsys.runs.folder import RunFolder

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.html, self.tags, self.words = html, [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    @property
    def anchors(self):
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]


def written(run):
    write_report(run, forecast_page(read_forecast_facts(run)))
    return Page((run.path / "report.html").read_text(encoding="utf-8"))


def measured(wape=0.25, mase=0.8, coverage=0.8, windows=(), **baselines):
    """Metrics of an LSTM; a baseline is (wape, mase) and its WAPE by window."""
    metrics = {"test/wape": wape, "test/mase": mase, "test/coverage_80": coverage}
    metrics |= {f"test/windows/{n}/wape": value for n, value in enumerate(windows, 1)}
    for name, (values, by_window) in baselines.items():
        prefix = f"test/baselines/{name}/"
        metrics |= dict(zip((f"{prefix}wape", f"{prefix}mase"), values, strict=True))
        metrics |= {f"{prefix}windows/{n}/wape": value for n, value in enumerate(by_window, 1)}
    return metrics


@pytest.fixture
def facts_of(make_forecast_run):
    def make(**values):
        series = pd.DataFrame({"series_id": [str(i) for i in range(30)], "window": 1})
        return read_forecast_facts(make_forecast_run(metrics=measured(**values), per_series=series))

    return make


def plain(sentence):
    return sentence.replace("\N{NO-BREAK SPACE}", " ")


def test_every_section_stands_where_its_data_exist(make_forecast_run, log_attempt):
    run = make_forecast_run()
    log_attempt(run, "val", 0, 0, [0.7, 0.6], [0.5, 0.4], name="val/wape")
    page = written(run)
    expected = "leaderboard examples horizon slices series training data repeat"
    assert page.anchors == expected.split()
    assert "tested on 4 windows of 28 days" in page.text
    assert "nan" not in re.sub(r">[^<]*<", "><", page.html).lower().replace("nano", "")
    assert "nan" not in page.text.lower()


def test_report_loads_nothing_from_outside(make_forecast_run):
    page = written(make_forecast_run())
    for outside in ("http://", "https://", "url(", "@import"):
        assert outside not in page.html
    loading = {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not loading & {tag for tag, _ in page.tags}


def test_every_picture_says_what_it_shows(make_forecast_run):
    html = written(make_forecast_run()).html
    charts = re.findall(r'<svg [^>]*class="chart".*?</svg>', html, flags=re.DOTALL)
    # WAPE and MASE twice, six fans, four by horizon, two by series, rows of the data
    assert len(charts) == 17
    for chart in charts:
        picture = ElementTree.fromstring(chart)
        assert picture.get("aria-label")
        assert [text for text in picture.iter("text") if text.text]


def test_hostile_names_are_escaped(make_forecast_run, forecast_contents):
    contents, tables = forecast_contents
    example = contents["examples"][0]
    example = example | {
        "series_id": HOSTILE,
        "name": HOSTILE + " soap",
        "kind": HOSTILE,
        "baselines": {HOSTILE: example["actual"]},
    }
    series = tables["per_series"].assign(series_id=HOSTILE)
    series.loc[0, "series_id"] = "other " + HOSTILE
    name = HOSTILE.replace("/", "")
    report = {"source": HOSTILE, "series": 1, "decisions": {HOSTILE: 1}, "covariates": [HOSTILE]}
    page = written(
        make_forecast_run(
            run=contents["run"] | {"model": HOSTILE, "data": HOSTILE, "command": HOSTILE},
            data_report=report | {"step": HOSTILE, "first": HOSTILE, "phases": {HOSTILE: {"a": 1}}},
            metrics=contents["metrics"]
            | {f"test/baselines/{name}/wape": 0.1, f"test/slices/{name}/wape": 0.1},
            horizon={HOSTILE: contents["horizon"]["lstm"], name: contents["horizon"]["lstm"]},
            examples=[example],
            per_series=series,
        )
    )
    assert HOSTILE + " soap" in page.text
    assert "horizon" in page.anchors
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("examples", "examples"),
        ("horizon", "horizon"),
        ("data_report", "data"),
        ("per_series", "series"),
        ("forecasts", None),
        ("metrics", "leaderboard"),
    ],
)
def test_missing_file_costs_its_section_only(make_forecast_run, missing, gone):
    anchors = written(make_forecast_run(**{missing: None})).anchors
    everything = ["leaderboard", "examples", "horizon", "slices", "series", "data", "repeat"]
    left = [name for name in everything if name != gone]
    if missing == "metrics":
        left.remove("slices")
    assert anchors == left


def test_folder_with_nothing_but_its_task_has_a_report(tmp_path):
    run = RunFolder(tmp_path)
    run.write_config({})
    run.write_json("run.json", {"task": "forecaster", "model": "lstm"})
    page = written(run)
    assert page.anchors == ["repeat"]
    assert "so its quality is unknown" in page.text
    assert "fitted on everything, not tested" in page.text


def test_example_with_gaps_and_a_short_truth_is_drawn(make_forecast_run):
    example = {
        "series_id": "P-1",
        "history": {"start": 0, "y": [1.0, None, float("nan"), 2.0]},
        "actual": [1.0],
        "forecast": {"0.5": [1.0, None, 2.0]},
    }
    page = written(make_forecast_run(examples=[example, {}]))
    assert "examples" in page.anchors
    assert "P-1" in page.text


def test_long_history_is_cut_at_its_beginning(make_forecast_run):
    example = {
        "series_id": "P-1",
        "step": "day",
        "history": {"start": 1_483_228_800, "y": list(range(100))},  # from 2017-01-01
        "actual": [100.0, 101.0],
        "forecast": {"0.5": [100.0, 100.0]},
    }
    html = written(make_forecast_run(examples=[example])).html
    (chart,) = re.findall(r'<svg [^>]*aria-label="forecast of.*?</svg>', html)
    # 100 days after the first
    assert "<title>11 Apr 2017: sold 100, forecast 100</title>" in chart
    assert "28 Mar to 12 Apr 2017" in chart
    ticks = [float(words) for words in re.findall(r">(\d+)</text>", chart)]
    # 86 to 101: what was cut off does not stretch the axis
    assert min(ticks) > 80


def test_key_names_what_is_drawn(make_forecast_run):
    page = written(make_forecast_run())
    found = re.search(r'<ul class="key">(.*?)</ul>', page.html).group(1)
    words = re.sub(r"<[^>]*>", "|", found).replace("\N{NO-BREAK SPACE}", " ")
    entries = [word for word in words.split("|") if word]
    assert entries == ["sold", "LSTM, median", "80 % interval", "50 % interval", "AutoETS"]
    assert page.html.count('<ul class="key">') == 1


def test_run_without_baselines_compares_with_nothing(make_forecast_run, forecast_contents):
    contents, _ = forecast_contents
    alone = {k: v for k, v in contents["metrics"].items() if "/baselines/" not in k}
    examples = [example | {"baselines": {}} for example in contents["examples"]]
    horizon = {"lstm": contents["horizon"]["lstm"]}
    page = written(make_forecast_run(metrics=alone, examples=examples, horizon=horizon))
    assert "no baseline was evaluated".lower() in page.text.lower()
    assert "Best baseline" not in page.text
    assert "<strong>" not in page.html


def test_windows_are_columns_named_by_their_first_day(make_forecast_run, forecast_contents):
    contents, tables = forecast_contents
    starts = tables["forecasts"].groupby("window")["timestamp"].min()
    page = written(make_forecast_run())
    days = [f"{start.day} {start:%b %Y}" for start in starts]
    assert f"Model {' '.join(days)} Mean" in page.text
    assert f"{contents['metrics']['test/windows/3/wape']:.4f}" in page.text
    assert "Window 3" not in page.text
    # windows that begin at another time for every series have numbers
    shifted = tables["forecasts"].copy()
    shifted.loc[shifted["series_id"] == "P-003", "timestamp"] += pd.Timedelta(days=1)
    assert "Window 3" in written(make_forecast_run(forecasts=shifted)).text


@pytest.mark.parametrize("windows", [(), (0.2,)])
def test_one_window_has_no_table_by_window(make_forecast_run, windows):
    page = written(make_forecast_run(metrics=measured(windows=windows)))
    assert "WAPE by window" not in page.text


def test_lower_is_better_in_the_learning_curve(make_forecast_run, log_attempt):
    run = make_forecast_run()
    log_attempt(run, "val", 0, 0, [0.9, 0.8, 0.7], [0.5, 0.3, 0.4], name="val/wape")
    for window in (1, 2, 10):
        log_attempt(run, f"test-{window}", 0, 0, [0.9, 0.8])
    assert list(read_forecast_facts(run).curves) == ["val", "test-1", "test-2", "test-10"]
    page = written(run)
    assert "the epoch with the lowest value is chosen" in page.text
    assert "epoch 2 chosen" in page.text
    assert page.html.count(">final training, a line a window</text>") == 1


def test_data_section_tells_decisions_and_phases(make_forecast_run):
    text = written(make_forecast_run()).text
    for words in (
        "Steps without a sale, filled with zero",
        "Known ahead promotion",
        "Time zone Europe/Berlin",
        "Timestamps were read as %d/%m/%Y (day first)",
        "First day 2016-11-28",
        "Last day 2018-01-01",
        "Training series",
        "Validation Test 1 Test 2",
    ):
        assert words in text
    assert "Density" not in text
    assert "00:00" not in text.partition("First day")[2][:60]


def test_many_series_are_thinned_out_and_said_so(make_forecast_run):
    count = 5000
    series = pd.DataFrame(
        {
            "series_id": np.arange(count).astype(str),
            "window": 1,
            "num_steps": 28,
            "sum_y": np.arange(count, dtype=float),
            "mae": 1.0,
            "mase": 0.5,
        }
    )
    page = written(make_forecast_run(per_series=series))
    assert "800 of 4,999 series are drawn" in page.text
    assert "1 series without sales in the test" in page.text
    assert page.html.count("units sold a day</title>") == 800


def test_lines_by_horizon_are_those_of_the_model_and_the_best_baselines(
    make_forecast_run, forecast_contents
):
    contents, _ = forecast_contents
    page = written(make_forecast_run())
    assert "baselines: AutoETS and seasonal naive." in page.text
    first = contents["horizon"]["lstm"]
    assert f"<title>LSTM, days ahead 1: {first['wape'][0]:.4f}</title>" in page.html
    assert f"<title>LSTM, days ahead 2: {100 * first['coverage_80'][1]:.4f}</title>" in page.html
    assert page.html.count("<title>AutoETS, days ahead 28:") == 4


def test_slices_are_counted_and_compared(make_forecast_run, forecast_contents):
    contents, tables = forecast_contents
    metrics = contents["metrics"] | {
        "test/slices/short/wape": 0.4,
        "test/baselines/auto_ets/slices/short/wape": 0.5,
        "test/baselines/seasonal_naive/slices/short/wape": 0.6,
        "test/slices/intermittent/wape": 0.7,
        "test/baselines/auto_ets/slices/intermittent/wape": 0.6,
        "test/baselines/seasonal_naive/slices/intermittent/wape": 0.5,
    }
    html = written(make_forecast_run(metrics=metrics)).html
    series = tables["per_series"]
    for name, own, other in (
        ("short", "<strong>0.4000</strong>", "AutoETS</td><td>0.5000"),
        ("intermittent", "0.7000", "seasonal naive</td><td><strong>0.5000</strong>"),
    ):
        count = series.loc[series[name], "series_id"].nunique()
        assert 0 < count < 12
        row = f"<bdi>{name.capitalize()}</bdi></th><td>{count}</td><td>{own}</td>"
        assert row in html
        assert other in html.partition(row)[2].partition("</tr>")[0]


def test_series_is_judged_over_all_its_windows(make_forecast_run):
    # 2 x 3 + 2 x 1 of error on 10 + 6 sold in 4 steps
    series = pd.DataFrame(
        {
            "series_id": ["a", "a", "b"],
            "window": [1, 2, 1],
            "num_steps": 2,
            "sum_y": [10.0, 6.0, 0.0],
            "mae": [3.0, 1.0, 1.0],
            "mase": [0.5, 1.5, math.nan],
        }
    )
    table = read_forecast_facts(make_forecast_run(per_series=series)).by_series
    assert table.loc["a"].to_dict() == {"wape": 0.5, "mase": 1.0, "sales": 4.0}
    assert table.loc["b"].isna().tolist() == [True, True, False]


# the verdict


def test_winner_is_named_first(facts_of):
    facts = facts_of(naive=((0.5, 1.0), ()), auto_ets=((0.3, 1.0), ()))
    # 1 - 0.25 / 0.3 = 17 %
    assert plain(forecast_verdict(facts)) == (
        "LSTM is ahead of AutoETS (WAPE 0.2500 against 0.3000, 17 % less error)."
    )


def test_lost_comparison_is_said(facts_of):
    facts = facts_of(
        windows=(0.3, 0.2, 0.25),
        auto_ets=((0.2, 0.7), (0.05, 0.25, 0.3)),
        weekday_mean=((0.2, 0.7), ()),
    )
    assert plain(forecast_verdict(facts)) == (
        "AutoETS and weekday mean are ahead of LSTM (WAPE 0.2000 against 0.2500, 20 % less error);"
        " the error of AutoETS is the lower one in 1 of 3 windows."
    )


def test_lead_in_every_window_is_said(facts_of):
    facts = facts_of(windows=(0.3, 0.2), auto_ets=((0.26, 0.9), (0.31, 0.21)))
    assert forecast_verdict(facts).endswith("less error), in each of the 2 windows.")


def test_level_is_neither_ahead_nor_behind(facts_of):
    facts = facts_of(auto_ets=((0.25, 0.8), ()))
    assert forecast_verdict(facts) == "LSTM is level with AutoETS (WAPE 0.2500)."


def test_small_lead_is_not_rounded_to_nothing(facts_of):
    assert "less than 1" in forecast_verdict(facts_of(auto_ets=((0.251, 0.9), ())))


def test_without_baselines_nothing_is_claimed(facts_of):
    sentence = plain(forecast_verdict(facts_of()))
    assert "add up to 25.0 % of what was sold" in sentence
    assert "No baseline was evaluated for comparison" in sentence


def test_baseline_without_a_wape_is_no_rival(facts_of):
    sentence = forecast_verdict(facts_of(auto_ets=((math.nan, 0.1), ())))
    assert "No baseline" in sentence


def test_baseline_of_the_same_name_does_not_replace_the_model(facts_of):
    facts = facts_of(lstm=((0.2, 0.9), ()))
    assert forecast_verdict(facts).startswith("LSTM (baseline) is ahead of LSTM")


@pytest.mark.parametrize(
    ("coverage", "words"),
    [
        (0.62, "The 80 % interval is too narrow: it held 62 % of the sales."),
        (0.97, "The 80 % interval is wider than it needs to be: it held 97 % of the sales."),
        (0.75, ""),
        (math.nan, ""),
    ],
)
def test_interval_far_from_its_promise_is_said(facts_of, coverage, words):
    facts = facts_of(windows=(0.2, 0.3), coverage=coverage)
    assert plain(forecast_caution(facts)) == words


def test_single_window_and_few_series_are_said(make_forecast_run):
    series = pd.DataFrame({"series_id": ["a", "b"], "window": 1})
    facts = read_forecast_facts(make_forecast_run(metrics=measured(), per_series=series))
    assert forecast_caution(facts).startswith("Only 2 series were evaluated")
    assert "Only one window was evaluated" in forecast_caution(facts)


def test_other_winner_by_mase_is_said(facts_of):
    facts = facts_of(windows=(0.2, 0.3), auto_ets=((0.3, 0.7), ()))
    assert forecast_caution(facts) == (
        "By MASE, which gives every series equal weight, AutoETS is ahead of LSTM"
        " (0.7000 against 0.8000)."
    )
    assert forecast_caution(facts_of(windows=(0.2, 0.3), auto_ets=((0.3, 0.9), ()))) == ""


# the leaderboard


def test_lowest_error_stands_first():
    board = forecast_leaderboard(measured(naive=((0.5, 0.7), ()), ets=((0.2, 0.9), ())), "lstm")
    assert board.index.tolist() == ["ets", "lstm", "naive"]
    assert board.columns.tolist() == ["wape", "mase", "coverage_80"]


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("wape", [0.3, 0.2, math.nan], [False, True, False]),
        ("bias", [-0.1, 0.05, 0.2], [False, True, False]),
        ("coverage_80", [0.99, 0.5, 0.75], [False, False, True]),
        ("wape", [0.3, math.nan], [False, False]),
        ("mase", [0.3, 0.3], [True, True]),
    ],
)
def test_best_is_what_the_metric_wants(metric, values, best):
    assert best_of(metric, pd.Series(values)).tolist() == best


def test_console_prints_both(capsys):
    report = PanelReport("shop.csv", rows_in=12, dropped={"no date": 2}, rows=10, series=3, steps=9)
    report.decide("steps without a sale, filled with zero", 4)
    report.timestamp_form = "%d/%m/%Y"
    print_panel_report(report)
    print_forecast_leaderboard(measured(auto_ets=((0.3, 1.0), ())), "lstm")
    printed = capsys.readouterr().out
    for words in (
        "shop.csv",
        "dropped: no date",
        "filled with zero",
        "3 x 9 in all",
        "%d/%m/%Y (day first)",
    ):
        assert words in printed
    assert printed.index("lstm") < printed.index("auto_ets")
    print_forecast_leaderboard({}, "lstm")
    assert capsys.readouterr().out == ""


# the interval


def test_interval_of_a_ratio_is_the_bootstrap_of_its_sums():
    # errors 4 and 6 on sales of 10 and 30
    table = pd.DataFrame(
        {
            "series_id": ["a", "b"],
            "window": 1,
            "num_steps": [2, 2],
            "mae": [2.0, 3.0],
            "sum_y": [10.0, 30.0],
            "mase": [0.5, math.nan],
        }
    )
    low, high = metric_interval(table, "wape")
    # a resample holds series b only, both or a only: 0.2, 0.25 or 0.4
    assert (low, high) == pytest.approx((0.2, 0.4))
    # a window that repeats the first is no new evidence
    again = pd.concat([table, table.assign(window=2)])
    assert metric_interval(again, "wape") == pytest.approx((low, high))
    assert metric_interval(table, "mase") is None
    assert metric_interval(table, "smape") is None
