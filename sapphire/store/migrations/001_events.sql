-- Every table is a log: rows are appended and never changed. `seq` orders all events of the database, `recorded_at` is UTC.
-- No foreign keys and no secondary indexes: what they would guard is checked by the services that append.

CREATE SEQUENCE event_seq;

CREATE TABLE note (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    import_id VARCHAR NOT NULL, note_id VARCHAR NOT NULL, text VARCHAR NOT NULL, text_hash VARCHAR NOT NULL,
    words INTEGER NOT NULL, course_start INTEGER, course_end INTEGER, snippet VARCHAR NOT NULL,
    subject_id VARCHAR, hadm_id VARCHAR, age INTEGER, sex VARCHAR, discharge_status INTEGER,
    pdx VARCHAR, sdx VARCHAR[], poa VARCHAR[], procedures VARCHAR[],
    drg VARCHAR, title VARCHAR, drg_version VARCHAR, split VARCHAR, trap VARCHAR[], trace VARCHAR,
    source VARCHAR, credentialed BOOLEAN NOT NULL
);

-- One row for each import: what was read, and what was wrong with it.
CREATE TABLE import_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    import_id VARCHAR NOT NULL, kind VARCHAR NOT NULL,          -- started | imported | withdrawn
    author VARCHAR, files VARCHAR[], notes INTEGER, problems JSON
);

CREATE TABLE run_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL, kind VARCHAR NOT NULL,             -- started | resumed | cancelled | failed | finished
    model VARCHAR, prompt VARCHAR, drg_version VARCHAR, sampling JSON, note_ids VARCHAR[], author VARCHAR, message VARCHAR
);

-- One row for each completion; `chosen` marks the one that stands for its note in its run.
CREATE TABLE prediction (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    prediction_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, note_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL, prompt VARCHAR NOT NULL, drg_version VARCHAR NOT NULL,
    sample INTEGER NOT NULL, chosen BOOLEAN NOT NULL,
    completion VARCHAR NOT NULL, forced VARCHAR[] NOT NULL, head VARCHAR,
    drg VARCHAR, title VARCHAR, confidence DOUBLE, alternatives JSON,
    tokens INTEGER, seconds DOUBLE, error VARCHAR
);

-- Drafts and saved reviews hold the whole form; the other kinds only say what happened.
CREATE TABLE review_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    event_id VARCHAR NOT NULL, note_id VARCHAR NOT NULL, prediction_id VARCHAR,
    reviewer VARCHAR NOT NULL, role VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,      -- opened | revealed | draft | cleared | saved | withdrawn | skipped | flagged | unflagged
    based_on VARCHAR,           -- the event_id of the draft this one was made from; undo follows it back
    drg_right BOOLEAN, drg VARCHAR, drg_version VARCHAR, prior_drg VARCHAR,
    helpfulness INTEGER, accuracy INTEGER, step_verdicts VARCHAR[], error_category VARCHAR,
    reasoning VARCHAR, comment VARCHAR, decision VARCHAR
);

CREATE TABLE profile_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    name VARCHAR NOT NULL, role VARCHAR NOT NULL, think_first BOOLEAN NOT NULL
);

CREATE TABLE export_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    round INTEGER NOT NULL, author VARCHAR, filters JSON NOT NULL, counts JSON NOT NULL, files JSON NOT NULL,
    with_text BOOLEAN NOT NULL
);

-- The notes that still count: of each note_id the newest, unless its import was withdrawn.
CREATE VIEW current_note AS
SELECT * FROM note
WHERE import_id NOT IN (SELECT import_id FROM import_event WHERE kind = 'withdrawn')
QUALIFY row_number() OVER (PARTITION BY note_id ORDER BY seq DESC) = 1;

-- What stands for each note: the chosen completion of the newest run that answered.
CREATE VIEW current_prediction AS
SELECT * FROM prediction WHERE chosen AND error IS NULL
QUALIFY row_number() OVER (PARTITION BY note_id ORDER BY seq DESC) = 1;

-- The newest form of each reviewer for each prediction. An undone draft is cleared: the saved review, if any, stands.
CREATE VIEW current_review AS
SELECT * FROM review_event WHERE kind IN ('draft', 'cleared', 'saved', 'withdrawn')
QUALIFY row_number() OVER (PARTITION BY note_id, prediction_id, reviewer ORDER BY seq DESC) = 1;

-- A saved review stays in force while its reviewer has a newer draft, until it is withdrawn or saved anew.
CREATE VIEW saved_review AS
SELECT * FROM (
    SELECT * FROM review_event WHERE kind IN ('saved', 'withdrawn')
    QUALIFY row_number() OVER (PARTITION BY note_id, prediction_id, reviewer ORDER BY seq DESC) = 1
) WHERE kind = 'saved';

-- One row for each case, as the worklist shows it.
CREATE VIEW case_state AS
WITH saved AS (
    SELECT note_id, count(DISTINCT reviewer) AS reviews, max(seq) AS saved_seq,
        arg_max(reviewer, seq) AS reviewer, arg_max(decision, seq) AS decision,
        arg_max(drg, seq) AS reviewed_drg, arg_max(prediction_id, seq) AS reviewed_prediction
    FROM saved_review GROUP BY note_id
), drafts AS (
    SELECT note_id, max(seq) AS draft_seq, arg_max(reviewer, seq) AS drafter
    FROM current_review WHERE kind = 'draft' GROUP BY note_id
), marks AS (
    SELECT note_id,
        arg_max(kind, seq) FILTER (kind IN ('flagged', 'unflagged')) = 'flagged' AS flagged,
        max(seq) FILTER (kind = 'skipped') AS skipped_seq,
        max(seq) FILTER (kind IN ('draft', 'cleared', 'saved', 'withdrawn')) AS formed_seq
    FROM review_event GROUP BY note_id
), failed AS (
    SELECT note_id, max(seq) AS failed_seq, arg_max(error, seq) AS error
    FROM prediction WHERE error IS NOT NULL GROUP BY note_id
)
SELECT n.seq AS note_seq, n.note_id, n.import_id, n.snippet, n.words, n.source, n.age, n.sex, n.credentialed,
    n.drg AS gold_drg, n.drg_version AS gold_version,
    p.prediction_id, p.model, p.drg AS predicted_drg, p.title AS predicted_title, p.drg_version, p.confidence, p.recorded_at AS predicted_at,
    CASE WHEN failed_seq > coalesce(p.seq, 0) THEN f.error END AS error,
    coalesce(s.reviews, 0) AS reviews, coalesce(s.reviewer, d.drafter) AS reviewer, s.decision, s.reviewed_drg,
    coalesce(m.flagged, false) AS flagged,
    CASE
        WHEN s.saved_seq IS NOT NULL AND s.decision = 'escalate' THEN 'escalated'
        WHEN s.saved_seq IS NOT NULL AND s.decision = 'query' THEN 'queried'
        WHEN s.saved_seq IS NOT NULL THEN 'reviewed'
        WHEN d.draft_seq IS NOT NULL THEN 'in review'
        WHEN m.skipped_seq > greatest(coalesce(p.seq, 0), coalesce(m.formed_seq, 0)) THEN 'skipped'
        WHEN p.seq IS NOT NULL THEN 'predicted'
        WHEN f.failed_seq IS NOT NULL THEN 'failed'
        ELSE 'new'
    END AS state
FROM current_note n
LEFT JOIN current_prediction p USING (note_id)
LEFT JOIN failed f USING (note_id)
LEFT JOIN saved s USING (note_id)
LEFT JOIN drafts d USING (note_id)
LEFT JOIN marks m USING (note_id);

-- The newest event of those that move a case.
CREATE VIEW log_end AS
SELECT coalesce(max(seq), 0) AS seq FROM (
    SELECT max(seq) AS seq FROM note UNION ALL SELECT max(seq) FROM prediction
    UNION ALL SELECT max(seq) FROM review_event UNION ALL SELECT max(seq) FROM import_event
);

-- Which cases an event touches: the worklist's copy follows this log.
CREATE VIEW touched_note AS
SELECT seq, note_id FROM note
UNION ALL SELECT seq, note_id FROM prediction
UNION ALL SELECT seq, note_id FROM review_event WHERE kind NOT IN ('opened', 'revealed')
UNION ALL SELECT w.seq, n.note_id FROM import_event w JOIN note n USING (import_id) WHERE w.kind = 'withdrawn';
