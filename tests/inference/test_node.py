"""Bundles answer in Node.js as they do in Python."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from recsys.inference import verify

NODE_TESTS = Path(__file__).parents[1] / "node"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE_TESTS / "node_modules" / "onnxruntime-node").is_dir(),
    reason="onnxruntime-node is not installed: `make node` installs it",
)


def replay(*bundles: Path) -> subprocess.CompletedProcess[str]:
    command = ["node", str(NODE_TESTS / "replay.mjs"), *map(str, bundles)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_node_replays_the_samples(bundles: Path) -> None:
    done = replay(bundles / "by_user", bundles / "by_history")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": ok (") == 2


def test_node_replays_reasons(explaining: Path, tmp_path: Path) -> None:
    done = replay(explaining)
    assert (done.returncode, done.stderr) == (0, "")
    assert f": ok ({verify(explaining).cases} samples" in done.stdout
    tampered = Path(shutil.copytree(explaining, tmp_path / "tampered"))
    samples = json.loads((tampered / "samples.json").read_text())
    samples["because"][0]["rest"][0][0] += 0.001
    (tampered / "samples.json").write_text(json.dumps(samples))
    done = replay(tampered)
    assert done.returncode == 1
    assert "disagrees with its reasons of 'known users'" in done.stderr


def test_node_replays_forecasts(forecasters: Path, tmp_path: Path) -> None:
    done = replay(forecasters / "plain", forecasters / "ahead")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": ok (7 samples, largest difference ") == 2
    tampered = Path(shutil.copytree(forecasters / "ahead", tmp_path / "tampered"))
    samples = json.loads((tampered / "samples.json").read_text(encoding="utf-8"))
    samples["cases"][0]["forecast"][2][1][0] *= 1.001
    (tampered / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
    done = replay(tampered)
    assert done.returncode == 1
    assert "disagrees with its sample 'known series': row 2 forecasts" in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("score", 123.0, "has the score"),
        ("item_id", "milk", "is "),
    ],
)
def test_node_refuses_other_answers(bundle: Path, key: str, value: object, sentence: str) -> None:
    samples = json.loads((bundle / "samples.json").read_text(encoding="utf-8"))
    assert samples["cases"][0][key][0][0] != value
    samples["cases"][0][key][0][0] = value
    (bundle / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
    done = replay(bundle)
    assert done.returncode == 1
    assert f"disagrees with its sample 'known users': row 0, place 0 {sentence}" in done.stderr


def test_node_refuses_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    done = replay(tmp_path)
    assert done.returncode == 1
    assert "at " not in done.stderr.replace("format", "")
    assert done.stderr.count("\n") == 1
