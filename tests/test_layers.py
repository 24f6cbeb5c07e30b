from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_imports_run_downwards():
    assert lint_imports(config_filename="pyproject.toml", verbose=False) == EXIT_STATUS_SUCCESS
