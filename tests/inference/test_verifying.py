"""What is no bundle, or not the one that was exported, is refused with one sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from recsys.bundle.agreement import check_same_forecast, check_same_ranking
from recsys.bundle.manifest import sha256
from recsys.errors import BundleError
from recsys.inference import Forecaster, Recommender, verify
from recsys.inference import bundle as opening
from recsys.inference.commands import main


def edit(bundle: Path, **changes: object) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | changes), encoding="utf-8")


def sign_again(bundle: Path, name: str) -> None:
    """Enters the checksum of a file that was altered, as someone with intent would."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][name]["sha256"] = sha256(bundle / name)
    edit(bundle, files=manifest["files"])


@pytest.mark.parametrize(
    ("name", "cases"),
    [("by_user", 8), ("by_history", 9), ("by_user_unseen", 8), ("by_history_unseen", 9)],
)
def test_bundles_as_exported_pass(bundles: Path, name: str, cases: int) -> None:
    found = verify(bundles / name)
    assert (found.task, found.cases, found.largest_difference) == ("recommender", cases, 0)


@pytest.mark.parametrize("name", ["model.onnx", "samples.json", "seen.npz", "README.md"])
def test_truncated_altered_and_missing_files_are_refused(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    for altered in (content[:-1], b"", content[:-1] + bytes([content[-1] ^ 1])):
        (bundle / name).write_bytes(altered)
        for check in (verify, Recommender):
            with pytest.raises(BundleError, match=f"{name} was altered or truncated"):
                check(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"incomplete: {name} is missing"):
        verify(bundle)


def test_the_graph_that_was_checked_is_the_one_that_runs(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = opening.check_files

    def replaced_afterwards(folder: Path, manifest: Any) -> bytes:
        graph = check(folder, manifest)
        (folder / "model.onnx").write_bytes(b"another")
        return graph

    monkeypatch.setattr(opening, "check_files", replaced_afterwards)
    assert verify(bundle).cases > 0


@pytest.fixture
def with_weights_beside(bundle: Path) -> Path:
    """A bundle whose graph keeps its weights in another file, as one of several GB has to."""
    graph = onnx.load(bundle / "model.onnx")
    onnx.save(
        graph,
        bundle / "model.onnx",
        save_as_external_data=True,
        location="weights.data",
        size_threshold=64,
    )
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    files = manifest["files"] | {"weights.data": {"sha256": sha256(bundle / "weights.data")}}
    edit(bundle, files=files)
    sign_again(bundle, "model.onnx")
    return bundle


def test_weights_beside_the_graph_are_those_that_were_checked(
    with_weights_beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_weights_beside
    monkeypatch.chdir(tmp_path)
    Path("weights.data").write_bytes(bytes((bundle / "weights.data").stat().st_size))
    assert verify(bundle).largest_difference == 0
    content = bytearray((bundle / "weights.data").read_bytes())
    content[0] ^= 1
    (bundle / "weights.data").write_bytes(content)
    with pytest.raises(BundleError, match=r"weights\.data was altered or truncated"):
        verify(bundle)


def test_weights_that_the_manifest_does_not_list_are_not_looked_for(
    with_weights_beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(with_weights_beside)  # where ONNX Runtime would find them
    manifest = json.loads(Path("manifest.json").read_text(encoding="utf-8"))
    del manifest["files"]["weights.data"]
    edit(Path(), files=manifest["files"])
    with pytest.raises(BundleError, match=r"keeps weights in 'weights\.data', which the manifest"):
        verify(".")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "something"}, "not the manifest of a bundle"),
        ({"format_version": 2}, "bundle format 2 and this recsys reads up to 1: install a newer"),
        ({"format_version": "1"}, "format_version '1', not a number"),
        ({"task": "translator"}, "task 'translator', which is not known here"),
        ({"task": ["recommender"]}, "which is not known here"),
        ({"files": None}, "lacks 'files'"),
        ({"num_items": "ten"}, "lacks 'num_items', or it is not of type int"),
        ({"files": {}}, "does not list model.onnx"),
        ({"files": {"model.onnx": {}, "../x": {}}}, "altered or truncated|outside"),
        ({"onnxruntime_min_version": "99.0"}, "needs onnxruntime >= 99.0"),
        ({"inputs": [7, {"type": "string"}]}, "and the manifest declares \\?, None, item_id"),
        (
            {"inputs": []},
            "has the inputs and outputs user_id, history, exclude, allowed, k, item_id",
        ),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    bundle: Path, changes: dict[str, Any], sentence: str
) -> None:
    edit(bundle, **changes)
    for check in (verify, Recommender):
        with pytest.raises(BundleError, match=sentence) as caught:
            check(bundle)
        assert "\n" not in str(caught.value)


def test_files_outside_of_the_folder_are_refused(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    edit(bundle, files=manifest["files"] | {"../secret": {"sha256": ""}})
    with pytest.raises(BundleError, match="'../secret', which is outside the folder"):
        verify(bundle)


def test_folders_that_are_no_bundles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no manifest.json"):
        verify(tmp_path)
    with pytest.raises(BundleError, match="is not a folder"):
        verify(tmp_path / "nowhere")
    for content in (b"[1]", b'"text"', b"{}"):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(BundleError, match="not the manifest of a bundle"):
            verify(tmp_path)
    for content in (b'{"format": "recsys', b"\xff\xfe", b""):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(BundleError, match="not readable as JSON"):
            verify(tmp_path)


def test_model_that_answers_otherwise_is_refused_though_its_checksum_fits(bundle: Path) -> None:
    path = bundle / "model.onnx"
    model = onnx.load(path)
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    values = numpy_helper.to_array(weights) + np.float32(0.001)
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(model, path)
    sign_again(bundle, "model.onnx")
    with pytest.raises(
        BundleError, match="disagrees with its sample 'known users': row 0, place 0"
    ):
        verify(bundle)


def test_file_that_is_no_graph_is_refused(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"not a graph")
    sign_again(bundle, "model.onnx")
    with pytest.raises(BundleError, match="cannot be opened by ONNX Runtime"):
        verify(bundle)


@pytest.mark.parametrize("content", ["{}", "[]", '{"cases": [{}]}', '{"cases": 1}', "{"])
def test_samples_of_another_form_are_refused(bundle: Path, content: str) -> None:
    (bundle / "samples.json").write_text(content)
    sign_again(bundle, "samples.json")
    with pytest.raises(BundleError, match="does not hold golden samples"):
        verify(bundle)


def ranking(*pairs: tuple[str, float]) -> tuple[Any, Any]:
    items, scores = zip(*pairs, strict=True)
    return np.array([items], dtype=object), np.array([scores], dtype=np.float32)


WANT = ranking(("a", 2.0), ("b", 1.000004), ("c", 1.0), ("", -np.inf))


@pytest.mark.parametrize(
    "got",
    [
        ranking(("a", 2.00009), ("b", 1.000004), ("c", 1.0), ("", -np.inf)),
        # b and c differ by less than 1e-5, and so do c and an item that just missed the ranking.
        ranking(("a", 2.0), ("c", 1.000003), ("b", 1.000002), ("", -np.inf)),
        ranking(("a", 2.0), ("b", 1.000004), ("d", 1.000002), ("", -np.inf)),
    ],
)
def test_rounding_is_no_disagreement(got: tuple[Any, Any]) -> None:
    assert check_same_ranking(*WANT, *got) < 1e-4


@pytest.mark.parametrize(
    ("got", "sentence"),
    [
        (ranking(("a", 2.0002), ("b", 1.0), ("c", 1.0), ("", -np.inf)), "place 0 has the score"),
        (ranking(("b", 2.0), ("a", 1.0), ("c", 1.0), ("", -np.inf)), "place 0 is 'b', not 'a'"),
        (ranking(("d", 2.00005), ("b", 1.0), ("c", 1.0), ("", -np.inf)), "place 0 is 'd'"),
        (ranking(("a", 2.0), ("b", 1.0), ("c", 1.0), ("d", 0.5)), "empty place is not empty"),
        (ranking(("a", 2.0), ("b", 1.0), ("c", 1.0), ("d", -np.inf)), "excluded item is returned"),
        (ranking(("a", np.nan), ("b", 1.0), ("c", 1.0), ("", -np.inf)), "has the score nan"),
        (ranking(("a", 2.0)), r"has the shape \(1, 1\), not \(1, 4\)"),
    ],
)
def test_disagreements_are_named(got: tuple[Any, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_same_ranking(*WANT, *got)


def test_command_prints_a_line_for_each_bundle(
    bundles: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "model.onnx").write_bytes(b"")
    assert main(["verify", str(bundles / "by_user"), str(bundles / "by_history")]) == 0
    assert main(["verify", str(bundle), str(bundles / "by_user"), str(bundle / "no")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ", 1)[1].split()[0] for line in lines] == [
        "ok",
        "ok",
        "FAILED:",
        "ok",
        "FAILED:",
    ]
    assert lines[0].endswith("ok (recommender, 8 samples, largest difference of scores 0)")


def test_command_without_a_bundle_or_with_an_unknown_name_exits_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["verify"]) == 2
    assert main(["verfy", "x"]) == 2
    assert "did you mean verify?" in capsys.readouterr().err
    assert main([]) == main(["--help"]) == main(["verify", "--help"]) == 0


@pytest.mark.parametrize("name", ["plain", "ahead"])
def test_forecasters_as_exported_pass(
    forecasters: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(forecasters / name) == ("forecaster", 7, 0)
    assert main(["verify", str(forecasters / name)]) == 0
    line = capsys.readouterr().out
    assert "ok (forecaster, 7 samples, largest relative difference of forecasts 0)" in line


def test_forecaster_that_answers_otherwise_is_refused(forecasters: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(forecasters / "ahead", tmp_path / "tampered"))
    samples = json.loads((bundle / "samples.json").read_text(encoding="utf-8"))
    case = samples["cases"][3]
    assert case["name"] == "missing values"
    for key in ("history", "covariates"):
        assert "null" in json.dumps(case[key])
    case["forecast"][1][2][0] *= 1.001
    (bundle / "samples.json").write_text(json.dumps(samples))
    sign_again(bundle, "samples.json")
    with pytest.raises(
        BundleError, match="sample 'missing values': row 1, step 3, quantile 0 is .* worst diff"
    ):
        verify(bundle)


@pytest.mark.parametrize(
    "key",
    ["num_series", "horizon", "quantiles", "history_length", "step", "step_seconds", "timezone"],
)
def test_forecaster_manifests_without_what_readers_need_are_refused(
    forecasters: Path, tmp_path: Path, key: str
) -> None:
    bundle = Path(shutil.copytree(forecasters / "plain", tmp_path / "tampered"))
    edit(bundle, **{key: None})
    for check in (verify, Forecaster):
        with pytest.raises(BundleError, match=f"lacks '{key}'"):
            check(bundle)


HISTORY = np.array([[100.0, 300.0, np.nan], [np.nan] * 3], dtype=np.float32)


def forecasts(first: float, second: float) -> Any:
    return np.array([[[first]], [[second]]], dtype=np.float32)


@pytest.mark.parametrize(
    ("want", "got"),
    [
        # A ten-thousandth of the mean of the history, or of the forecast where it is larger.
        (forecasts(0, 0), forecasts(0.0199, 0)),
        (forecasts(5000, 0), forecasts(5000.49, 0)),
        # No history: nothing to measure by, and nothing to forecast from.
        (forecasts(0, np.nan), forecasts(0, np.nan)),
    ],
)
def test_rounding_of_forecasts_is_no_disagreement(want: Any, got: Any) -> None:
    assert check_same_forecast(want, got, HISTORY) < 1e-4


@pytest.mark.parametrize(
    ("want", "got", "sentence"),
    [
        (forecasts(0, 0), forecasts(0.021, 0), "row 0, step 1, quantile 0 is 0.021, not 0"),
        (forecasts(5000, 0), forecasts(5000.6, 0), "row 0"),
        (forecasts(0, 0), forecasts(0, 2e-6), "row 1"),
        (forecasts(0, 0), forecasts(0, np.nan), "row 1, step 1, quantile 0 is nan"),
        (forecasts(0, np.nan), forecasts(0, 0), "row 1"),
        (forecasts(np.nan, 0), forecasts(np.nan, 0), "row 0"),
        (forecasts(0, 0), forecasts(0, 0)[:1], r"has the shape \(1, 1, 1\), not \(2, 1, 1\)"),
    ],
)
def test_disagreements_of_forecasts_are_named(want: Any, got: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_same_forecast(want, got, HISTORY)
