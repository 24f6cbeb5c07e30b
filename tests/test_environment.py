"""What a run notes of the machine and the code, and what it says has changed."""

from copy import deepcopy

import torch

from recsys.environment import differences, environment, peak_memory, resident_memory_mb


def test_the_environment_names_versions_code_hardware_and_threads():
    found = environment()
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["python"].startswith("3.")
    assert found["threads"] == torch.get_num_threads()
    assert found["hardware"]["cores"] >= 1
    assert found["hardware"]["memory_mb"] > 100
    assert found["git_dirty"] == (found["git_changes"] is not None)


def test_memory_now_is_at_most_the_highest():
    assert 10 < resident_memory_mb() <= peak_memory()["peak_memory_mb"] + 1


def test_the_same_environment_differs_in_nothing():
    assert differences(environment(), environment()) == []


def test_what_changed_is_named_with_both_values():
    now = environment()
    then = deepcopy(now)
    then["versions"] |= {"torch": "1.0", "gone": "2.0"}
    then |= {"git_commit": "a" * 40, "git_changes": "b"}
    then["hardware"]["processor"] = "another"
    words = "; ".join(differences(then, now))
    assert f"torch {torch.__version__} (then 1.0)" in words
    assert "gone is missing (then 2.0)" in words
    assert "(then aaaaaaaaaaaa)" in words
    assert "changes to the code that are not committed" in words
    assert "(then another)" in words


def test_a_record_that_says_little_is_compared_in_what_it_says():
    # a run of an older version
    now = environment()
    assert (
        differences({"versions": {}, "git_commit": now["git_commit"]}, now | {"git_changes": None})
        == []
    )
