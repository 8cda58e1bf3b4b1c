"""The review of one case: what the reviewer sees, the draft that is always saved, and what saving asks for."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime

from sapphire.completions import Parsed, parse
from sapphire.drg.codebook import Drg, codebook
from sapphire.importing import stored_note
from sapphire.profiles import Profile
from sapphire.reasoning_checks import ReasoningCheck, check_reasoning
from sapphire.rewards import Term, breakdown
from sapphire.scoring import gold_drg
from sapphire.store import Store
from sapphire.store import notes as stored_notes
from sapphire.store import predictions as stored_predictions
from sapphire.store import reviews as stored_reviews

VERDICTS = ("right", "wrong", "not in the note")
DECISIONS = {
    "accept": "Accept",
    "change": "Change",
    "query": "Query the physician",
    "escalate": "Escalate",
}
# The six kinds of error of the paper's reader study of wrong cases (its Table 4).
ERROR_CATEGORIES = {
    "base": "Hard to select the base DRG",
    "severity": "Wrong CC/MCC",
    "label": "Label doubtful",
    "extraction": "Concept extraction",
    "missing": "Information not in the note",
    "other": "Other",
}
# The paper's two ratings, 1 (very poor) to 5 (very good); it words 1, 3 and 5.
RUBRIC = {
    "helpfulness": (
        "Would this help frontline clinicians in DRG work?",
        {
            1: "generic or vague",
            2: "of little use",
            3: "good enough to use",
            4: "clearly useful",
            5: "could change practice",
        },
    ),
    "accuracy": (
        "Does the reasoning follow the MS-DRG rules?",
        {
            1: "substantially wrong",
            2: "several errors",
            3: "good enough to support a decision",
            4: "minor slips",
            5: "fully consistent",
        },
    ),
}


@dataclass(frozen=True)
class Form:
    """What a reviewer says of one prediction. None or "" means not said yet; a draft may lack anything."""

    drg_right: bool | None = None
    drg: str | None = None
    helpfulness: int | None = None
    accuracy: int | None = None
    step_verdicts: tuple[str | None, ...] = ()
    error_category: str | None = None
    reasoning: str = ""
    comment: str = ""
    decision: str | None = None

    def judged(self, right: bool) -> "Form":
        """This form with the DRG called right or wrong; the same word again takes it back."""
        if right is self.drg_right:
            return replace(self, drg_right=None, decision=None)
        if right:
            return replace(self, drg_right=True, decision=None, drg=None, error_category=None)
        return replace(self, drg_right=False, decision=None)

    def with_verdict(self, step: int, verdict: str | None) -> "Form":
        """This form with another verdict on one step, counted from 0."""
        verdicts = [*self.step_verdicts, *[None] * (step + 1 - len(self.step_verdicts))]
        verdicts[step] = verdict
        return replace(self, step_verdicts=tuple(verdicts))

    def missing(self) -> list[str]:
        """What still has to be said before this can be saved, in words for the reviewer."""
        undecided = self.decision in ("query", "escalate")
        if self.drg_right is None and not undecided:
            return ["Say whether the DRG is right."]
        if self.drg_right is False and not self.drg and not undecided:
            return ["Choose the right DRG, or query the physician or escalate."]
        return []


@dataclass(frozen=True)
class Case:
    """One note with its prediction and this reviewer's form, as the review page shows it.

    `prediction` is None while no model has answered; `parsed`, `predicted` and `terms` go with it. `gold` is the DRG that is
    recorded for the note or, without one, what this reviewer's form says. `form_state` is "", "draft" or "saved";
    `saved` says that a saved review is in force, also while there is a newer draft.
    """

    note: dict
    prediction: dict | None
    parsed: Parsed | None
    predicted: Drg | None
    gold: Drg | None
    gold_source: str
    terms: list[Term]
    form: Form
    form_state: str
    form_at: datetime | None
    draft_id: str | None
    can_undo: bool
    saved: bool
    revealed_at: datetime | None
    prior_drg: str | None
    flagged: bool


def open_case(store: Store, note_id: str, reviewer: str, prediction_id: str | None = None) -> Case:
    """The case of `note_id` as `reviewer` left it, with its current prediction or the one asked for.

    Raises:
        KeyError: when there is no such note, or it was withdrawn.
    """
    note = stored_notes.note(store, note_id)
    if note is None:
        raise KeyError(note_id)
    if prediction_id:
        prediction = stored_predictions.prediction(store, note_id, prediction_id)
    else:
        prediction = stored_predictions.current_prediction(store, note_id)
    events = stored_reviews.events(store, note_id, reviewer)
    mine = [e for e in events if prediction and e["prediction_id"] == prediction["prediction_id"]]
    latest = _newest(mine, "draft", "cleared", "saved", "withdrawn")
    settled = _newest(mine, "saved", "withdrawn")
    reveal = _newest(mine, "revealed")
    drafting = latest is not None and latest["kind"] == "draft"
    in_force = settled is not None and settled["kind"] == "saved"
    marks = [e["kind"] for e in events if e["kind"] in ("flagged", "unflagged")]
    form = _form(latest)
    case = Case(
        note=note,
        prediction=prediction,
        parsed=None,
        predicted=None,
        gold=None,
        gold_source="",
        terms=[],
        form=form,
        form_state="draft" if drafting else "saved" if in_force else "",
        form_at=latest["recorded_at"] if latest else None,
        draft_id=latest["event_id"] if latest else None,
        can_undo=drafting,
        saved=in_force,
        revealed_at=reveal["recorded_at"] if reveal else None,
        prior_drg=reveal["prior_drg"] if reveal else None,
        flagged=bool(marks and marks[-1] == "flagged"),
    )
    return with_form(case, form)


def as_stored(store: Store, case: Case, profile: Profile) -> Case:
    """The same case as it is now. A page acts on what it drew before; a quicker change may have been stored since."""
    prediction_id = case.prediction["prediction_id"] if case.prediction else None
    return open_case(store, case.note["note_id"], profile.name, prediction_id)


def with_form(case: Case, form: Form) -> Case:
    """`case` with another form: the right DRG a reviewer gives is what the reward is reckoned against."""
    if case.prediction is None:
        return replace(case, form=form)
    book = codebook(case.prediction["drg_version"])
    parsed = parse(case.prediction["completion"], book)
    predicted = book.drgs.get(case.prediction["drg"] or "")
    gold, source = _gold(case.note, predicted, form, book.version)
    forced = tuple(case.prediction["forced"])
    terms = breakdown(parsed, gold, forced=forced, head=case.prediction["head"])
    return replace(case, form=form, parsed=parsed, predicted=predicted, gold=gold, gold_source=source, terms=terms)


def _gold(note: dict, predicted: Drg | None, form: Form, version: str) -> tuple[Drg | None, str]:
    book = codebook(version)
    if form.drg_right and predicted:
        return predicted, "your review"
    if form.drg and form.drg in book.drgs:
        return book.drgs[form.drg], "your review"
    if recorded := gold_drg(stored_note(note), book):
        return recorded, "recorded with the note"
    return None, ""


def checked(case: Case) -> ReasoningCheck:
    """The steps of the case's prediction by CMS's rules and the note."""
    note, version = case.note, case.prediction["drg_version"]
    return check_reasoning(case.parsed.steps, note["text"], version, note["age"], note["sex"], note["discharge_status"])


def alternatives(prediction: dict) -> list[dict]:
    """The DRGs of the other samples: {drg, title, share}."""
    return json.loads(prediction["alternatives"] or "[]")


def predictions(store: Store, note_id: str) -> list[dict]:
    """Every prediction that stood for this note, newest first: for choosing an earlier one."""
    return stored_predictions.predictions(store, note_id)


def last_error(store: Store, note_id: str) -> str | None:
    """Why a model last failed at this note; None when none did."""
    return stored_predictions.last_error(store, note_id)


def history(store: Store, note_id: str) -> list[dict]:
    """All that happened to a case, oldest first: imports, predictions, reviews. Drafts are left out but for their last."""
    return stored_reviews.history(store, note_id)


def mark(store: Store, case: Case, profile: Profile, kind: str, prior_drg: str | None = None) -> None:
    """Record that something happened: opened, revealed (with the DRG the reader had in mind), skipped, flagged, unflagged."""
    event = _event(case, profile, kind)
    if prior_drg:
        event |= {"prior_drg": prior_drg, "drg_version": case.prediction["drg_version"] if case.prediction else None}
    store.append("review_event", [event])


def save_draft(store: Store, case: Case, profile: Profile, form: Form) -> None:
    """Keep the form as it is now. On return it is on disk."""
    if form != case.form:
        store.append("review_event", [_event(case, profile, "draft", form) | {"based_on": case.draft_id}])


def undo(store: Store, case: Case, profile: Profile) -> None:
    """Take the last change of the draft back: the form becomes what that draft was made from.

    Nothing is erased; the step back is itself an event.
    """
    undone = stored_reviews.event(store, case.draft_id)
    origin = stored_reviews.event(store, undone["based_on"]) if undone else None
    kind = "draft" if origin and origin["kind"] == "draft" else "cleared"
    event = _event(case, profile, kind, _form(origin)) | {"based_on": origin["based_on"] if origin else None}
    store.append("review_event", [event])


def save_review(store: Store, case: Case, profile: Profile, form: Form) -> None:
    """Make the form a review. On return it is on disk.

    Raises:
        ValueError: when something required is missing; the message says what.
    """
    if missing := form.missing():
        raise ValueError(missing[0])
    decision = form.decision or ("accept" if form.drg_right else "change")
    drg = (case.predicted.drg if case.predicted else None) if form.drg_right else form.drg
    final = replace(form, decision=decision, drg=drg)
    store.append("review_event", [_event(case, profile, "saved", final) | {"based_on": case.draft_id}])


def withdraw(store: Store, case: Case, profile: Profile) -> None:
    """Take a saved review back; its content stays in the form and in the history."""
    store.append("review_event", [_event(case, profile, "withdrawn", case.form) | {"based_on": case.draft_id}])


def _event(case: Case, profile: Profile, kind: str, form: Form | None = None) -> dict:
    event = {
        "event_id": str(uuid.uuid4()),
        "note_id": case.note["note_id"],
        "prediction_id": case.prediction["prediction_id"] if case.prediction else None,
        "reviewer": profile.name,
        "role": profile.role,
        "kind": kind,
    }
    if form is None:
        return event
    version = case.prediction["drg_version"] if case.prediction else None
    return event | asdict(form) | {"drg_version": version, "step_verdicts": [v or "" for v in form.step_verdicts]}


def _newest(events: Sequence[dict], *kinds: str) -> dict | None:
    return next((event for event in reversed(events) if event["kind"] in kinds), None)


def _form(event: dict | None) -> Form:
    if event is None:
        return Form()
    values = {field.name: event[field.name] for field in fields(Form)}
    verdicts: Sequence[str] = event["step_verdicts"] or ()
    return Form(
        **values
        | {
            "step_verdicts": tuple(v or None for v in verdicts),
            "reasoning": event["reasoning"] or "",
            "comment": event["comment"] or "",
        }
    )
