import pytest

from rlvrscope.engines import Settings
from rlvrscope.monitor import Bank
from rlvrscope.problem import Problem
from rlvrscope.scoring import ScoreRequest
from text_model import save_text_model

pytest.importorskip("trl")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Folder of a tiny random Llama."""
    return save_text_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def bank(model, tmp_path_factory):
    """A bank of four prompts: two right completions and a wrong one of each."""
    from rlvrscope.engines.transformers import open_scorer
    from trl_runs import PROMPTS

    scorer = open_scorer(str(model), Settings())
    requests = [
        ScoreRequest(Problem(prompt, prompt, "16"), prompt, text)
        for prompt in PROMPTS[:4]
        for text in (" 16", " 4", "x")
    ]
    made = Bank.of(scorer, {request: 1 for request in requests if request.completion != "x"},
                   {request: 2 for request in requests if request.completion == "x"})  # fmt: skip
    path = tmp_path_factory.mktemp("bank") / "bank.jsonl"
    made.save(path)
    return path
