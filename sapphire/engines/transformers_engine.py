"""Any causal language model that transformers can load, from a folder or the hub, with a LoRA adapter if asked, on GPU or CPU.

One sequence at a time, with the key-value cache kept between calls; for many notes on a GPU a vLLM server is the faster way.
Code that a model brings along is never run (`trust_remote_code` stays off).
"""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from sapphire.engines import EngineError, Sampling
from sapphire.engines.backend import Part, Token, Watch
from sapphire.engines.chat import begun
from sapphire.engines.model_folder import Model
from sapphire.engines.titles import readable

CHUNK = 256  # prompt tokens between two looks at the watch
LONGEST = 4  # tokens that one character can take: its bytes in UTF-8
BROKEN = "\N{REPLACEMENT CHARACTER}"  # what an incomplete character is decoded to


class Transformers:
    """See `backend.Backend`. A context is token ids throughout."""

    def __init__(self, model: Model):
        self._torch, transformers = _libraries()
        self._name = model.card.name
        try:
            self._tokenizer = _tokenizer(transformers, model)
            self._model = _weights(self._torch, transformers, model)
        except EngineError:
            raise
        except Exception as error:  # of many kinds, safetensors' own among them
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise EngineError(
                f"The model {model.weights} cannot be loaded ({reason}); check that the folder is complete, or the name and "
                "the connection to the hub."
            ) from error
        if not self._tokenizer.chat_template:
            raise EngineError(f"The tokenizer of {model.weights} has no chat template; add one (chat_template.jinja).")
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        entries = self._tokenizer.get_vocab().items()
        self.vocabulary = readable(sorted((number, raw) for raw, number in entries if number not in special))
        ends = self._model.generation_config.eos_token_id
        self._ends = {self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self._context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or 1 << 31
        self._forget()

    def prompt(self, messages: list[dict[str, str]], room: int, fresh: bool) -> tuple[list[Part], str]:
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # jinja's, of which transformers lets several through
            raise EngineError(
                f"The chat template of {self._name} refuses a system and a user message ({error}); choose an "
                "instruction-tuned model."
            ) from error
        context = self.encode(text)
        if len(context) + room > self._context:
            raise EngineError(
                f"The note takes {len(context):,} tokens with its prompt and the answer up to {room:,}, but {self._name} "
                f"holds {self._context:,}; shorten the note or choose a model with a longer context."
            )
        if fresh:
            self._forget()
        return context, begun(text)

    def encode(self, text: str) -> list[Part]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def write(
        self,
        context: Sequence[Part],
        limit: int,
        sampling: Sampling,
        seed: int,
        accept: Callable[[Token], bool],
        watch: Watch,
    ) -> None:
        ids = list(context)
        chance = self._torch.Generator().manual_seed(seed)
        shown = len(ids)
        for _ in range(limit):
            token = self._draw(self._logits(ids, watch), sampling, chance)
            if token in self._ends:
                return
            ids.append(token)
            # Decoded behind a token that is shown already, since some tokenizers drop a space at the beginning.
            before = self._tokenizer.decode(ids[shown - 1 : shown])
            text = self._tokenizer.decode(ids[shown - 1 :])[len(before) :]
            if text.endswith(BROKEN) and len(ids) - shown < LONGEST:
                continue
            if not accept(Token(text, tuple(ids[shown:]))):
                return
            shown = len(ids)

    def odds(self, context: Sequence[Part], allowed: Collection[int], watch: Watch) -> dict[int, float]:
        tokens = list(allowed)
        return dict(zip(tokens, self._logits(list(context), watch)[tokens].softmax(0).tolist(), strict=True))

    def close(self) -> None:
        self._model = self._cache = None
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()

    def _forget(self) -> None:
        self._cache, self._read = None, []

    def _logits(self, ids: list[int], watch: Watch) -> Any:
        """Logits of the token after `ids`; what they share with the ids read before is not computed again."""
        known = next(
            (i for i, (a, b) in enumerate(zip(ids, self._read, strict=False)) if a != b), min(len(ids), len(self._read))
        )
        self._crop(min(known, len(ids) - 1))
        with self._torch.inference_mode():
            while len(self._read) < len(ids):
                watch.check()
                chunk = ids[len(self._read) : len(self._read) + CHUNK]
                inputs = self._torch.tensor([chunk], device=self._model.device)
                try:
                    output = self._model(inputs, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
                except self._torch.OutOfMemoryError as error:
                    self._forget()
                    raise EngineError(
                        f"The graphics card has no room left for {self._name}; shorten the note or choose a smaller model."
                    ) from error
                self._cache = output.past_key_values
                self._read = self._read + chunk
        return output.logits[0, -1].float().cpu()

    def _crop(self, length: int) -> None:
        """Keep the first `length` tokens of what was read."""
        if length == 0 or self._cache is None:
            return self._forget()
        surplus = len(self._read) - length
        if surplus:
            try:
                self._cache.crop(-surplus)
            except RuntimeError:  # a recurrent or sliding-window cache cannot go back: read from the beginning
                return self._forget()
        self._read = self._read[:length]
        return None

    def _draw(self, logits: Any, sampling: Sampling, chance: Any) -> int:
        if sampling.temperature == 0:
            return int(logits.argmax())
        shares, tokens = (logits / sampling.temperature).softmax(0).sort(descending=True)
        # The tokens before which less than top_p was taken: always the first, and the one that crosses the mark.
        shares = shares * (shares.cumsum(0) - shares < sampling.top_p)
        return int(tokens[self._torch.multinomial(shares, 1, generator=chance)])


def _libraries() -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise EngineError(
            f"The package {error.name} is not installed; run `pip install -r requirements.txt`, or choose a GGUF model."
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return torch, transformers


def _tokenizer(transformers: Any, model: Model) -> Any:
    # An adapter that was trained with tokens or a template of its own carries them.
    own = model.adapter and Path(model.adapter, "tokenizer_config.json").exists()
    return transformers.AutoTokenizer.from_pretrained(model.adapter if own else model.weights)


def _weights(torch: Any, transformers: Any, model: Model) -> Any:
    cuda = torch.cuda.is_available()
    network = transformers.AutoModelForCausalLM.from_pretrained(
        model.weights, dtype="auto" if cuda else torch.float32, device_map="auto" if cuda else None
    )
    return (_adapted(network, model.adapter) if model.adapter else network).eval()


def _adapted(network: Any, adapter: str) -> Any:
    """The model with a LoRA adapter merged into its weights."""
    try:
        import peft
    except ImportError as error:
        raise EngineError("The package peft is not installed; run `pip install -r requirements.txt`.") from error
    misfit = f"The LoRA adapter {adapter} does not fit its base model; check which model it was trained on."
    try:
        adapted = peft.PeftModel(network, peft.PeftConfig.from_pretrained(adapter))
        result = adapted.load_adapter(adapter, "default")
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise EngineError(misfit) from error
    if result.missing_keys or result.unexpected_keys:
        raise EngineError(misfit)
    return adapted.merge_and_unload()
