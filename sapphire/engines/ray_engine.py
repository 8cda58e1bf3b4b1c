"""A model on many machines: Ray Data hands the notes to workers, each of which opens the model for itself.

The model and this project must be at the same place on every machine. What goes between them is the text of the notes: the cluster must be one
where they may be.
"""

import json
import logging
import os
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from sapphire.engines import Cancelled, Completion, EngineError, EngineLost, Sampling, load
from sapphire.engines.model_folder import find
from sapphire.prompts import Case

AHEAD = 100_000  # cases in one job: its workers open the model once, and this process holds their text
BLOCK = 256  # cases in one piece of work


class RayEngine:
    """See `engines.Engine`. `address` is a Ray cluster's ("auto": the one this machine belongs to), or "local" for a cluster of this machine
    alone that ends with the process."""

    ahead = AHEAD

    def __init__(self, location: str, address: str, vllm: bool = False):
        model = find(location)
        self.card = model.card
        self._vllm = vllm
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", DO_NOT_TRACK="1", RAY_DATA_DISABLE_PROGRESS_BARS="1")
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise EngineError("Ray is not installed; run `pip install -r requirements-ray.txt`.") from error
        self._ray = ray
        self._gpu = not model.server and (vllm or model.card.kind == "transformers")
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise EngineError(f"No Ray cluster answers at {address}; start one, or give --ray local.") from error
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        for name in ("ray", "ray.data"):  # the command has a progress bar of its own
            logging.getLogger(name).setLevel(logging.ERROR)

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
        """See `engines.Engine.score`."""
        source = iter(cases)
        while job := self._job(islice(source, AHEAD), sampling):
            try:
                for row in job.iter_rows():
                    if cancel and cancel.is_set():
                        raise Cancelled("The model was stopped.")
                    yield _answer(json.loads(row["answer"]))
            except self._ray.exceptions.RayError as error:
                raise EngineLost(
                    f"A Ray worker failed ({type(error).__name__}); see that the model is on every machine, then run the same command again."
                ) from None

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        self._ray.shutdown()

    def _job(self, cases: Iterator[Case | str], sampling: Sampling) -> Any:
        """The work on these cases as a Ray dataset; None when there are none."""
        import pyarrow as pa

        blocks = []
        while some := list(islice(cases, BLOCK)):
            texts = [json.dumps(asdict(each) if isinstance(each, Case) else {"text": each}) for each in some]
            blocks.append(self._ray.put(pa.table({"case": texts})))
        if not blocks:
            return None
        gpus = int(self._ray.cluster_resources().get("GPU", 0)) if self._gpu else 0
        most = gpus or max(1, int(self._ray.cluster_resources().get("CPU", 1)) // 2)
        return self._ray.data.from_arrow_refs(blocks).map_batches(
            Worker,
            fn_constructor_args=(self.card.location, asdict(sampling), self._vllm),
            batch_size=BLOCK,
            batch_format="pyarrow",
            compute=self._ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(blocks))),
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else 1,
        )


class Worker:
    """One opened model on one machine of the cluster."""

    def __init__(self, location: str, sampling: dict[str, Any], vllm: bool):
        self._engine, self._sampling = load(location, vllm=vllm), Sampling(**sampling)

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        cases = [Case(**json.loads(each)) for each in batch["case"].to_pylist()]
        answers = self._engine.score(cases, self._sampling)
        return pa.table({"answer": [json.dumps(_plain(each)) for each in answers]})


def _plain(answer: list[Completion] | EngineError) -> Any:
    return str(answer) if isinstance(answer, EngineError) else [asdict(each) for each in answer]


def _answer(found: Any) -> list[Completion] | EngineError:
    if isinstance(found, str):
        return EngineError(found)
    return [Completion(**each | {"forced": tuple(each["forced"])}) for each in found]
