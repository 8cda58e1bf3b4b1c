-- Blind votes between runs. A ballot says which runs stand against each other and by what rules; it is closed, never changed.

CREATE TABLE ballot_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    ballot_id VARCHAR NOT NULL, kind VARCHAR NOT NULL,          -- opened | closed | reopened
    author VARCHAR NOT NULL, name VARCHAR, run_ids VARCHAR[],
    pool VARCHAR,                                               -- any | different DRG | same DRG
    repeats DOUBLE                                              -- share of pairs that come again with sides swapped
);

-- A pair is drawn for one reader, with its sides; what the reader then says of it refers to the pair and names no run.
CREATE TABLE vote_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    pair_id VARCHAR NOT NULL, ballot_id VARCHAR NOT NULL, reader VARCHAR NOT NULL, role VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,      -- drawn | draft | voted | skipped | withdrawn
    note_id VARCHAR, left_run VARCHAR, right_run VARCHAR, left_prediction VARCHAR, right_prediction VARCHAR,
    repeat_of VARCHAR,          -- drawn only: the pair_id that this one repeats with its sides swapped
    verdict VARCHAR,            -- left | right | tie | both bad
    reasons VARCHAR[], comment VARCHAR
);

-- The ballots as they stand.
CREATE VIEW current_ballot AS
SELECT o.ballot_id, o.name, o.author, o.run_ids, o.pool, o.repeats, o.seq, o.recorded_at, n.kind <> 'closed' AS open
FROM ballot_event o
JOIN (
    SELECT ballot_id, kind FROM ballot_event QUALIFY row_number() OVER (PARTITION BY ballot_id ORDER BY seq DESC) = 1
) n USING (ballot_id)
WHERE o.kind = 'opened';

-- Every drawn pair with the newest that its reader said of it. `state` is the kind of that event: only 'voted' counts.
CREATE VIEW current_pair AS
SELECT d.pair_id, d.ballot_id, d.reader, d.role, d.note_id, d.left_run, d.right_run, d.left_prediction, d.right_prediction,
    d.repeat_of, d.seq AS drawn_seq, d.recorded_at AS drawn_at,
    n.kind AS state, n.verdict, n.reasons, n.comment, n.seq AS state_seq, n.recorded_at AS state_at
FROM vote_event d
JOIN (
    SELECT * FROM vote_event QUALIFY row_number() OVER (PARTITION BY pair_id ORDER BY seq DESC) = 1
) n USING (pair_id)
WHERE d.kind = 'drawn';
