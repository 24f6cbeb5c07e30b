import subprocess
import sys

# what takes longer to load than a closed form to fit
SLOW = "pytorch_lightning torchmetrics onnx onnxscript statsforecast tensorboard matplotlib"


def test_a_model_that_is_fitted_at_once_waits_for_no_training_framework():
    program = (
        "import sys, recsys.tasks.lifecycle, recsys.models.recommenders.ease\n"
        "import recsys.data.sources.transactions\n"
        f"print([name for name in '{SLOW}'.split() if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
