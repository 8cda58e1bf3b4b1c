"""vLLM in this process, for batches of many notes: every prompt goes to the engine at once and vLLM fills its batches.

The app never does this; it asks a vLLM server (see `server`).
"""

import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from sapphire.engines import Cancelled, Completion, EngineError, Sampling
from sapphire.engines.chat import begun
from sapphire.engines.decoding import ANSWER
from sapphire.engines.model_folder import Model
from sapphire.engines.titles import titles
from sapphire.engines.two_step import Attempt, Written, spelt
from sapphire.prompts import Case, messages

BATCH = 512  # notes that vLLM is given at once: enough to keep it full, few enough to store and to stop in between
CONTEXT = 8192  # tokens; longer models are cut to it so that the cache fits


class VllmEngine:
    """See `engines.Engine`. One batch at a time; `seconds` of a completion is its share of the batch's time."""

    def __init__(self, model: Model):
        self.card = model.card
        # Before the import: vLLM and what it stands on tell nobody that they run.
        os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_TELEMETRY="1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        try:
            import torch
            import vllm
            from vllm.lora.request import LoRARequest
        except ImportError as error:
            raise EngineError(
                f"The package {error.name} is not installed; run `pip install -r requirements.txt` on a machine with a GPU."
            ) from error
        self._vllm = vllm
        self._context = _context(model.weights)
        self._adapter = LoRARequest("adapter", 1, model.adapter) if model.adapter else None
        try:
            self._llm = vllm.LLM(
                model.weights,
                max_model_len=self._context,
                enable_prefix_caching=True,  # the introduction that all notes share is read once
                enable_lora=bool(model.adapter),
                max_lora_rank=_rank(model.adapter),
                # On a CPU, compiling takes longer than it saves, and half precision is slow.
                enforce_eager=not torch.cuda.is_available(),
                dtype="auto" if torch.cuda.is_available() else "float32",
                disable_log_stats=True,
            )
        except Exception as error:  # of many kinds, and with long words
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise EngineError(
                f"vLLM cannot load {model.weights} ({reason}); check the folder and the free memory."
            ) from error
        self._tokenizer = self._llm.get_tokenizer()
        if not self._tokenizer.chat_template:
            raise EngineError(f"The tokenizer of {model.weights} has no chat template; add one (chat_template.jinja).")

    def stream(
        self, case: Case | str, sampling: Sampling, cancel: threading.Event | None = None
    ) -> Generator[str, None, Completion]:
        """See `engines.Engine.stream`; the whole completion comes as one piece."""
        (completion,) = next(self.score([case], replace(sampling, n=1), cancel))
        yield completion.text
        return completion

    def score(
        self, cases: Iterable[Case | str], sampling: Sampling, cancel: threading.Event | None = None
    ) -> Iterator[list[Completion]]:
        """See `engines.Engine.score`. Looks at `cancel` between batches."""
        source = iter(cases)
        while batch := list(islice(source, BATCH)):
            if cancel and cancel.is_set():
                raise Cancelled("The model was stopped.")
            prompts, refusal = self._prompts(batch, sampling)
            yield from self._batch(prompts, sampling)
            if refusal:
                raise refusal

    def close(self) -> None:
        """Free the model's memory."""
        self._llm = None

    def _prompts(
        self, cases: Sequence[Case | str], sampling: Sampling
    ) -> tuple[list[tuple[list[int], str]], EngineError | None]:
        """For each case its prompt's tokens and what of the completion the template already wrote; up to the first case that
        is too long, and the error for that one."""
        prompts, room = [], sampling.max_thinking + ANSWER
        for case in cases:
            chat = messages(case, self.card.prompt, self.card.drg_version)
            rendered = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            tokens = self._encode(rendered)
            if len(tokens) + room > self._context:
                return prompts, EngineError(
                    f"The note takes {len(tokens):,} tokens with its prompt and the answer up to {room:,}, but {self.card.name} "
                    f"holds {self._context:,}; shorten the note or choose a model with a longer context."
                )
            prompts.append((tokens, begun(rendered)))
        return prompts, None

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _batch(self, prompts: Sequence[tuple[list[int], str]], sampling: Sampling) -> list[list[Completion]]:
        began, version = time.monotonic(), self.card.drg_version
        attempts = [[Attempt(sampling, version, start) for _ in range(sampling.n)] for _, start in prompts]
        free = self._how(sampling, sampling.max_thinking + ANSWER, n=sampling.n, seed=sampling.seed)
        for some, answer in zip(attempts, self._ask([tokens for tokens, _ in prompts], free), strict=True):
            for attempt, output in zip(some, sorted(answer.outputs, key=lambda each: each.index), strict=True):
                attempt.take(_written(output))
        left = [(tokens, each) for (tokens, _), some in zip(prompts, attempts, strict=True) for each in some]
        while left := [(tokens, each) for tokens, each in left if each.wants]:
            self._go_on(left, sampling)
        seconds = (time.monotonic() - began) / max(1, len(prompts) * sampling.n)
        return [[each.completion(seconds) for each in some] for some in attempts]

    def _go_on(self, left: Sequence[tuple[list[int], Attempt]], sampling: Sampling) -> None:
        """Once more from what stands of each: freely, or with a title."""
        from vllm.sampling_params import StructuredOutputsParams

        choice = StructuredOutputsParams(choice=titles(self.card.drg_version).all())
        how = [
            self._how(sampling, ANSWER, structured_outputs=choice)
            if attempt.wants == "title"
            else self._how(sampling, sampling.max_thinking + ANSWER)
            for _, attempt in left
        ]
        answers = self._ask([tokens + self._encode(attempt.text) for tokens, attempt in left], how)
        for (_, attempt), answer in zip(left, answers, strict=True):
            attempt.take(_written(answer.outputs[0]))

    def _how(self, sampling: Sampling, limit: int, **more: Any) -> Any:
        return self._vllm.SamplingParams(
            temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=limit, logprobs=0, **more
        )

    def _ask(self, prompts: Sequence[list[int]], how: Any) -> list[Any]:
        tokens = [self._vllm.TokensPrompt(prompt_token_ids=each) for each in prompts]
        return self._llm.generate(tokens, how, lora_request=self._adapter, use_tqdm=False) if tokens else []


def _written(output: Any) -> Written:
    told = [next(iter(each.values())) for each in output.logprobs or []]
    return Written(
        output.text, spelt(output.text, [(t.decoded_token or "", t.logprob) for t in told]), len(output.token_ids)
    )


def _context(weights: str) -> int:
    from transformers import AutoConfig

    own = getattr(AutoConfig.from_pretrained(weights).get_text_config(), "max_position_embeddings", CONTEXT)
    return min(own, CONTEXT)


def _rank(adapter: str | None) -> int:
    """The rank of the adapter, rounded up to one that vLLM takes."""
    from sapphire.engines.model_folder import Path, read_card

    rank = read_card(Path(adapter, "adapter_config.json")).get("r", 16) if adapter else 16
    return next((each for each in (16, 32, 64, 128, 256) if each >= rank), 256)
