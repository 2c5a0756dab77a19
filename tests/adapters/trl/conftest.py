import pytest

from text_model import save_text_model

pytest.importorskip("trl")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Folder of a tiny random Llama."""
    return save_text_model(tmp_path_factory.mktemp("model"))
