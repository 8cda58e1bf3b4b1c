"""Ballots, the pairs drawn for their readers, and what was voted: the statements of `sapphire.voting`."""

from collections.abc import Iterable

from sapphire.store.connections import Row
from sapphire.store.database import Store
from sapphire.store.literals import literal


def ballots(store: Store) -> list[Row]:
    """Every ballot as it stands, the newest first, with `votes` (repeats included) and `readers`."""
    return store.read(
        """
        SELECT b.*, coalesce(p.votes, 0) AS votes, coalesce(p.readers, 0) AS readers FROM current_ballot b
        LEFT JOIN (
            SELECT ballot_id, count(*) AS votes, count(DISTINCT reader) AS readers
            FROM current_pair WHERE state = 'voted' GROUP BY ballot_id
        ) p USING (ballot_id) ORDER BY b.seq DESC
        """
    )


def pairs_of(store: Store, ballot_id: str, reader: str) -> list[Row]:
    """Every pair drawn for a reader in a ballot, in the order drawn."""
    return store.read(
        "SELECT * FROM current_pair WHERE ballot_id = $ballot AND reader = $reader ORDER BY drawn_seq",
        ballot=ballot_id,
        reader=reader,
    )


def pair(store: Store, pair_id: str) -> Row | None:
    found = store.read("SELECT * FROM current_pair WHERE pair_id = $pair", pair=pair_id)
    return found[0] if found else None


def answers_numbered(store: Store, seqs: Iterable[int]) -> dict[int, Row]:
    """Answers by their number in the log, which finds them without reading the others."""
    numbers = ", ".join(str(int(seq)) for seq in seqs)
    found = store.read(
        f"SELECT seq, note_id, run_id, prediction_id, completion FROM prediction WHERE seq IN ({numbers})"
    )
    return {row["seq"]: row for row in found}


def votes(store: Store, ballot_id: str) -> list[Row]:
    """Every vote in force in the order given, with `seconds` from drawing to voting and the note's `subject_id`."""
    found = store.read(
        """
        SELECT *, epoch(state_at) - epoch(drawn_at) AS seconds FROM current_pair
        WHERE ballot_id = $ballot AND state = 'voted' ORDER BY state_seq
        """,
        ballot=ballot_id,
    )
    if not found:
        return []
    # A list of literals reaches the scan below the view; a join would make it compute every note.
    listed = _listed({row["note_id"] for row in found})
    notes = store.read(f"SELECT note_id, subject_id FROM current_note WHERE note_id IN ({listed})")
    subjects = {row["note_id"]: row["subject_id"] for row in notes}
    return [row | {"subject_id": subjects.get(row["note_id"])} for row in found]


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(literal, values))


def exported(store: Store) -> list[Row]:
    """Every vote in force of all ballots, in the order given, with its note and as `left` and `right` the two answers; votes on
    notes that were withdrawn are left out."""
    found = store.read(
        """
        SELECT v.*, v.state_at AS recorded_at, b.name AS ballot FROM current_pair v JOIN current_ballot b USING (ballot_id)
        WHERE v.state = 'voted' ORDER BY v.state_seq
        """
    )
    if not found:
        return []
    listed = _listed({row["note_id"] for row in found})
    notes = store.read(
        f"""SELECT note_id, text, text_hash, course_start, course_end, age, sex, discharge_status, credentialed FROM current_note
        WHERE note_id IN ({listed})"""
    )
    ids = _listed({row[side] for row in found for side in ("left_prediction", "right_prediction")})
    answers = store.read(
        f"""SELECT prediction_id, model, prompt, drg_version, drg, completion FROM prediction
        WHERE note_id IN ({listed}) AND prediction_id IN ({ids})"""
    )
    note = {row["note_id"]: row for row in notes}
    said = {row["prediction_id"]: row for row in answers}
    return [
        row | note[row["note_id"]] | {"left": said[row["left_prediction"]], "right": said[row["right_prediction"]]}
        for row in found
        if row["note_id"] in note
    ]


def readers(store: Store) -> list[str]:
    return [
        row["reader"] for row in store.read("SELECT DISTINCT reader FROM current_pair WHERE state = 'voted' ORDER BY 1")
    ]
