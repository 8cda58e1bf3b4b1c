"""Whether a model can be used: it loads, answers a fictional note in time, and its answer has the form. Seen before notes are given to it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sapphire.completions import parse
from sapphire.drg.codebook import codebook
from sapphire.engines import Cancelled, Completion, Engine, EngineError, ModelCard, Sampling, load
from sapphire.prompts import Case

# Fictional, short, and with a complication, so that there is something to reason about.
NOTE = """A 71 year old woman was admitted with three days of dyspnea and leg edema. Chest X-ray showed pulmonary edema and BNP was 4200. \
She had acute on chronic systolic heart failure and was diuresed with IV furosemide. Creatinine rose from 1.0 to 2.1 with muddy brown casts: \
acute tubular necrosis, which resolved. She was discharged home in good condition."""

LOADS_IN = 900.0  # seconds; a hub model is fetched in these too
ANSWERS_IN = 120.0
SAMPLING = Sampling(max_thinking=256, timeout=ANSWERS_IN)


@dataclass(frozen=True)
class Report:
    """`passed`: it loaded and named a DRG in time. `form` says how much of the answer's form the model wrote by itself: "own", "helped" (the
    decoder wrote a part) or "none"."""

    passed: bool
    message: str
    load_seconds: float | None = None
    seconds: float | None = None
    tokens: int | None = None
    form: str = ""
    drg: str = ""

    @property
    def speed(self) -> float | None:
        """Tokens a second of the answer, reading the note included."""
        return self.tokens / self.seconds if self.tokens and self.seconds else None


def open_within(
    open_engine: Callable[[str], Engine], location: str, seconds: float, cancel: threading.Event | None = None
) -> Engine:
    """Open a model in a thread that is left to itself when it takes too long; what it opens then is closed at once.

    Raises:
        EngineError: when it cannot be opened, or not in time.
        Cancelled: when `cancel` is set.
    """
    opened: list[Engine | Exception] = []
    done, left = threading.Event(), threading.Event()

    def work() -> None:
        try:
            opened.append(open_engine(location))
        except Exception as error:  # raised again where it is waited for
            opened.append(error)
        done.set()
        if left.is_set() and not isinstance(opened[0], Exception):
            opened[0].close()

    threading.Thread(target=work, name="sapphire-open", daemon=True).start()
    end = time.monotonic() + seconds
    while not done.wait(0.1):
        stopped = cancel is not None and cancel.is_set()
        if stopped or time.monotonic() > end:
            left.set()
            if stopped:
                raise Cancelled("The model was stopped.")
            raise EngineError(
                f"The model was not loaded within {seconds:g} seconds; see that its files or its server can be reached."
            )
    if isinstance(opened[0], EngineError):
        raise opened[0]
    if isinstance(opened[0], Exception):
        raise EngineError(f"The model cannot be loaded ({type(opened[0]).__name__}); check its files.") from opened[0]
    return opened[0]


@dataclass
class Check:
    """A check at work in a thread of its own. `state` is "loading", "answering" or "done"; `written` the answer so far."""

    card: ModelCard
    author: str
    state: str = "loading"
    written: str = ""
    report: Report | None = None
    began: float = field(default_factory=time.monotonic)
    cancel: threading.Event = field(default_factory=threading.Event)

    def seconds(self) -> float:
        return time.monotonic() - self.began


def begin(
    card: ModelCard,
    author: str,
    finished: Callable[[Check], None],
    open_engine: Callable[[str], Engine] = load,
    loads_in: float = LOADS_IN,
    sampling: Sampling = SAMPLING,
) -> Check:
    """Check a model in the background; `finished` is called from there with the report in place, unless it was cancelled."""
    check = Check(card, author)

    def work() -> None:
        try:
            check.report = _report(check, open_engine, loads_in, sampling)
            finished(check)
        except Cancelled:
            check.report = Report(False, "The check was stopped.")
        except Exception as error:
            check.report = Report(False, f"The check itself failed ({type(error).__name__}); try again.")
        finally:
            check.state = "done"

    threading.Thread(target=work, name="sapphire-check", daemon=True).start()
    return check


def _report(check: Check, open_engine: Callable[[str], Engine], loads_in: float, sampling: Sampling) -> Report:
    try:
        engine = open_within(open_engine, check.card.location, loads_in, check.cancel)
    except Cancelled:
        raise
    except EngineError as error:
        return Report(False, str(error))
    loaded = check.seconds()
    check.state = "answering"
    try:
        completion = _answer(check, engine, sampling)
    except Cancelled:
        raise
    except EngineError as error:
        return Report(False, str(error), loaded)
    finally:
        engine.close()
    return _judge(completion, check.card, loaded)


def _answer(check: Check, engine: Engine, sampling: Sampling) -> Completion:
    pieces = engine.stream(Case(NOTE, 71, "F", 1), sampling, check.cancel)
    while True:
        try:
            check.written += next(pieces)
        except StopIteration as end:
            return end.value


def _judge(completion: Completion, card: ModelCard, loaded: float) -> Report:
    parsed = parse(completion.text, codebook(card.drg_version))
    known = {"load_seconds": loaded, "seconds": completion.seconds, "tokens": completion.tokens}
    if parsed.drg is None:
        words = (
            "It answered, but named no MS-DRG in the form that is asked for (<think>…</think><answer>TITLE</answer>), and its server cannot be "
            "made to. Try another prompt, or a model that was tuned for this."
        )
        return Report(False, words, form="none", **known)
    form = "helped" if completion.forced else "own"
    return Report(True, "It loads, answers in time and names an MS-DRG.", form=form, drg=parsed.drg.drg, **known)
