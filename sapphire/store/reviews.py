"""What reviewers did with notes: events of one case, its history, and the saved reviews of all."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


def events(store: Store, note_id: str, reviewer: str) -> list[Row]:
    """All that a reviewer did with a note, oldest first: the columns of `review_event`."""
    return store.read(
        "SELECT * FROM review_event WHERE note_id = $note AND reviewer = $reviewer ORDER BY seq",
        note=note_id,
        reviewer=reviewer,
    )


def event(store: Store, event_id: str | None) -> Row | None:
    """The columns of `review_event`; None when there is no such event."""
    found = store.read("SELECT * FROM review_event WHERE event_id = $id", id=event_id)
    return found[0] if found else None


def history(store: Store, note_id: str) -> list[Row]:
    """All that happened to a note, oldest first: recorded_at (UTC), seq, kind, who (source, model or reviewer), what (note_id or DRG),
    detail (title, error, decision or comment). Of each draft only what is left of it."""
    return store.read(
        """
        SELECT recorded_at, seq, 'imported' AS kind, source AS who, note_id AS what, NULL AS detail FROM note WHERE note_id = $note
        UNION ALL
        SELECT recorded_at, seq, CASE WHEN error IS NULL THEN 'predicted' ELSE 'failed' END, model, coalesce(drg, ''),
            coalesce(error, title) FROM prediction WHERE note_id = $note AND chosen
        UNION ALL
        SELECT recorded_at, seq, kind, reviewer, coalesce(drg, prior_drg, ''), coalesce(decision, comment) FROM review_event
        WHERE note_id = $note AND (kind NOT IN ('draft', 'cleared') OR event_id IN (SELECT event_id FROM current_review WHERE note_id = $note))
        ORDER BY seq
        """,
        note=note_id,
    )


def reviewers(store: Store) -> list[str]:
    """Everyone with a saved review in force, by name."""
    return [row["reviewer"] for row in store.read("SELECT DISTINCT reviewer FROM saved_review ORDER BY 1")]


def exported(store: Store) -> list[Row]:
    """Every saved review in force in the order saved, of notes that were not withdrawn: the columns of `saved_review`, of the prediction
    it judges (its DRG as predicted_drg, predicted_title) and of the note (its DRG as recorded_drg), and seconds from the last time
    its reviewer opened the note."""
    return store.read(
        """
        SELECT r.*, p.model, p.prompt, p.completion, p.forced, p.drg AS predicted_drg, p.title AS predicted_title, p.confidence,
            n.text, n.age, n.sex, n.discharge_status, n.text_hash, n.course_start, n.course_end, n.drg AS recorded_drg, n.credentialed, n.source,
            epoch(r.recorded_at) - epoch(opened.at) AS seconds
        FROM saved_review r
        JOIN current_note n USING (note_id)
        LEFT JOIN prediction p ON p.prediction_id = r.prediction_id
        LEFT JOIN (
            SELECT note_id, reviewer, max(recorded_at) AS at FROM review_event WHERE kind = 'opened' GROUP BY ALL
        ) opened ON opened.note_id = r.note_id AND opened.reviewer = r.reviewer AND opened.at <= r.recorded_at
        ORDER BY r.seq
        """
    )
