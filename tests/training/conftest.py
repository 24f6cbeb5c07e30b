import pytest
from tastes import two_tastes, validation_part

from recsys.data.interactions import PhaseData


@pytest.fixture(scope="session")
def val_data() -> PhaseData:
    return validation_part(two_tastes())
