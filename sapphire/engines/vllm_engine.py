"""vLLM in this process, for batches of many notes: it is given many at once, fills its batches, and gets the next while it works.

The app never does this; it asks a vLLM server (see `server`).
"""

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sapphire.engines import Cancelled, Completion, EngineError, EngineLost, Sampling
from sapphire.engines.chat import begun
from sapphire.engines.decoding import ANSWER
from sapphire.engines.model_folder import Model
from sapphire.engines.titles import titles
from sapphire.engines.two_step import Attempt, Written, spelt
from sapphire.prompts import Case, messages

AHEAD = 1024  # notes that vLLM holds: enough to keep it full
FEED = 32  # notes handed over between two of its steps, so that the first do not wait until all are written as tokens
CONTEXT = 8192  # tokens; longer models are cut to it so that the cache fits


class VllmEngine:
    """See `engines.Engine`. One caller at a time; `seconds` of a completion is its share of the time that all took."""

    ahead = AHEAD

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
        self._open: dict[
            str, tuple[_Note, list[Attempt], str]
        ] = {}  # by request: whose it is, and vLLM's own name for it
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
                # A prompt cut in two and a sample with a seed of its own together stop vLLM 0.31 on a CPU.
                enable_chunked_prefill=torch.cuda.is_available(),
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
        answer = next(self.score([case], replace(sampling, n=1), cancel))
        if isinstance(answer, EngineError):
            raise answer
        yield answer[0].text
        return answer[0]

    def score(
        self, cases: Iterable[Case | str], sampling: Sampling, cancel: threading.Event | None = None
    ) -> Iterator[list[Completion] | EngineError]:
        """See `engines.Engine.score`. Notes are handed over while vLLM works, and each goes on by itself from its reasoning to its title, so
        that vLLM never waits for the last of a batch."""
        source, waiting, last = iter(cases), deque[_Note](), time.monotonic()
        try:
            while True:
                for case in islice(source, min(FEED, self.ahead - len(waiting))):
                    waiting.append(self._begin(case, sampling))
                while waiting and not waiting[0].open:
                    yield waiting.popleft().answer()
                if not waiting:
                    return
                if cancel and cancel.is_set():
                    raise Cancelled("The model was stopped.")
                if whole := self._step(sampling):
                    share = (time.monotonic() - last) / (len(whole) * sampling.n)
                    last = time.monotonic()
                    for note in whole:
                        note.seconds = share
        finally:
            self._abandon()

    def close(self) -> None:
        """Free the model's memory."""
        self._llm = None

    def _begin(self, case: Case | str, sampling: Sampling) -> "_Note":
        """Hand a note over to vLLM, or say why not."""
        room = sampling.max_thinking + ANSWER
        chat = messages(case, self.card.prompt, self.card.drg_version)
        rendered = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        tokens = self._encode(rendered)
        if len(tokens) + room > self._context:
            refusal = EngineError(
                f"The note takes {len(tokens):,} tokens with its prompt and the answer up to {room:,}, but {self.card.name} "
                f"holds {self._context:,}; shorten the note or choose a model with a longer context."
            )
            return _Note(tokens, [], refusal)
        start = begun(rendered)
        attempts = [Attempt(sampling, self.card.drg_version, start) for _ in range(sampling.n)]
        note = _Note(tokens, attempts, begun=len(start))
        # Greedy samples are all the same to vLLM, which refuses to draw them in one request.
        together = [note.attempts] if sampling.temperature else [[attempt] for attempt in note.attempts]
        for some in together:
            self._ask(note, some, self._how(sampling, room, n=len(some), seed=sampling.seed))
        return note

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _step(self, sampling: Sampling) -> list["_Note"]:
        """Let vLLM go on by one step; the notes that became whole."""
        try:
            outputs = self._llm.llm_engine.step()
        except Exception as error:
            raise EngineLost(
                f"vLLM broke off ({type(error).__name__}); look at the free memory, then try again."
            ) from None
        whole = []
        for output in outputs:
            if not output.finished:
                continue
            note, attempts, _ = self._open.pop(output.request_id)
            note.open -= 1
            for attempt, said in zip(attempts, sorted(output.outputs, key=lambda each: each.index), strict=True):
                attempt.take(_written(said))
                if attempt.wants:
                    self._go_on(note, attempt, sampling)
            if not note.open:
                whole.append(note)
        return whole

    def _go_on(self, note: "_Note", attempt: Attempt, sampling: Sampling) -> None:
        """Once more from what stands of it: freely, or with a title."""
        from vllm.sampling_params import StructuredOutputsParams

        if attempt.wants == "title":
            choice = StructuredOutputsParams(choice=titles(self.card.drg_version).all())
            how = self._how(sampling, ANSWER, structured_outputs=choice)
        else:
            how = self._how(sampling, sampling.max_thinking + ANSWER)
        self._ask(note, [attempt], how)

    def _how(self, sampling: Sampling, limit: int, **more: Any) -> Any:
        from vllm.sampling_params import RequestOutputKind

        return self._vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=limit,
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **more,
        )

    def _ask(self, note: "_Note", attempts: list[Attempt], how: Any) -> None:
        """Ask for what the attempts want, which is the same and stands at the same text."""
        written = attempts[0].text[note.begun :]
        tokens = note.tokens + (self._encode(written) if written else [])
        name = str(next(self._llm.request_counter))
        prompt = self._vllm.TokensPrompt(prompt_token_ids=tokens)
        inner = self._llm.llm_engine.add_request(name, prompt, how, lora_request=self._adapter)
        self._open[name] = note, attempts, inner
        note.open += 1

    def _abandon(self) -> None:
        """Give up what is still at work, after a cancel or an error."""
        if self._open and self._llm:
            self._llm.llm_engine.abort_request([inner for *_, inner in self._open.values()], internal=True)
        self._open.clear()


@dataclass
class _Note:
    """A note on its way: its prompt's tokens, its attempts, how many characters of each the prompt already holds, and `open`, the number of
    requests at work for it."""

    tokens: list[int]
    attempts: list[Attempt]
    refusal: EngineError | None = None
    begun: int = 0
    open: int = 0
    seconds: float = 0.0

    def answer(self) -> list[Completion] | EngineError:
        return self.refusal or [attempt.completion(self.seconds) for attempt in self.attempts]


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
