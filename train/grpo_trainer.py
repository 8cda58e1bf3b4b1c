"""TRL's GRPOTrainer where it has no setting for what we need: resampling, Dr. GRPO's constant, rollouts, and where time goes."""

import json
import os
import random
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from train.online import Estimate
from train.recipe import Recipe
from train.resample import TEMPERATURES, resample
from train.rewards import Rewards
from train.run import Run, write_whole
from train.temperatures import calls, drawing_at

DR_GRPO_TOKENS = 1024  # the paper's constant, whatever length completions may have


class EpochSampler(RepeatSampler):
    """TRL's sampler, with an order of its own in each epoch, so that a run resumed in the second does not repeat the first."""

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            self.generator.manual_seed(self.seed + epoch)


class Trainer(GRPOTrainer):
    def __init__(self, *args: Any, recipe: Recipe, run: Run, rewards: Rewards, **kwargs: Any):
        self.recipe, self.run_folder, self.rewards = recipe, run.folder, rewards
        self._rows: list[dict] = []
        self._new_rollouts = False
        self.estimate = Estimate()
        super().__init__(*args, **kwargs)
        self._drgs = self.train_dataset["drg"][:]

    def _get_train_sampler(self, dataset=None):
        theirs = super()._get_train_sampler(dataset)
        return EpochSampler(
            theirs.data_source,
            theirs.mini_repeat_count,
            theirs.batch_size,
            theirs.repeat_count,
            theirs.shuffle,
            theirs.seed,
        )

    @contextmanager
    def _timed(self, name: str):
        began = time.perf_counter()
        yield
        self._note(f"seconds/{name}", time.perf_counter() - began)

    def _note(self, name: str, value: float) -> None:
        self._metrics["train" if self.model.training else "eval"][name].append(value)

    def _generate_and_score_completions(self, inputs):
        self._rows, self._new_rollouts = inputs, True
        return super()._generate_and_score_completions(inputs)

    def _generate(self, prompts):
        self._prompts = prompts
        with self._timed("generation"):
            return super()._generate(prompts)

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, **kwargs):
        draw = super()._generate_single_turn
        ids, logprobs = draw(prompt_ids, images, multimodal_fields, num_generations, **kwargs)
        mode = self.recipe.resample
        if mode == "none" or not self.model.training:
            return ids, logprobs
        seed = f"{self.args.seed} {self.state.global_step} {self.accelerator.process_index}"
        chance = random.Random(seed)

        def sample(rows: list[int], temperatures: list[float]) -> list[tuple]:
            if mode == "fresh":
                self._give_way(rows[::num_generations], prompt_ids, chance)
            drawn: dict[int, tuple] = {}
            for places in calls(self, temperatures):
                with drawing_at(self, [temperatures[place] for place in places]):
                    ids = [prompt_ids[rows[place]] for place in places]
                    drawn |= zip(places, _pairs(*draw(ids, images, multimodal_fields, num_generations)), strict=True)
            return [drawn[place] for place in range(len(rows))]

        def score(rows: list[int], drawn: list[tuple]) -> list[float]:
            return self.rewards.totals([ids for ids, _ in drawn], _columns([self._rows[row] for row in rows]))

        temperatures = (self.temperature,) if mode == "fresh" else TEMPERATURES
        kept, again, drawn_at = resample(
            _pairs(ids, logprobs), num_generations, mode, self.recipe.attempts, sample, score, seed, temperatures
        )
        self._log_completion_extra("resampled", again)
        self._log_completion_extra("temperature", [self.temperature if t is None else t for t in drawn_at])
        self._log_metric("resampled/groups", sum(map(bool, again)) / len(again))
        self._log_metric("resampled/completions", sum(again) / len(again))
        return [ids for ids, _ in kept], logprobs and [logprob for _, logprob in kept]

    def _give_way(self, firsts: list[int], prompt_ids: list, chance: random.Random) -> None:
        """Put other cases in the places of the groups that begin at these rows: prompts, token ids and labels."""
        chosen = self.estimate.draw(self._drgs, len(firsts), chance)
        for first, row in zip(firsts, (self.train_dataset[at] for at in chosen), strict=True):
            ids = self._tokenize_prompts([row["prompt"]])[0][0]
            for at in range(first, first + self.num_generations):
                self._rows[at], self._prompts[at], prompt_ids[at] = row, row["prompt"], ids

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        with self._timed("reward"):
            each = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        groups = (each * self.reward_weights.to(each.device)).nansum(dim=1).view(-1, self.num_generations)
        self._note("reward_spread", groups.std(dim=1).mean().item())
        return each

    def _compute_loss(self, model, inputs):
        if self.loss_type != "dr_grpo":
            return super()._compute_loss(model, inputs)
        # TRL divides by the longest completion that is allowed, and reads it for nothing else in here.
        longest, self.max_completion_length = self.max_completion_length, DR_GRPO_TOKENS
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self.max_completion_length = longest

    def log(self, logs, start_time=None):
        if "loss" in logs and self.model.training:
            done = self._metrics["train"]
            spent = sum(done["seconds/generation"]) + sum(done["seconds/reward"])
            logs |= {"beta": self.beta, "seconds/training": max(sum(done["step_time"]) - spent, 0.0)}
            if self._new_rollouts:
                self.estimate.learn(self._logs["extra"]["drg"], self._logs["rewards"]["right"])
                if self.accelerator.is_main_process:
                    self._write_rollouts()
            self._new_rollouts = False
        super().log(logs, start_time)

    def _save_checkpoint(self, model, trial):
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = self.run_folder / f"checkpoint-{self.state.global_step}"
            write_whole(folder / "estimate.json", json.dumps(self.estimate.counts).encode())

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint:
            self.estimate = Estimate(json.loads(Path(checkpoint, "estimate.json").read_text()))

    def _write_rollouts(self) -> None:
        """completions/step-N.parquet: a row for each completion, for the owner alone, there at once or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        logs, names = self._logs, list(self.rewards.weights)
        columns = {name: list(logs["rewards"][name]) for name in names}
        weighted = zip(
            *([weight * value for value in columns[name]] for name, weight in self.rewards.weights.items()), strict=True
        )
        reward = [sum(value for value in row if value == value) for row in weighted]  # a term that is not known is NaN
        extra = {name: list(values) for name, values in logs["extra"].items()}
        table = pa.table(
            {
                "step": [self.state.global_step] * len(reward),
                "case_id": extra.pop("case_id"),
                "prompt": list(logs["prompt"]),
                "completion": extra.pop("text"),
                **extra,
                **columns,
                "reward": reward,
                "advantage": list(logs["advantages"]),
            }
        )
        folder = self.run_folder / "completions"
        folder.mkdir(mode=0o700, exist_ok=True)
        part = folder / ".part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            pq.write_table(table, out, compression="zstd")
        part.replace(folder / f"step-{self.state.global_step:06d}.parquet")


def _pairs(ids: list, logprobs: list | None) -> list[tuple]:
    """Each completion's token ids with what vLLM says of their log-probabilities, None with transformers."""
    return list(zip(ids, logprobs or [None] * len(ids), strict=True))


def _columns(rows: list[dict]) -> dict[str, list]:
    return {name: [row[name] for row in rows] for name in rows[0]}
