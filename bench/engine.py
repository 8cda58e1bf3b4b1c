"""How fast the engines answer one note: `python -m bench.engine [MODEL]`.

Prints one JSON line an engine: seconds to load, to the condition index's first candidates (once its tables are loaded), to the first piece of
text and to the whole answer as the app asks; the same of an unconstrained answer, its tokens per second, and peak memory. With torch and
transformers installed, the embedded model's weights are also run through the transformers engine (float32, converted from the GGUF
file into a temporary folder, asked by the same prompt), and the last line says how many times as long that takes. Each
engine runs in a process of its own.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from sapphire.engines.model_folder import Model, find

REPEATS = 3
NOTE = """\
The patient is a 74-year-old woman with ischemic cardiomyopathy (EF 30%), atrial fibrillation on apixaban, type 2 diabetes
and stage 3 chronic kidney disease who presented with four days of worsening dyspnea, orthopnea and leg swelling after
running out of torsemide. In the emergency department she was tachypneic, saturating 86% on room air, with BNP 3,980 and
bilateral pleural effusions with pulmonary edema on chest film. She was started on BiPAP for acute hypoxic respiratory
failure and received IV furosemide boluses followed by a drip. Troponin was flat at 0.06 and felt to represent demand; ECG
showed no new ischemic changes and pulmonary embolism was ruled out by CT angiogram. She was weaned to nasal cannula on
hospital day two and to room air on day four. Creatinine rose from a baseline of 1.6 to 3.1 with muddy brown casts on
urine sediment; nephrology was consulted and attributed this to acute tubular necrosis from contrast and low output.
Diuretics were held for two days and resumed with creatinine trending down to 2.0 at discharge. Atrial fibrillation was
rate controlled with metoprolol; apixaban was held briefly for a hemoglobin drop from 10.2 to 8.4 without overt bleeding
and restarted after stool was guaiac negative. Blood glucose was managed with basal and sliding scale insulin, with one
episode of hypoglycemia to 58 that resolved with juice. A stage 2 sacral pressure injury present on admission was treated
with barrier cream and offloading. Nutrition saw her for poor intake and diagnosed moderate protein-calorie malnutrition;
supplements were started. Physical therapy recommended short-term rehabilitation. She was discharged to a skilled nursing
facility on torsemide 40 mg twice daily with a dry weight of 71 kg, follow-up in heart failure clinic within a week, and
repeat chemistry in three days. Code status was discussed and she remains full code. Her daughter was present for teaching
about daily weights, fluid restriction and low salt diet and expressed understanding of the plan and warning signs.
"""


def measure(location: str) -> dict:
    """Load the model at `location` and answer NOTE greedily as the app asks, then unconstrained with 400 tokens at most."""
    from sapphire.drg.grounding import ground
    from sapphire.engines import Sampling, load

    began = time.perf_counter()
    engine = load(location)
    loaded = time.perf_counter() - began
    ground("Admitted with pneumonia.")
    began = time.perf_counter()
    ground(NOTE)
    candidates = time.perf_counter() - began
    runs = [one(engine, Sampling(timeout=600)) for _ in range(REPEATS)]
    free = [one(engine, Sampling(timeout=600, constrained=False, max_thinking=272)) for _ in range(REPEATS)]
    return {
        "engine": engine.card.kind,
        "model": engine.card.name,
        "prompt": engine.card.prompt,
        "words": len(NOTE.split()),
        "load_s": round(loaded, 2),
        "candidates_s": round(candidates, 3),
        "first_piece_s": median(run["first"] for run in runs),
        "answer_s": median(run["whole"] for run in runs),
        "answer_tokens": runs[0]["tokens"],
        "free_answer_s": median(run["whole"] for run in free),
        "free_tokens": free[0]["tokens"],
        "free_tokens_per_s": median((run["tokens"] - 1) / (run["whole"] - run["first"]) for run in free),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def one(engine, sampling) -> dict:
    began, first = time.perf_counter(), None
    pieces = engine.stream(NOTE, sampling)
    while True:
        try:
            next(pieces)
            first = first or time.perf_counter() - began
        except StopIteration as end:
            return {"first": first, "whole": time.perf_counter() - began, "tokens": end.value.tokens}


def median(values) -> float:
    return round(statistics.median(values), 2)


def convert(model: Model, folder: str) -> None:
    """The GGUF file's weights in the layout of transformers, with the same card."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    gguf = Path(model.weights)
    logging.disable_progress_bar()
    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # What was read from GGUF refuses to be saved, although its weights are plain float32.
    del read.config.quantization_config
    plain = AutoModelForCausalLM.from_config(read.config)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    card = {"name": model.card.name, "kind": "transformers", "prompt": model.card.prompt}
    Path(folder, "model.json").write_text(json.dumps(card | {"drg_version": model.card.drg_version}), encoding="utf-8")


def main() -> int:
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        print(json.dumps(measure(sys.argv[2])), flush=True)
        return 0
    from sapphire.models import default_model

    location = sys.argv[1] if len(sys.argv) > 1 else default_model().location
    embedded, model = alone(location), find(location)
    if model.card.kind == "llama.cpp" and all(map(find_spec, ("torch", "transformers", "gguf"))):
        with tempfile.TemporaryDirectory() as folder:
            convert(model, folder)
            other = alone(folder)
        ratios = {name: round(other[name] / embedded[name], 1) for name in ("answer_s", "free_answer_s")}
        print(json.dumps({"transformers takes this many times as long": ratios}))
    return 0


def alone(location: str) -> dict:
    """`measure` in a process of its own; what it prints is shown."""
    command = [sys.executable, "-m", "bench.engine", "--one", location]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(said, end="", flush=True)
    return json.loads(said)


if __name__ == "__main__":
    sys.exit(main())
