"""Dynamic resampling on an engine that returns dead groups, and the estimate by which fresh cases are drawn."""

import random
from types import SimpleNamespace

import pytest

from train.online import Estimate
from train.recipe import Recipe, RecipeError
from train.resample import TEMPERATURES, dead, refuse, resample


class Engine:
    """Completions are rewards themselves; each call takes the next of a script, group by group."""

    def __init__(self, *calls):
        self.calls, self.asked, self.temperatures = list(calls), [], []

    def sample(self, rows, temperatures):
        assert len(rows) == len(temperatures)
        self.asked.append(rows)
        self.temperatures.append(temperatures)
        return self.calls.pop(0)

    def score(self, rows, drawn):
        return list(drawn)


def test_what_is_dead():
    assert dead([2, 2, 2], "neutral") and not dead([2, 2, -2], "neutral")
    assert dead([-2, -0.5, 0], "positive") and not dead([-2, -0.5, 0.5], "positive")


def test_all_dead_groups_are_drawn_in_one_call_until_they_live():
    whole = [-2, -2, 2, -2, 0, 0, 0, 1, 0, 1]
    engine = Engine([-2, -2, -2, 2, 3, 3, 5, 6], [1, -2] + [9, 9] * 4)
    done, again, temperatures = resample(whole, 2, "neutral", 12, engine.sample, engine.score, "7")
    assert engine.asked == [[0, 1, 4, 5] * 2, [0, 1] * 5]  # never more completions than the step has
    assert done == [1, -2, 2, -2, -2, 2, 0, 1, 0, 1]  # of several attempts the first that lives
    assert again == [3, 3, 0, 0, 1, 1, 0, 0, 0, 0]
    first, second = engine.temperatures
    assert temperatures == [*second[:2], None, None, *first[2:4], *[None] * 4]


def test_attempts_are_made_in_as_few_calls_as_the_steps_size_allows():
    engine = Engine([0, 0] * 11 + [3, 4])
    done, again, _ = resample([0, 0] + [0, 1] * 11, 2, "neutral", 12, engine.sample, engine.score, "7")
    assert (engine.calls, done[:2], again[:2], again[2:]) == ([], [3, 4], [12, 12], [0] * 22)
    engine = Engine(*[[0, 0] * 6] * 2)
    again = resample([0, 0] + [0, 1] * 5, 2, "neutral", 12, engine.sample, engine.score, "7")[1]
    assert engine.calls == [] and again[:2] == [12, 12]
    engine = Engine(*[[0] * 4] * 12)
    again = resample([0] * 4 + [0, 1], 2, "neutral", 12, engine.sample, engine.score, "7")[1]
    assert engine.calls == [] and again == [12] * 4 + [0] * 2  # two groups of three are dead: one attempt a call
    engine = Engine(*[[0, 0]] * 3)
    assert resample([0, 0] + [0, 1] * 5, 2, "fresh", 3, engine.sample, engine.score, "7")[1][:2] == [3, 3]


def test_each_attempt_of_each_group_has_a_temperature_of_its_own():
    engine = Engine([0] * 240)
    resample([0] * 4 * 5 + [0, 0, 0, 1] * 55, 4, "neutral", 12, engine.sample, engine.score, "7")
    (heat,) = engine.temperatures
    groups = [set(heat[at : at + 4]) for at in range(0, 240, 4)]
    assert all(len(group) == 1 for group in groups)
    assert {value for group in groups for value in group} == set(TEMPERATURES)


def test_positive_also_wants_a_reward_above_zero_and_gives_up_after_its_attempts():
    engine = Engine(*[[-2, -1]] * 3)
    done, again, _ = resample([-2, -0.5], 2, "positive", 3, engine.sample, engine.score, "7")
    assert (done, again, engine.calls) == ([-2, -1], [3, 3], [])


def test_without_dead_groups_nothing_is_drawn_and_a_seed_draws_the_same_temperatures():
    assert resample([1, 2], 2, "neutral", 12, None, lambda rows, drawn: drawn, "7")[1] == [0, 0]
    runs = []
    for seed in ("7", "7", "8"):
        engine = Engine(*[[0, 0]] * 12)
        resample([0, 0], 2, "neutral", 12, engine.sample, engine.score, seed)
        runs.append(engine.temperatures)
    assert runs[0] == runs[1] != runs[2]


CONFIG = {
    "per_device_train_batch_size": 8, "steps_per_generation": 2, "num_generations": 4, "use_vllm": True, "vllm_mode": "colocate",
    "vllm_importance_sampling_correction": False, "vllm_enable_sleep_mode": False, "vllm_tensor_parallel_size": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "processes", "sharded", "words"),
    [
        ({"num_generations": 5}, 1, False, "whole groups"),
        ({"vllm_importance_sampling_correction": True}, 1, False, "cancels"),
        ({"vllm_enable_sleep_mode": True}, 1, False, "sleep mode"),
        ({"vllm_mode": "server"}, 2, False, "deadlock"),
        ({"vllm_tensor_parallel_size": 2}, 2, False, "deadlock"),
        ({"use_vllm": False}, 2, True, "deadlock"),
    ],
)
def test_combinations_that_deadlock_or_cancel_are_refused(changes, processes, sharded, words):
    recipe = Recipe("grpo", "x", "m", ("d",), resample="neutral")
    refuse(recipe, SimpleNamespace(**CONFIG), 2, True)
    with pytest.raises(RecipeError, match=words):
        refuse(recipe, SimpleNamespace(**(CONFIG | changes)), processes, sharded)
    refuse(Recipe("grpo", "x", "m", ("d",)), SimpleNamespace(**(CONFIG | changes)), processes, sharded)


def test_fresh_cases_are_drawn_where_answers_are_neither_always_right_nor_always_wrong():
    estimate = Estimate()
    estimate.learn(["easy"] * 98 + ["hard"] * 98 + ["open"] * 98, [1] * 98 + [0] * 98 + [0, 1] * 49)
    assert estimate.signal("unseen") == estimate.signal("open") == 0.25
    assert [estimate.signal(drg) for drg in ("easy", "hard")] == pytest.approx([0.0099] * 2)
    drgs = ["easy", "hard", "open", "unseen"] * 5
    drawn = [drgs[at] for at in estimate.draw(drgs, 2000, random.Random(3))]
    share = (drawn.count("open") + drawn.count("unseen")) / 2000
    assert share == pytest.approx(0.25 / 0.2599, abs=0.02)
    assert Estimate(estimate.counts).signal("easy") == estimate.signal("easy")


@pytest.mark.torch
def test_vllm_in_process_gets_sampling_parameters_for_each_row_and_a_server_a_request_for_each_temperature():
    pytest.importorskip("torch")
    from train.temperatures import calls, drawing_at

    class Vllm:
        def generate(self, prompts, sampling_params, use_tqdm):
            return [(prompt, params.temperature) for prompt, params in zip(prompts, sampling_params, strict=True)]

    shared = SimpleNamespace(temperature=1.0)
    trainer = SimpleNamespace(use_vllm=True, vllm_mode="colocate", vllm_generation=SimpleNamespace(llm=Vllm()))
    assert calls(trainer, [0.7, 0.9, 0.7]) == [[0, 1, 2]]
    with drawing_at(trainer, [0.7, 0.9, 0.7]):
        drawn = trainer.vllm_generation.llm.generate(["a", "b", "c"], sampling_params=shared, use_tqdm=False)
    assert drawn == [("a", 0.7), ("b", 0.9), ("c", 0.7)] and shared.temperature == 1.0
    assert "generate" not in vars(trainer.vllm_generation.llm)
    trainer = SimpleNamespace(use_vllm=True, vllm_mode="server", vllm_generation=SimpleNamespace(temperature=1.0))
    assert calls(trainer, [0.9, 0.7, 0.9]) == [[1], [0, 2]]
    with drawing_at(trainer, [0.9, 0.9]):
        assert trainer.vllm_generation.temperature == 0.9
    assert trainer.vllm_generation.temperature == 1.0
