"""Each loss, the advantages and the KL term of our GRPO trainer against a computation by hand, on a tiny random model."""

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import pyarrow.parquet as pq  # noqa: E402

from tests.training import recipe as write_recipe  # noqa: E402
from train import grpo, policy, tiny  # noqa: E402
from train.grpo_trainer import DR_GRPO_TOKENS  # noqa: E402
from train.kl import cosine  # noqa: E402
from train.recipe import read_recipe, trl_config  # noqa: E402
from train.run import Run  # noqa: E402
from train.temperatures import drawing_at  # noqa: E402

pytestmark = pytest.mark.torch
BETA, STEPS = 0.04, 2  # micro-batches a step


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trainer on the tiny random model, whose reference is another model, so that the KL term is not 0."""
    place = tmp_path_factory.mktemp("losses")
    model, rows = tiny.save_base(place / "base"), tiny.write_rows(place / "rows.jsonl")
    recipe = read_recipe(write_recipe(place / "x.yaml", "grpo", model, rows))
    config = trl_config(recipe, place / "runs")
    found = policy.found(recipe)
    trainer = grpo.trainer(recipe, Run(recipe, place), found, policy.tokenizer(found), _rows(), config)
    with torch.no_grad():
        for weight in trainer.ref_model.parameters():
            weight.mul_(0.9)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = STEPS
    return trainer


def _rows() -> list[dict]:
    return [{key: row[key] for key in ("prompt", "case_id", "drg", "drg_version")} for row in tiny.rows()]


def batch(trainer) -> dict:
    """Two completions of 3 and 5 tokens after a prompt of 4."""
    torch.manual_seed(5)
    inputs = {
        "prompt_ids": torch.randint(2, 500, (2, 4)),
        "prompt_mask": torch.ones(2, 4, dtype=torch.long),
        "completion_ids": torch.randint(2, 500, (2, 5)),
        "completion_mask": torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]),
        "advantages": torch.tensor([1.5, -0.5]),
        "num_items_in_batch": torch.tensor(13),  # 5 tokens more in the step's other micro-batch
    }
    return inputs | {"ref_per_token_logps": logps(trainer.ref_model, inputs)}


def logps(model, inputs) -> torch.Tensor:
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, 3:-1].log_softmax(-1)
    return logits.gather(-1, inputs["completion_ids"].unsqueeze(-1)).squeeze(-1)


# What each loss divides the sum over tokens by, for completions of 3 and 5 tokens. "grpo" is a mean of means, hence a row each.
DIVISORS = {
    "grpo": torch.tensor([[2 * 3.0], [2 * 5.0]]),
    "bnpo": torch.tensor(8.0),  # the paper's "DAPO": tokens of the micro-batch
    "dapo": torch.tensor(13.0 / STEPS),  # tokens of the step
    "dr_grpo": torch.tensor(2.0 * DR_GRPO_TOKENS),
}


@pytest.mark.parametrize("loss_type", DIVISORS)
def test_each_loss_is_what_one_computes_by_hand(made, loss_type):
    inputs = batch(made)
    made.loss_type = loss_type
    own, reference, mask = logps(made.model, inputs), inputs["ref_per_token_logps"], inputs["completion_mask"]
    kl = torch.exp(reference - own) - (reference - own) - 1
    # On-policy the ratio is 1: a token's loss is minus its advantage, plus the KL term.
    token = -inputs["advantages"].unsqueeze(1) + BETA * kl
    by_hand = (token * mask / DIVISORS[loss_type]).sum() / STEPS
    assert made._compute_loss(made.model, inputs).item() == pytest.approx(by_hand.item(), rel=1e-4)
    assert made.max_completion_length == 40  # Dr. GRPO's constant is only lent
    assert (kl * mask).sum() > 0.01


def test_the_gradient_is_the_policy_gradients(made):
    """The ratio's value is 1 but its gradient is that of the log-probability: advantage times its gradient, averaged."""
    inputs = batch(made)
    made.loss_type, made.beta = "bnpo", 0.0
    made.model.zero_grad()
    made._compute_loss(made.model, inputs).backward()
    weight = made.model.lm_head.weight
    theirs = weight.grad.clone()
    made.model.zero_grad()
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    logits = made.model(input_ids=ids, attention_mask=mask).logits[:, 3:-1].log_softmax(-1)
    own = logits.gather(-1, inputs["completion_ids"].unsqueeze(-1)).squeeze(-1)
    (-(inputs["advantages"].unsqueeze(1) * own * inputs["completion_mask"]).sum() / 8 / STEPS).backward()
    made.beta = BETA
    torch.testing.assert_close(theirs, weight.grad, rtol=1e-3, atol=1e-6)


def test_the_kl_decay_step_by_step():
    assert [round(cosine(0.04, step, 4), 5) for step in range(4)] == [0.04, 0.03414, 0.02, 0.00586]
    assert cosine(0.04, 4, 4) == pytest.approx(0)


@pytest.mark.parametrize("scale", ["group", "none"])
def test_advantages_are_rewards_less_their_groups_mean(made, scale, tmp_path):
    """As the rollouts record them: over the group's standard deviation, or, for Dr. GRPO, as they are."""
    made.scale_rewards, made.run_folder = scale, Path(tmp_path)
    gold = [[2.0, -2.0, -0.5, 2.0], [-2.0, -2.0, -2.0, -2.0]]
    flat = iter([value for group in gold for value in group])
    scores = dataclasses.replace(made.rewards)
    scores.terms = lambda ids, rows: {
        name: [next(flat) if name == "accuracy" else 0.0 for _ in ids] for name in scores.weights
    }
    before, made.reward_funcs = made.reward_funcs, grpo.functions(scores)
    inputs = [row for row in _rows()[:2] for _ in range(4)]
    try:
        made._generate_and_score_completions(inputs)
    finally:
        made.reward_funcs = before
    made._write_rollouts()
    table = pq.read_table(tmp_path / "completions/step-000000.parquet").to_pydict()
    rewards = torch.tensor(gold)
    by_hand = rewards - rewards.mean(1, keepdim=True)
    if scale == "group":
        by_hand /= rewards.std(1, keepdim=True) + 1e-4
    assert table["reward"] == [value for group in gold for value in group]
    assert table["advantage"] == pytest.approx(by_hand.flatten().tolist(), abs=1e-4)
    assert made._metrics["train"]["reward_spread"][-1] == pytest.approx(rewards.std(1).mean().item())
    assert made._metrics["train"]["frac_reward_zero_std"][-1] == 0.5


def test_each_row_is_drawn_at_its_own_temperature(made):
    """Nearly 0 is the likeliest token each time; 1, the training's own, is what is drawn without a word of temperatures."""
    prompts = made._tokenize_prompts([_rows()[0]["prompt"]] * 6)[0]

    def drawn() -> list[list[int]]:
        torch.manual_seed(7)
        return made._generate_single_turn(prompts, None, {}, 2)[0]

    plain = drawn()
    with drawing_at(made, [1.0] * 6):
        assert drawn() == plain
    with drawing_at(made, [1e-4, 1e-4, 1.0, 1.0, 0.7, 0.7]):
        cold, same, *warm = drawn()
    assert cold == same and all(row != cold for row in warm) and warm[:2] == plain[2:4] and warm[2:] != plain[4:]
    likeliest = made.model(input_ids=torch.tensor([prompts[0]])).logits[0, -1].argmax().item()
    assert cold[0] == likeliest and drawn() == plain
