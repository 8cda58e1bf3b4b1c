"""How near batch scoring comes to the raw engine: `python -m bench.batch MODEL [--vllm] [--notes 64] [--samples 8]`.

Both ways answer the same prompts in the same order with the same sampling (unconstrained, as a model itself is evaluated), by the same engine, warmed. Raw is the engine
called directly with what it takes: vLLM with all prompts at once, llama.cpp and a server one request after the other or as many at once as Sapphire
asks. Ours is `sapphire predict` on a database: notes are read, answered, parsed, and stored. The ways take turns; printed are the seconds of each, the medians and their ratio (raw / ours: 1 is
as fast as the engine). vLLM on a CPU wants VLLM_CPU_KVCACHE_SPACE=1 and VLLM_CPU_OMP_THREADS_BIND=nobind.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

WORDS = [
    "admitted",
    "with",
    "dyspnea",
    "edema",
    "sepsis",
    "pneumonia",
    "acute",
    "kidney",
    "injury",
    "diuresed",
    "stable",
    "afebrile",
    "home",
]


def notes(count: int) -> list[dict]:
    """Notes of 40 to 400 words in no order of length; nothing that a model could learn from."""
    texts = [" ".join(WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(40 + (i * 97) % 360)) for i in range(count)]
    return [{"note_id": f"n{i}", "text": text} for i, text in enumerate(texts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--vllm", action="store_true")
    parser.add_argument("--notes", type=int, default=64)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128, help="budget of the reasoning")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    from sapphire.engines import Sampling, load

    sampling = Sampling(args.samples, 0.6, 0.95, args.tokens, constrained=False, timeout=3600)
    engine = load(args.model, vllm=args.vllm)
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder), engine, sampling, notes(args.notes))
        raw = _raw(engine, sampling, ours.ordered())
        raw(), ours()  # warm
        times = {"raw": [], "ours": []}
        tokens = {}
        for _ in range(args.repeats):
            for name, way in (("raw", raw), ("ours", ours)):
                began = time.perf_counter()
                tokens[name] = way()
                times[name].append(time.perf_counter() - began)
        ours.close()
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    rates = {name: tokens[name] / medians[name] for name in medians}
    print(
        json.dumps(
            {
                "engine": "vllm" if args.vllm else engine.card.kind, "model": engine.card.name, "notes": args.notes, "samples": args.samples,
                "raw_s": [round(t, 2) for t in times["raw"]], "ours_s": [round(t, 2) for t in times["ours"]], "tokens": tokens,
                "raw_tokens_per_s": round(rates["raw"], 1), "ours_tokens_per_s": round(rates["ours"], 1),
                "ratio": round(rates["ours"] / rates["raw"], 3),
            }
        )
    )  # fmt: skip


class Ours:
    """A database with the notes; each call is a whole run over them and returns the tokens written."""

    def __init__(self, folder: Path, engine, sampling, rows: list[dict]):
        from sapphire.importing import import_files
        from sapphire.running import Runner
        from sapphire.store import open_store

        path = folder / "notes.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        self.store = open_store(folder / "bench.duckdb")
        import_files(self.store, [path], "bench")
        self.engine, self.sampling, self.ids = engine, sampling, [row["note_id"] for row in rows]
        self.runner = Runner(self.store, lambda location: engine)

    def ordered(self) -> list:
        """The cases in the order in which a run asks about them."""
        from sapphire.importing import stored_note
        from sapphire.scoring import model_case

        found = self.store.read(
            "SELECT * FROM current_note ORDER BY " + ("words DESC, " if self.engine.ahead > 1 else "") + "seq"
        )
        return [model_case(stored_note(row), self.engine.card) for row in found]

    def __call__(self) -> int:
        run = self.runner.start(self.ids, self.engine.card.name, self.engine.card.location, self.sampling, "bench")
        while run.active:
            time.sleep(0.01)
        assert run.state == "finished" and not run.failed, run.message
        (row,) = self.store.read("SELECT sum(tokens) AS n FROM prediction WHERE run_id = $run", run=run.run_id)
        return int(row["n"])

    def close(self) -> None:
        self.runner.close()
        self.store.close()


def _raw(engine, sampling, cases: list):
    """A call that lets the engine itself answer and returns the tokens written."""
    from sapphire.prompts import messages

    chats = [messages(case, engine.card.prompt, engine.card.drg_version) for case in cases]
    if hasattr(engine, "_llm"):
        return _raw_vllm(engine, sampling, chats)
    if engine.card.kind == "server":
        return _raw_server(engine, sampling, chats)
    return _raw_local(engine, sampling, chats)


def _raw_vllm(engine, sampling, chats: list):
    from vllm import SamplingParams, TokensPrompt

    from sapphire.engines.decoding import ANSWER

    tokenizer = engine._llm.get_tokenizer()
    rendered = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    prompts = [
        TokensPrompt(prompt_token_ids=tokenizer(text, add_special_tokens=False)["input_ids"]) for text in rendered
    ]
    how = SamplingParams(
        n=sampling.n, temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_thinking + ANSWER, seed=sampling.seed, logprobs=0
    )  # fmt: skip

    def call() -> int:
        answers = engine._llm.generate(prompts, how, use_tqdm=False)
        return sum(len(output.token_ids) for answer in answers for output in answer.outputs)

    return call


def _raw_local(engine, sampling, chats: list):
    """llama.cpp or transformers as the backend takes it, each sample to its end."""
    from sapphire.engines.backend import Watch
    from sapphire.engines.decoding import ANSWER

    backend, room = engine._backend, sampling.max_thinking + ANSWER

    def call() -> int:
        written = []

        def accept(token) -> bool:
            written.append(token)
            return True

        for chat in chats:
            for i in range(sampling.n):
                context, _ = backend.prompt(chat, room, i == 0)
                backend.write(context, room, sampling, sampling.seed + i, accept, Watch(3600, None))
        return len(written)

    return call


def _raw_server(engine, sampling, chats: list):
    from concurrent.futures import ThreadPoolExecutor

    from sapphire.engines.decoding import ANSWER

    together = sampling.n if engine._kind == "vllm" else 1
    asked = [(chat, sampling.seed + i) for chat in chats for i in range(0, sampling.n, together)]

    def one(each) -> int:
        chat, seed = each
        answer = engine._client.chat.completions.create(
            model=engine._model, messages=chat, n=together, seed=seed, temperature=sampling.temperature, top_p=sampling.top_p,
            max_tokens=sampling.max_thinking + ANSWER, logprobs=True,
        )  # fmt: skip
        return answer.usage.completion_tokens

    def call() -> int:
        with ThreadPoolExecutor(engine._parallel) as pool:
            return sum(pool.map(one, asked))

    return call


if __name__ == "__main__":
    main()
