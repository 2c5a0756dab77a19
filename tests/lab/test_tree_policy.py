"""A pretrained model by token trees: log-probabilities, gradients and draws are those of plain rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from rlvrscope import InputError
from rlvrscope.lab import tree_decoder, tree_policy
from rlvrscope.lab.recipe import PretrainedConfig
from rlvrscope.lab.sampler import greedy, sample
from rlvrscope.lab.token_tree import PAD
from rlvrscope.lab.tree_policy import TreePolicy
from rlvrscope.seeding import generator

pytest.importorskip("transformers")
CPU = torch.device("cpu")
STOPS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from text_model import save_text_model

    return save_text_model(tmp_path_factory.mktemp("random_llama"))


@pytest.fixture
def policy(folder: Path) -> TreePolicy:
    return TreePolicy.load(PretrainedConfig(pretrained=str(folder)), CPU)


Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def rows(policy: TreePolicy) -> Rows:
    """Five prompts with a common head and 30 completions, of different lengths, with shared prefixes."""
    rng = np.random.default_rng(0)
    prompts, completions = rng.integers(policy.vocab_size, size=(5, 9)), rng.integers(policy.vocab_size, size=(30, 5))
    prompts[:, :4] = prompts[0, :4]
    completions[:, :2] %= 3
    for row in (*prompts, *completions):
        row[rng.integers(5 if len(row) > 5 else 1, len(row) + 1) :] = PAD
    return torch.from_numpy(prompts), torch.from_numpy(completions), torch.from_numpy(rng.integers(5, size=30))


def plain(policy: TreePolicy, rows: Rows, temperature: float = 1.0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Log-probabilities and entropies of each completion, from a plain row of its own."""
    prompts, completions, prompt_B = rows
    for prompt, completion in zip(prompts[prompt_B], completions, strict=True):
        start, tokens = prompt[prompt != PAD], completion[completion != PAD]
        logits = policy.language_model(torch.cat([start, tokens])[None]).logits[0, len(start) - 1 : -1]
        logp = (logits / temperature).log_softmax(dim=1)
        distribution = logits.log_softmax(dim=1)
        yield logp.gather(1, tokens[:, None])[:, 0], -(distribution.exp() * distribution).sum(dim=1)


@pytest.mark.parametrize("nodes", [10, 40, 1000])
def test_scores_are_those_of_plain_rows(policy: TreePolicy, rows: Rows, monkeypatch: pytest.MonkeyPatch, nodes: int):
    monkeypatch.setattr(tree_policy, "NODES", nodes)
    scores = policy.score(*rows, (0.7, 1.0), "constant")
    assert scores.entropy_BT is not None
    for index, temperature in enumerate((0.7, 1.0)):
        for row, (logp, entropy) in enumerate(plain(policy, rows, temperature)):
            torch.testing.assert_close(scores.logp_KBT[index, row, : len(logp)], logp, rtol=1e-4, atol=1e-4)
            assert (scores.logp_KBT[index, row, len(logp) :] == 0.0).all()
            torch.testing.assert_close(scores.entropy_BT[row, : len(logp)], entropy, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kept", [0, 10_000])
def test_gradients_are_those_of_plain_rows(policy: TreePolicy, rows: Rows, monkeypatch: pytest.MonkeyPatch, kept: int):
    """Activations kept, or computed again tree by tree: a weighted sum of log-probabilities and entropies."""
    monkeypatch.setattr(tree_policy, "NODES", 40)
    monkeypatch.setattr(tree_policy, "MAX_KEPT_NODES", kept)
    scores = policy.score(*rows, (1.0,), "differentiable")
    assert scores.entropy_BT is not None
    weight_BT = torch.from_numpy(np.random.default_rng(1).normal(size=scores.entropy_BT.shape)).float()
    ((scores.logp_KBT[0] + 0.3 * scores.entropy_BT) * weight_BT).sum().backward()
    by_tree = gradient(policy)
    total = sum(
        ((logp + 0.3 * entropy) * weights[: len(logp)]).sum()
        for (logp, entropy), weights in zip(plain(policy, rows), weight_BT, strict=True)
    )
    assert isinstance(total, torch.Tensor)
    policy.zero_grad()
    total.backward()
    torch.testing.assert_close(by_tree, gradient(policy), rtol=1e-3, atol=1e-4)


def test_draws_have_the_law_of_the_model(policy: TreePolicy):
    """Two tokens drawn 20,000 times: counts of pairs against exact probabilities, chi-square above p = .001.

    At temperature 3, since the model is sharp, with tokens in 16 classes. Every token below 10 ends a draw, so that
    completions of one token are tested too.
    """
    prompts, draws, classes = torch.tensor([[20, 21, PAD], [20, 30, 31]]), 20_000, 16
    drawn = sample(policy, prompts, 2, draws, generator(0, "law"), stops=STOPS, temperature=3.0)
    stops = list(STOPS)
    for place, prompt in enumerate([[20, 21], [20, 30, 31]]):
        first_V, second_VV = two_steps(policy, prompt, 3.0)
        chance_VW = np.column_stack([first_V[:, None] * second_VV, np.zeros(len(first_V))])
        chance_VW[stops] = 0.0
        chance_VW[stops, PAD] = first_V[stops]
        pairs = drawn.completions_BT[place * draws : (place + 1) * draws].numpy()
        assert ((pairs[:, 1] == PAD) == np.isin(pairs[:, 0], STOPS)).all()
        observed_VW = np.zeros_like(chance_VW)
        np.add.at(observed_VW, (pairs[:, 0], pairs[:, 1]), 1)
        class_V, class_W = np.arange(len(first_V)) % classes, np.arange(len(first_V) + 1) % classes
        class_W[PAD] = classes
        observed, expected = np.zeros((2, classes, classes + 1))
        for table, values_VW in ((observed, observed_VW), (expected, chance_VW * draws)):
            np.add.at(table, (class_V[:, None], class_W), values_VW)
        assert (observed[expected == 0.0] == 0).all()
        often = expected >= 5
        assert often.sum() > 100
        assert expected[often].sum() > 0.99 * draws
        assert stats.chisquare(observed[often], expected[often], sum_check=False).pvalue > 0.001


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_drawn_rows_carry_their_own_log_probabilities(policy: TreePolicy, temperature: float):
    prompts = torch.tensor([[20, 21, PAD], [20, 30, 31], [40, PAD, PAD]])
    drawn = sample(policy, prompts, 4, 25, generator(0, "rows"), stops=STOPS, temperature=temperature)
    scores = policy.score(prompts, drawn.completions_BT, drawn.prompt_B, (1.0, temperature), "constant")
    assert scores.entropy_BT is not None
    torch.testing.assert_close(drawn.logp_BT, scores.logp_KBT[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(drawn.sampler_logp_BT, scores.logp_KBT[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(drawn.entropy_BT, scores.entropy_BT, rtol=1e-4, atol=1e-4)
    assert drawn.mask_BT.sum() < drawn.mask_BT.numel(), "some rows must end early"


def test_prompts_in_parts_draw_the_same(policy: TreePolicy, monkeypatch: pytest.MonkeyPatch):
    prompts = torch.tensor([[20, 21, PAD], [20, 30, 31], [40, PAD, PAD]])
    whole = sample(policy, prompts, 4, 6, generator(0, "parts"), stops=STOPS)
    monkeypatch.setattr(tree_policy, "MAX_ROWS", 6)
    monkeypatch.setattr(tree_decoder, "LOGIT_NODES", 2)
    part = sample(policy, prompts, 4, 6, generator(0, "parts"), stops=STOPS)
    assert torch.equal(whole.completions_BT, part.completions_BT)
    torch.testing.assert_close(whole.logp_BT, part.logp_BT, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("nodes_per_depth", [1, 3])
def test_rows_that_leave_the_tree_draw_the_same(
    policy: TreePolicy, monkeypatch: pytest.MonkeyPatch, nodes_per_depth: int
):
    """Prompts of several lengths; rows end at different steps, and some split after they left."""
    prompts = torch.tensor([[20, 21, PAD], [20, 30, 31], [40, PAD, PAD]])
    whole = sample(policy, prompts, 20, 30, generator(0, "long"), stops=STOPS[:3])
    divided = []
    monkeypatch.setattr(tree_decoder, "SHORT_COMPLETION", 0)
    monkeypatch.setattr(tree_decoder, "MAX_NODES_PER_DEPTH", nodes_per_depth)
    divide = tree_decoder._SharedCache.divided
    monkeypatch.setattr(tree_decoder._SharedCache, "divided", lambda cache: divided.append(cache) or divide(cache))
    apart = sample(policy, prompts, 20, 30, generator(0, "long"), stops=STOPS[:3])
    assert len(divided) == 1
    assert torch.equal(whole.completions_BT, apart.completions_BT)
    torch.testing.assert_close(whole.logp_BT, apart.logp_BT, rtol=1e-4, atol=1e-4)
    assert len(set(whole.mask_BT.sum(dim=1).tolist())) > 5


def test_greedy_follows_the_most_likely_token(policy: TreePolicy):
    prompts = torch.tensor([[20, 21, PAD], [20, 30, 31], [40, 41, 42]])
    found = greedy(policy, prompts, 3, stops=STOPS)
    for prompt, completion in zip(prompts, found, strict=True):
        tokens = prompt[prompt != PAD]
        for token in completion[completion != PAD]:
            assert token == policy.language_model(tokens[None]).logits[0, -1].argmax()
            tokens = torch.cat([tokens, token[None]])


def test_bfloat16_is_for_training_only(folder: Path, policy: TreePolicy, rows: Rows):
    half = TreePolicy.load(PretrainedConfig(pretrained=str(folder), dtype="bfloat16"), CPU)
    exact = policy.score(*rows).logp_KBT
    assert torch.equal(half.score(*rows).logp_KBT, exact)
    with half.training_precision():
        rounded = half.score(*rows).logp_KBT
    assert 1e-4 < (rounded - exact).abs().max() < 1.0
    assert rounded.dtype == torch.float32
    assert (policy.sampler_is_exact, half.sampler_is_exact) == (True, False)


def test_a_model_that_ignores_the_mask_is_refused(policy: TreePolicy, monkeypatch: pytest.MonkeyPatch):
    """As if its attention were plain causal: a node sees those before it in the row, of other branches too."""
    read = TreePolicy.read

    def causal(self: TreePolicy, token_RU, depth_RU, sees_RUN, cache=None) -> torch.Tensor:
        return read(self, token_RU, depth_RU, np.tril(np.ones_like(sees_RUN)), cache)

    monkeypatch.setattr(TreePolicy, "read", causal)
    with pytest.raises(InputError, match="log-probabilities from a token tree differ by"):
        policy.check()


@pytest.mark.parametrize(
    "settings", [{"layer_types": ["full_attention", "sliding_attention"]}, {"sliding_window": 64}], ids=str
)
def test_layers_with_a_window_are_refused(policy: TreePolicy, settings: dict):
    policy.language_model.config.update({"sliding_window": 64} | settings)
    with pytest.raises(InputError, match="no full attention"):
        policy.check()


def gradient(policy: TreePolicy) -> torch.Tensor:
    return torch.cat([weight.grad.flatten().clone() for weight in policy.parameters() if weight.grad is not None])


@torch.no_grad()
def two_steps(policy: TreePolicy, prompt: list[int], temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """(V,) probabilities of the first token, and (V, V) of the second after each first."""
    size = policy.vocab_size
    both = torch.tensor([[*prompt, token] for token in range(size)])
    logits = policy.language_model(both).logits[:, -2:].double()
    probs = (logits / temperature).softmax(dim=2).numpy()
    return probs[0, 0], probs[:, 1]
