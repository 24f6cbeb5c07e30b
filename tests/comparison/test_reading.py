"""Which folders are meant, which runs may stand side by side, which are seeds of one another."""

import pytest

from recsys.comparison.reading import find_runs, group_seeds, read_runs, require_comparable
from recsys.errors import ConfigError
from recsys.tasks.registry import task_of_run

EVEN = [0.5] * 10


def units_of(run):
    return task_of_run(run).units(run)


def comparable(*folders):
    runs = read_runs(folders, units_of)
    require_comparable(runs)
    return runs


def test_a_list_names_runs_folders_of_runs_and_patterns(recommender, tmp_path, monkeypatch):
    one, two, three = (recommender(name, EVEN) for name in ("sweep/1", "sweep/0", "alone"))
    assert find_runs(f"[{three},{one}]") == [three, one]
    assert find_runs(f"{three}, '{tmp_path / 'sweep'}'") == [three, two, one]
    assert find_runs(f"[{tmp_path}/sweep/*]") == [two, one]
    monkeypatch.chdir(tmp_path)
    # each once, whatever it is called
    assert len(find_runs(f"[alone,{three},sweep/../alone,sweep]")) == 3


@pytest.mark.parametrize("text", ["[{0}/nothing]", "{0}/*/none*", "[{0}/empty]"])
def test_what_leads_to_no_run_is_named(tmp_path, text):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="runs= names .* neither a run folder nor holds one"):
        find_runs(text.format(tmp_path))


def test_an_empty_list_is_refused():
    with pytest.raises(ConfigError, match=r"runs= is empty; write runs=\[FOLDER"):
        find_runs("[]")


def test_an_unfinished_run_is_refused_with_how_to_go_on(recommender):
    folder = recommender("run", EVEN)
    (folder / "metrics.json").unlink()
    with pytest.raises(ConfigError, match=r"not finished training; continue it with train\.resume"):
        read_runs([folder], units_of)


@pytest.mark.parametrize("key", ["data_fingerprint", "split_fingerprint"])
def test_a_run_without_fingerprints_is_refused(recommender, key):
    folder = recommender("run", EVEN, record={key: None})
    with pytest.raises(ConfigError, match=f"has no {key} in its run.json.*train it again"):
        read_runs([folder], units_of)


def test_a_run_that_was_not_tested_is_refused(recommender):
    folder = recommender("run", EVEN)
    (folder / "per_user.parquet").unlink()
    with pytest.raises(ConfigError, match=r"no per_user\.parquet: it was not tested"):
        read_runs([folder], units_of)


def test_first_recommenders_do_not_name_their_task(recommender):
    old, new = recommender("old", EVEN, record={"task": None}), recommender("new", EVEN)
    first, second = comparable(old, new)
    assert first.units == second.units


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"record": {"data_fingerprint": "d2"}}, r"their data differ \(fingerprints d1 and d2\)"),
        ({"record": {"split_fingerprint": "s2"}}, "their splits differ .*s1 and s2"),
        ({"evaluation__ks": [10]}, r"evaluation\.ks \(\[5, 10\] and \[10\]\)"),
        ({"evaluation__views": ["new", "all"]}, r"evaluation\.views"),
        ({"evaluation__min_buyers": 1}, r"evaluation\.min_buyers \(10 and 1\)"),
        ({"evaluation__k_core": 5}, r"evaluation\.k_core \(not set and 5\)"),
        ({"evaluation__split": {"_target_": "x", "test_days": 28}}, r"split\._target_"),
        ({"evaluation__split__test_days": 14}, r"evaluation\.split\.test_days \(28 and 14\)"),
    ],
)
def test_other_data_splits_and_protocols_are_refused(recommender, changes, reason):
    first, same, other = (
        recommender("first", EVEN),
        recommender("same", EVEN, model__dim=9),
        recommender("other", EVEN, **changes),
    )
    with pytest.raises(ConfigError, match=f"first and .*other cannot be compared: .*{reason}"):
        comparable(first, same, other)


def test_what_changes_no_number_is_no_protocol(recommender):
    comparable(
        recommender("first", EVEN),
        recommender("other", EVEN, evaluation__baselines=["popularity"], evaluation__block_mb=64),
    )


def test_runs_from_before_a_setting_did_what_its_default_does(recommender):
    old = recommender("old", EVEN)
    added = {"evaluation__unknown_items": "leave_out"}
    comparable(old, recommender("new", EVEN, **added))
    with pytest.raises(ConfigError, match=r"unknown_items \(not set and miss\)"):
        comparable(old, recommender("other", EVEN, evaluation__unknown_items="miss"))


def test_recommenders_and_forecasters_are_refused(recommender, forecaster, sales):
    with pytest.raises(ConfigError, match="runs of the tasks recommender and forecaster"):
        comparable(recommender("first", EVEN), forecaster("other", sales()))


def test_seeds_that_only_draw_another_validation_are_comparable(recommender):
    first = recommender("first", EVEN)
    other = recommender("other", EVEN, seed=2, record={"split_fingerprint": "s2"})
    assert len(comparable(first, other)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"purchases": [0, 2, 1, 3, 4, 5, 6, 7, 8, 9]},
        {"customers": [f"u{number}" for number in range(1, 11)]},
    ],
)
def test_seeds_that_draw_another_test_are_refused(recommender, changes):
    first = recommender("first", EVEN)
    other = recommender("other", EVEN, seed=2, record={"split_fingerprint": "s2"}, **changes)
    with pytest.raises(ConfigError, match="split depends on the seed, and seeds 1 and 2 drew"):
        comparable(first, other)


def test_runs_that_differ_in_the_seed_only_are_one_row(recommender):
    folders = [
        recommender("b2", EVEN, seed=2, choices__overrides=["seed=2"]),
        recommender("a", EVEN, train__lr=0.02),
        recommender("b1", EVEN, evaluation__block_mb=1, logger__csv="x"),
    ]
    entries, notes = group_seeds(comparable(*folders))
    assert [(entry.name, entry.seeds) for entry in entries] == [
        ("mf (lr=0.01)", [1, 2]),
        ("mf (lr=0.02)", [1]),
    ]
    assert not notes


def test_rows_come_in_the_order_of_the_list(recommender):
    folders = [
        recommender("c", EVEN, model="popularity", model__dim=3),
        recommender("a", EVEN, model="gmf", model__dim=1, seed=2),
        recommender("b", EVEN, model="mlp", model__dim=2),
        recommender("d", EVEN, model="gmf", model__dim=1, seed=1),
    ]
    entries, notes = group_seeds(comparable(*folders))
    assert [entry.name for entry in entries] == ["popularity", "gmf", "mlp"]
    assert not notes


def test_of_repeated_runs_the_last_to_finish_stays(recommender):
    late = recommender("late", EVEN, record={"finished": "2026-03-02T00:00:00Z"})
    early = recommender("early", EVEN)
    entries, notes = group_seeds(comparable(late, early))
    assert [run.folder for run in entries[0].runs] == [late]
    assert notes == [f"left out {early}, which {late} repeats, seed and all"]


def test_rows_of_one_model_are_told_apart_by_their_settings(recommender):
    folders = [
        recommender("a", EVEN),
        recommender("b", EVEN, model__dim=16, model__dropout=0.5),
        recommender("c", EVEN, model="popularity", model__dim=1),
    ]
    entries, _ = group_seeds(comparable(*folders))
    assert [entry.name for entry in entries] == [
        "mf (dim=8, dropout=not set)",
        "mf (dim=16, dropout=0.5)",
        "popularity",
    ]


def test_rows_with_many_other_settings_are_told_apart_by_their_folders(recommender):
    many = {f"train__setting{number}": number for number in range(4)}
    first, other = recommender("first", EVEN), recommender("other", EVEN, **many)
    entries, _ = group_seeds(comparable(first, other))
    assert [entry.name for entry in entries] == ["mf (first)", "mf (other)"]
    same_name = recommender("deeper/other", EVEN, train__setting9=9, **many)
    entries, _ = group_seeds(comparable(first, other, same_name))
    assert [entry.name for entry in entries] == [
        "mf (first)",
        f"mf (other), {other}",
        f"mf (other), {same_name}",
    ]


def test_null_settings_are_as_if_not_set(recommender):
    first = recommender("first", EVEN)
    other = recommender("other", EVEN, seed=2, train__gradient_clip=None)
    assert len(group_seeds(comparable(first, other))[0]) == 1


def test_neumf_from_halves_of_several_seeds_is_one_row(recommender):
    folders = []
    for seed in (1, 2):
        half = recommender(f"gmf{seed}", EVEN, seed=seed, model__dim=1)
        settings = {"seed": seed, "train__pretrained__gmf": str(half)}
        folders.append(recommender(f"neumf{seed}", EVEN, **settings))
    other_half = recommender("wide", EVEN, seed=3, model__dim=2)
    other = recommender("neumf3", EVEN, seed=3, train__pretrained__gmf=str(other_half))
    entries, _ = group_seeds(comparable(*folders, other))
    assert [entry.seeds for entry in entries] == [[1, 2], [3]]


def test_what_one_seed_lacks_has_no_mean(recommender):
    seeds = {1: {}, 2: {"peak_memory_mb": 100.0}}
    folders = [
        recommender(f"s{seed}", EVEN, seed=seed, record=record) for seed, record in seeds.items()
    ]
    (entry,), _ = group_seeds(comparable(*folders))
    assert entry.mean(lambda run: run.peak_memory_mb) is None
    assert entry.mean(lambda run: run.seed) == 1.5
