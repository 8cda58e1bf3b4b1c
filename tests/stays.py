"""Stored cases for tests: notes and predictions put into a store as the import and a run would."""

import hashlib

from sapphire.completions import compose

NOTE = """Brief Hospital Course:
The patient came in with dyspnea and leg edema. Acute on chronic systolic heart failure, diuresed with IV furosemide.
AKI with creatinine 2.1 from 1.0, resolved with fluids held.

Discharge Medications:
Furosemide 40 mg daily"""
THINK = 'The principal diagnosis is heart failure: "Acute on chronic systolic heart failure".\nAKI is a CC: "creatinine 2.1".\nSo heart failure with CC.'
TITLE = "HEART FAILURE AND SHOCK WITH CC"


def stored_note(note_id: str = "n1", text: str = NOTE, **more) -> dict:
    start = text.find("The patient")
    end = text.find("\n\nDischarge Med")
    facts = {
        "import_id": "import", "note_id": note_id, "text": text, "text_hash": hashlib.sha256(text.encode()).hexdigest(), "words": len(text.split()),
        "course_start": start if end > 0 else None, "course_end": end if end > 0 else None, "snippet": text[:100],
        "source": "notes.csv", "credentialed": False,
    }  # fmt: skip
    return facts | more


def stored_prediction(
    note_id: str = "n1", think: str = THINK, title: str = TITLE, drg: str | None = "292", **more
) -> dict:
    facts = {
        "prediction_id": f"p-{note_id}", "run_id": "run", "note_id": note_id, "model": "model-a", "prompt": "plain", "drg_version": "43.1",
        "sample": 0, "chosen": True, "completion": compose(think, title), "forced": [], "head": think[:150], "drg": drg,
        "title": title, "confidence": 0.8, "alternatives": [],
    }  # fmt: skip
    return facts | more
