"""A real OpenAI-compatible server for tests: llama.cpp's own, with the embedded model, on a port of this machine.

`python -m tests.llama_server FILE` serves that GGUF file until its standard input ends.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def llama_server(weights: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """The server's address and its process."""
    command = [sys.executable, "-m", "tests.llama_server", str(weights)]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip() + "/v1", process
    finally:
        process.kill()
        process.wait()


def main(weights: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = weights, 4096, 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # others use the cores too
    params.hostnames, params.port, params.verbosity = ["127.0.0.1"], 0, -1
    server = xllamacpp.Server(params)
    server.handle_completions({"prompt": "warm", "max_tokens": 1})
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
