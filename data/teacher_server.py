"""One request to an OpenAI-compatible server, and whether a note may go there at all."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from time import sleep
from urllib.parse import urlsplit

from data.mimic_titles import SourceError
from sapphire.engines.addresses import is_loopback

TEMPERATURE, MAX_TOKENS = 0.7, 2048  # the paper's teacher
TRIES, PAUSE, TIMEOUT = 4, 2.0, 600.0  # seconds; the pause doubles


class Refused(Exception):
    """The server refuses this one request; others may go through."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A note goes to the server that was named, nowhere else."""

    def redirect_request(self, *_):
        return None


class Server:
    """A chat model at `url`, asked with `key` if the server wants one. SourceError when the address is none."""

    def __init__(self, url: str, model: str, key: str | None = None, agreement: bool = False):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(f"{url} is no address of a server; give one such as http://localhost:8000/v1.")
        self.url, self.model = url.rstrip("/") + "/chat/completions", model
        self.local = is_loopback(parts.hostname)
        self._key, self._agreement = key, agreement
        proxies = urllib.request.ProxyHandler({}) if self.local else urllib.request.ProxyHandler()
        self._open = urllib.request.build_opener(proxies, _NoRedirect).open

    def permit(self, credentialed: bool) -> None:
        """SourceError when a credentialed note would leave this machine without the user's word that it may."""
        if credentialed and not self.local and not self._agreement:
            raise SourceError(
                f"{self.url} is not on this machine and these cases are credentialed: their data-use agreement forbids sending "
                "them to others. Use a local server, or give --agreement if your agreement allows this one."
            )

    def chat(self, messages: list[dict[str, str]]) -> str:
        """The answer to these messages. Refused when the server refuses them; SourceError when it cannot be used at all."""
        body = {"model": self.model, "messages": messages, "temperature": TEMPERATURE, "max_tokens": MAX_TOKENS}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        asked = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        for attempt in range(TRIES):
            if attempt:
                sleep(PAUSE * 2 ** (attempt - 1))
            try:
                with self._open(asked, timeout=TIMEOUT) as response:
                    return _content(response.read())
            except urllib.error.HTTPError as error:
                # The body may repeat the note, so only the status is kept.
                trouble = f"HTTP status {error.code}"
                if error.code in (401, 403, 404) or 300 <= error.code < 400:
                    raise SourceError(
                        f"{self.url} answers {trouble}; check address and model name, and the key in SAPPHIRE_TEACHER_KEY."
                    ) from None
                if error.code < 500 and error.code != 429:
                    raise Refused(f"the server refuses the request ({trouble})") from None
            except (OSError, HTTPException, ValueError) as error:
                trouble = type(error).__name__
        raise SourceError(
            f"{self.url} does not answer ({trouble}); start the server, then give the same command again."
        )


def _content(answer: bytes) -> str:
    """The text of a chat completion; ValueError when the answer is none."""
    try:
        return json.loads(answer)["choices"][0]["message"]["content"] or ""
    except (KeyError, IndexError, TypeError):
        raise ValueError("no chat completion") from None
