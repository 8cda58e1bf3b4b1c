"""A model behind an OpenAI-compatible server: vLLM, llama-server, Ollama, Azure and their like.

What a server can do beyond chat is found out once: vLLM and llama-server go on from a begun answer and choose among titles, so
that every answer is a DRG; others write freely. Nothing of a note goes into an address or a log, and no proxy is asked for a
server on this machine.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sapphire.engines import Cancelled, Completion, EngineError, EngineLost, ModelCard, Sampling
from sapphire.engines.addresses import host, is_loopback
from sapphire.engines.decoding import ANSWER, boundary
from sapphire.engines.model_folder import Server
from sapphire.engines.titles import titles
from sapphire.engines.two_step import Attempt, Written, spelt
from sapphire.prompts import Case, messages

PARALLEL = {"vllm": 64, "other": 8}  # requests at once, which a server batches; llama-server says its number itself
ANSWERS_IN = 10.0  # seconds for a server to say what it is


class ServerEngine:
    """See `engines.Engine`."""

    def __init__(self, card: ModelCard, server: Server):
        self.card, self._url = card, server.url
        key = os.environ.get(server.key_variable, "") if server.key_variable else "none"
        if not key:
            raise EngineError(
                f"The server {host(self._url)} needs a key: set {server.key_variable} in the environment."
            )
        self._client = _client(self._url, key)
        self._kind, self._parallel = self._find_kind()
        self.ahead = 2 * self._parallel
        self._model = server.model or self._only_model()
        self._hosted = host(self._url).endswith((".azure.com", ".openai.com"))

    def stream(
        self, case: Case | str, sampling: Sampling, cancel: threading.Event | None = None
    ) -> Generator[str, None, Completion]:
        """See `engines.Engine.stream`."""
        (attempt,), chat, watch = self._begin(case, replace(sampling, n=1), cancel)
        shown = 0
        while attempt.wants:
            begun, reasons = attempt.text, attempt.wants == "reasoning"
            for so_far in self._write([attempt], chat, watch):
                text = begun + so_far
                stands = boundary(text)[0] if attempt.sampling.constrained else len(text)
                if reasons and stands > shown:
                    yield text[shown:stands]
                    shown = stands
            if len(attempt.text) > shown:
                yield attempt.text[shown:]
                shown = len(attempt.text)
        return attempt.completion(watch.seconds())

    def score(
        self, cases: Iterable[Case | str], sampling: Sampling, cancel: threading.Event | None = None
    ) -> Iterator[list[Completion] | EngineError]:
        """See `engines.Engine.score`. Many notes are asked for at once, so that the server fills its batches."""
        ahead = max(1, self._parallel // sampling.n)
        with ThreadPoolExecutor(ahead, thread_name_prefix="sapphire-server") as pool:
            waiting: deque[Future] = deque()
            try:
                for case in cases:
                    waiting.append(pool.submit(self._complete, case, sampling, cancel))
                    if len(waiting) >= 2 * ahead:
                        yield _result(waiting.popleft())
                while waiting:
                    yield _result(waiting.popleft())
            finally:
                for future in waiting:
                    future.cancel()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _complete(self, case: Case | str, sampling: Sampling, cancel: threading.Event | None) -> list[Completion]:
        attempts, chat, watch = self._begin(case, sampling, cancel)
        # vLLM draws all samples in one request; of other servers many take no `n`.
        together = [attempts] if self._kind == "vllm" else [[attempt] for attempt in attempts]
        for some in together:
            for _ in self._write(some, chat, watch):
                pass
        for attempt in attempts:
            while attempt.wants:
                for _ in self._write([attempt], chat, watch):
                    pass
        return [attempt.completion(watch.seconds()) for attempt in attempts]

    def _begin(
        self, case: Case | str, sampling: Sampling, cancel: threading.Event | None
    ) -> tuple[list[Attempt], list[dict[str, str]], "_Watch"]:
        if sampling.constrained and self._kind == "other":
            sampling = replace(sampling, constrained=False)
        chat = messages(case, self.card.prompt, self.card.drg_version)
        seeds = [replace(sampling, seed=sampling.seed + i) for i in range(sampling.n)]
        return [Attempt(each, self.card.drg_version) for each in seeds], chat, _Watch(sampling.timeout, cancel)

    def _write(self, attempts: list[Attempt], chat: list[dict[str, str]], watch: "_Watch") -> Iterator[str]:
        """One request for what the attempts want, which is the same: hands each its text at the end, and yields the first
        one's text so far."""
        said = [""] * len(attempts)
        tokens: list[list[tuple[str, float]]] = [[] for _ in attempts]
        try:
            request = self._request(attempts[0], len(attempts), chat, watch)
            with self._client.chat.completions.create(**request) as chunks:
                for choice in (choice for chunk in chunks for choice in chunk.choices):
                    watch.check()
                    told = (choice.logprobs and choice.logprobs.content) or []
                    tokens[choice.index] += [(each.token, each.logprob) for each in told]
                    if choice.delta.content:
                        said[choice.index] += choice.delta.content
                        yield said[0]
                    if len(attempts) == 1 and attempts[0].is_spoilt_by(said[0]):
                        break  # what follows would be thrown away
        except EngineError:
            raise
        except Exception as error:
            raise self._failure(error, watch) from None  # the server's words may repeat the note
        for attempt, text, told in zip(attempts, said, tokens, strict=True):
            attempt.take(Written(text, spelt(text, told), len(told)))

    def _request(self, attempt: Attempt, n: int, chat: list[dict[str, str]], watch: "_Watch") -> dict[str, Any]:
        sampling, extra = attempt.sampling, {}
        if attempt.text:
            chat = [*chat, {"role": "assistant", "content": attempt.text}]
            if self._kind == "vllm":
                extra = {"continue_final_message": True, "add_generation_prompt": False}
        if attempt.wants == "title":
            extra |= self._choice(attempt.version)
        limit = ANSWER if attempt.wants == "title" else sampling.max_thinking + ANSWER
        return {
            "model": self._model,
            "messages": chat,
            "stream": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "timeout": watch.left(),
            "max_completion_tokens" if self._hosted else "max_tokens": limit,
            "logprobs": True,
            "extra_body": extra,
        } | ({"n": n} if n > 1 else {})

    def _choice(self, version: str) -> dict[str, Any]:
        """The server's way to let only a title follow."""
        answers = titles(version).all()
        if self._kind == "vllm":
            return {"structured_outputs": {"choice": answers}}
        literals = " | ".join('"' + answer.replace("\\", "\\\\").replace('"', '\\"') + '"' for answer in answers)
        return {"grammar": f"root ::= {literals}"}

    def _find_kind(self) -> tuple[str, int]:
        """What answers there, and how many requests it takes at once: vLLM says its version, llama-server its properties."""
        import httpx2

        root = self._url.rstrip("/").removesuffix("/v1")
        for path, kind in (("/version", "vllm"), ("/props", "llama")):
            try:
                answer = self._client._client.get(root + path, timeout=ANSWERS_IN)
                if answer.status_code == 200 and isinstance(answer.json(), dict) and _is(kind, answer.json()):
                    return kind, answer.json().get("total_slots") or PARALLEL[kind]
            except httpx2.HTTPError as error:
                raise EngineError(
                    f"The server {host(self._url)} does not answer ({type(error).__name__}); start it or check its address."
                ) from None
            except ValueError:
                continue
        return "other", PARALLEL["other"]

    def _only_model(self) -> str:
        try:
            served = [model.id for model in self._client.models.list(timeout=ANSWERS_IN).data]
        except Exception as error:
            raise self._failure(error, None) from None
        if len(served) != 1:
            raise EngineError(
                f"The server {host(self._url)} serves {', '.join(served) or 'no model'}; name the one to use."
            )
        return served[0]

    def _failure(self, error: Exception, watch: "_Watch | None") -> EngineError:
        """An exception of the client as one sentence without anything of the request."""
        import openai

        where = f"The server {host(self._url)}"
        if watch is not None and (isinstance(error, openai.APITimeoutError) or watch.over()):
            return EngineError(f"{where} did not finish in time; allow more time or less reasoning.")
        if isinstance(error, openai.APIStatusError):
            if error.status_code in (401, 403):
                return EngineLost(f"{where} refuses the key (status {error.status_code}); check the key's variable.")
            if error.status_code == 404:
                return EngineLost(f"{where} knows no model {self._model!r}; check the model's name.")
            if error.status_code in (400, 413, 422):
                return EngineError(
                    f"{where} refuses this request (status {error.status_code}): the note may be longer than the model's context."
                )
            return EngineError(f"{where} fails (status {error.status_code}); look at its log.")
        return EngineLost(f"{where} broke off ({type(error).__name__}); see that it runs, then try again.")


class _Watch:
    """Whether a completion may go on."""

    def __init__(self, timeout: float, cancel: threading.Event | None):
        self._began, self._timeout, self._cancel = time.monotonic(), timeout, cancel

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def left(self) -> float:
        return max(0.1, self._timeout - self.seconds())

    def over(self) -> bool:
        return self.seconds() >= self._timeout

    def check(self) -> None:
        if self._cancel and self._cancel.is_set():
            raise Cancelled("The model was stopped.")
        if self.over():
            raise EngineError(
                f"The model did not finish within {self._timeout:g} seconds; allow more time or less reasoning."
            )


def _result(future: Future) -> list[Completion] | EngineError:
    try:
        return future.result()
    except (Cancelled, EngineLost):
        raise
    except EngineError as error:
        return error


def _is(kind: str, answer: dict[str, Any]) -> bool:
    return "version" in answer if kind == "vllm" else "default_generation_settings" in answer


def _client(url: str, key: str) -> Any:
    """A client that follows no redirect, reads no proxy for this machine, and tells nobody what it runs on."""
    try:
        import httpx2
        import openai
    except ImportError as error:
        raise EngineError(f"The package {error.name} is not installed; run `make setup`.") from error
    limits = httpx2.Limits(max_connections=max(PARALLEL.values()))
    http = httpx2.Client(trust_env=not is_loopback(host(url)), follow_redirects=False, limits=limits)
    return openai.OpenAI(base_url=url, api_key=key, max_retries=2, http_client=http)
