"""Each completion of one call drawn at a temperature of its own, for which TRL, transformers and vLLM's server have one setting a call."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from typing import Any

import torch


def calls(trainer: Any, each: Sequence[float]) -> list[list[int]]:
    """The places in `each` that one call of TRL's draws: all of them, but a vLLM server takes one temperature a request."""
    if not trainer.use_vllm or trainer.vllm_mode == "colocate":
        return [list(range(len(each)))]
    return [[at for at, value in enumerate(each) if value == one] for one in sorted(set(each))]


def drawing_at(trainer: Any, each: Sequence[float]) -> AbstractContextManager[None]:
    """Draw the rows of the call inside it at these temperatures; training's log-probabilities keep the trainer's own."""
    if not trainer.use_vllm:
        head = trainer.accelerator.unwrap_model(trainer.model).get_output_embeddings()
        # transformers divides by the trainer's temperature afterwards
        return _logits_divided(head, torch.tensor(each, device=trainer.accelerator.device) / trainer.temperature)
    if trainer.vllm_mode == "colocate":
        return _own_sampling(trainer.vllm_generation.llm, each)
    return _one_for_all(trainer.vllm_generation, each[0])


@contextmanager
def _logits_divided(head: torch.nn.Module, by: torch.Tensor) -> Iterator[None]:
    """`by` has one number a row; logits are rows, positions, tokens."""
    hook = head.register_forward_hook(lambda module, given, logits: logits.float() / by[:, None, None])
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _own_sampling(llm: Any, each: Sequence[float]) -> Iterator[None]:
    whole = llm.generate

    def generate(prompts: list, sampling_params: Any, **rest: Any) -> list:
        own = [copy(sampling_params) for _ in each]
        for params, temperature in zip(own, each, strict=True):
            params.temperature = temperature
        return whole(prompts, own, **rest)

    llm.generate = generate
    try:
        yield
    finally:
        del llm.generate


@contextmanager
def _one_for_all(generation: Any, temperature: float) -> Iterator[None]:
    before, generation.temperature = generation.temperature, temperature
    try:
        yield
    finally:
        generation.temperature = before
