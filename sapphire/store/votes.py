"""Ballots, the pairs drawn for their readers, and what was voted: the statements of `sapphire.voting`."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


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


def answer(store: Store, prediction_id: str) -> Row:
    return store.read("SELECT * FROM prediction WHERE prediction_id = $id", id=prediction_id)[0]


def note(store: Store, note_id: str) -> Row | None:
    found = store.read("SELECT * FROM current_note WHERE note_id = $note", note=note_id)
    return found[0] if found else None


def completions(store: Store, note_ids: list[str], run_ids: tuple[str, str]) -> dict[str, dict[str, Row]]:
    """note_id → run_id → prediction_id and completion of the answer that stands for the note in that run."""
    found: dict[str, dict[str, Row]] = {}
    for row in store.read(
        "SELECT note_id, run_id, prediction_id, completion FROM prediction WHERE chosen AND error IS NULL "
        "AND list_contains($runs, run_id) AND list_contains($notes, note_id) ORDER BY seq",
        runs=list(run_ids),
        notes=note_ids,
    ):
        found.setdefault(row["note_id"], {})[row["run_id"]] = row
    return found


def votes(store: Store, ballot_id: str) -> list[Row]:
    """Every vote in force in the order given, with `seconds` from drawing to voting and the note's `subject_id`."""
    return store.read(
        """
        SELECT p.*, n.subject_id, epoch(p.state_at) - epoch(p.drawn_at) AS seconds
        FROM current_pair p LEFT JOIN (SELECT note_id, subject_id FROM current_note) n USING (note_id)
        WHERE ballot_id = $ballot AND state = 'voted' ORDER BY state_seq
        """,
        ballot=ballot_id,
    )


def exported(store: Store) -> list[Row]:
    """Every vote in force of all ballots, in the order given, with its note and as `left` and `right` the two answers."""
    answer = ", ".join(
        f"'{name}': {{0}}.{name}" for name in ("prediction_id", "model", "prompt", "drg_version", "drg", "completion")
    )
    return store.read(
        f"""
        SELECT v.pair_id, v.note_id, v.reader, v.role, v.state_at AS recorded_at, v.verdict, v.reasons, v.comment, v.left_run, v.right_run,
            v.repeat_of, b.name AS ballot, n.text, n.text_hash, n.course_start, n.course_end, n.age, n.sex, n.discharge_status, n.credentialed,
            {{{answer.format("l")}}} AS left, {{{answer.format("r")}}} AS right
        FROM current_pair v
        JOIN current_ballot b USING (ballot_id)
        JOIN current_note n USING (note_id)
        JOIN prediction l ON l.prediction_id = v.left_prediction
        JOIN prediction r ON r.prediction_id = v.right_prediction
        WHERE v.state = 'voted' ORDER BY v.state_seq
        """
    )


def readers(store: Store) -> list[str]:
    return [
        row["reader"] for row in store.read("SELECT DISTINCT reader FROM current_pair WHERE state = 'voted' ORDER BY 1")
    ]
