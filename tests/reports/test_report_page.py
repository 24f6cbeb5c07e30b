import re
from html.parser import HTMLParser

import pytest

from recsys.reports.facts import read_curves, read_ranking_facts
from recsys.reports.page import write_report
from recsys.reports.ranking_page import ranking_page
from recsys.reports.run_page import plain_page
from recsys.reports.sections.customers import customers_section
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
        return " ".join(" ".join(self.words).split())

    @property
    def anchors(self):
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]


def written(run):
    write_report(run, ranking_page(read_ranking_facts(run)))
    return Page((run.path / "report.html").read_text(encoding="utf-8"))


def test_report_loads_nothing_from_outside(make_run, log_attempt):
    run = make_run()
    log_attempt(run, "val", 0, 0, [0.7, 0.6], [0.1, 0.2])
    page = written(run)
    assert "http://" not in page.html
    assert "https://" not in page.html
    assert "url(" not in page.html
    assert "@import" not in page.html
    loading = {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not loading & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")


def test_every_section_stands_where_its_data_exist(make_run, log_attempt):
    run = make_run()
    log_attempt(run, "val", 0, 0, [0.7, 0.6], [0.1, 0.2])
    page = written(run)
    expected = "leaderboard examples customers popularity training data repeat"
    assert page.anchors == expected.split()
    assert not [file for file in run.path.iterdir() if "partial" in file.name]


def test_hostile_names_are_escaped(make_run, metrics):
    item = {"item_id": HOSTILE, "name": HOSTILE + " soap", "score": 1.0}
    example = {"user_id": HOSTILE, "history": [item], "new": [item], "bought": [HOSTILE]}
    page = written(
        make_run(
            run={"model": HOSTILE, "data": HOSTILE, "command": HOSTILE, "versions": {"a": HOSTILE}},
            data_report={"source": HOSTILE, "dropped": {HOSTILE: 1}, "phases": {HOSTILE: {"a": 1}}},
            metrics=metrics(**{HOSTILE.replace("/", ""): (0.1, 0.1)}),
            examples=[example],
        )
    )
    assert HOSTILE + " soap" in page.text
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_half_a_surrogate_pair_in_a_name_can_be_written(make_run):
    item = {"item_id": "1", "name": "half \ud83d pair", "score": 1.0}
    assert "half ? pair" in written(make_run(examples=[{"user_id": "u", "new": [item]}])).text


def test_closed_form_run_has_no_learning_curves(make_run):
    page = written(make_run())
    assert "training" not in page.anchors
    assert "leaderboard" in page.anchors


def test_resumed_attempts_make_one_curve(make_run, log_attempt):
    run = make_run()
    log_attempt(run, "val", 0, 0, [0.9, 0.8], [0.1, 0.2])
    # each attempt repeats the last epoch of the one before; 10 comes after 2
    log_attempt(run, "val", 2, 1, [0.7, 0.6, 0.55], [0.3, 0.4, 0.45])
    log_attempt(run, "val", 10, 3, [0.5], [0.5])
    (run.path / "logs" / "val" / "11").mkdir()
    curve = read_curves(run)["val"]
    assert curve.index.tolist() == [1, 2, 3, 4]
    assert curve["train/loss"].tolist() == [0.9, 0.7, 0.6, 0.5]
    assert curve["val/new/ndcg@10"].tolist() == [0.1, 0.3, 0.4, 0.5]


def test_chosen_epoch_is_marked(make_run, log_attempt, metrics):
    run = make_run(metrics=metrics() | {"train/epochs": 2, "train/seconds": 75.0})
    log_attempt(run, "val", 0, 0, [0.9, 0.8, 0.7], [0.1, 0.3, 0.2])
    page = written(run)
    assert "epoch 2 chosen" in page.text
    assert "1 min 15 s" in page.text


def test_undefined_metric_is_a_dash(make_run, metrics):
    values = metrics(popularity=(0.1, 0.2)) | {"test/new/mrr@10": float("nan")}
    del values["test/baselines/popularity/new/map@10"]
    page = written(make_run(metrics=values))
    assert page.text.count("–") >= 2
    assert "nan" not in page.text.lower()
    assert "NaN" not in page.html


def test_the_purchases_that_carry_a_recommendation_stand_below_it(make_run):
    milk = {"item_id": "1", "name": HOSTILE + " milk", "share": 0.625}
    itself = {"item_id": "2", "name": "tea", "share": 0.25}
    tea = {"item_id": "2", "name": "tea", "score": 1.0, "because": [milk, itself]}
    page = written(make_run(examples=[{"user_id": "u", "new": [tea]}]))
    assert f"because of {HOSTILE} milk (62 %), this item (25 %)" in page.text
    assert "Below a recommendation stand the purchases that carry its score most" in page.text
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    plain = {key: value for key, value in tea.items() if key != "because"}
    page = written(make_run(examples=[{"user_id": "u", "new": [plain]}]))
    assert "because of" not in page.text
    assert "Below a recommendation" not in page.text


def test_hits_are_what_was_recommended_and_bought(make_run):
    page = written(make_run())
    items = [attributes for tag, attributes in page.tags if tag == "li"]
    # bread before; milk and jam recommended as new, of which jam was bought; bread among all
    assert [item.get("class") for item in items] == [None, None, "hit", None]
    assert "1 of 2 bought" in page.text
    assert "0 of 1 bought" in page.text


def test_customers_are_grouped_from_light_to_heavy(make_run):
    text = written(make_run()).text
    # a customer a quarter, in the order of purchases, not of the table: anna, ben, carla, dan
    places = [
        text.index(f"{label}: {value}")
        for label, value in zip(
            ("1 purchase", "2 purchases", "3 purchases", "4 purchases"),
            ("0.0000", "0.4000", "0.0000", "0.8000"),
            strict=True,
        )
    ]
    assert places == sorted(places)


def test_customers_with_the_same_purchases_are_not_told_apart(make_run):
    run = make_run()
    facts = read_ranking_facts(run)
    facts.purchases[:] = 5
    section = customers_section(facts)
    assert section is not None
    assert [figure.title for figure in section.blocks[0].items] == [
        "New items: spread of NDCG@10",
        "All purchases: spread of NDCG@10",
    ]


def test_run_fitted_on_everything_says_that_it_was_not_tested(make_run, config):
    config["evaluation"] = {
        "split": {"_target_": "recsys.data.splits.full_data.FullData"},
        "ks": [10],
    }
    data = {"rows_in": 5, "phases": {"full_data": {"fit_rows": 5, "truth_rows": 0}}}
    run = make_run(config=config, metrics={"train/seconds": 1}, data_report=data, examples=None)
    (run.path / "per_user.parquet").unlink()
    page = written(run)
    assert "fitted on everything, not tested" in page.text
    assert "so its quality is unknown" in page.text
    assert "Training rows" in page.text
    assert "Rows to predict" not in page.text
    assert page.anchors == ["data", "repeat"]


def test_empty_run_folder_has_a_report(tmp_path):
    run = RunFolder(tmp_path)
    run.write_config({})
    assert written(run).anchors == ["repeat"]


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (
            {"_target_": "recsys.data.splits.global_time.GlobalTime", "test_days": 14},
            "tested on the last 14 days",
        ),
        (
            {"_target_": "recsys.data.splits.leave_last_out.LeaveLastOut"},
            "the last purchase of each customer",
        ),
    ],
)
def test_header_names_the_protocol(make_run, config, split, words):
    config["evaluation"]["split"] = split
    assert words in written(make_run(config=config)).text


def test_a_report_that_is_passed_on_holds_no_password(make_run):
    url = "postgresql://me:secret@host/shop"
    run = make_run(run={"command": f"python scripts/train.py data.path={url}"})
    run.write_config(run.read_config() | {"data": {"path": url}})
    page = written(run)
    assert "secret" not in page.html
    assert "postgresql://host/shop" in page.text


def test_a_page_is_the_same_each_time_and_its_colors_follow_the_theme(make_run, log_attempt):
    run = make_run()
    log_attempt(run, "val", 0, 0, [0.7, 0.6], [0.1, 0.2])
    first = written(run).html
    assert written(run).html == first
    pictures = re.findall(r"<svg.*?</svg>", first, flags=re.DOTALL)
    assert len(pictures) > 5
    for picture in pictures:
        assert "var(--" in picture
        assert not re.search(r"#[0-9a-f]{6}", picture)
        assert "font-family" not in picture
        assert " id=" not in picture
        assert re.search(r'aria-label="[^"]+"', picture)


def test_any_run_has_a_page_from_its_common_files(make_run, metrics, log_attempt):
    values = {"test/accuracy": 0.75, "test/baselines/majority/accuracy": 0.5}
    run = make_run(run={"task": "other", "model": "linear", "data": "shop"}, metrics=values)
    log_attempt(run, "val", 0, 0, [0.7, 0.6])
    write_report(run, plain_page(run))
    page = Page((run.path / "report.html").read_text(encoding="utf-8"))
    assert page.anchors == ["leaderboard", "training", "data", "repeat"]
    assert "Linear was tested beside 1 baseline." in page.text
    assert "Model accuracy linear 0.7500 majority 0.5000" in page.text


def test_an_empty_run_folder_has_a_plain_page(tmp_path):
    run = RunFolder(tmp_path)
    run.write_config({})
    write_report(run, plain_page(run))
    assert "Model was fitted without a test." in (tmp_path / "report.html").read_text()
