-- Training runs as their folders tell them, so that the history of a run stays when its folder is gone. No note text is in here.
-- A run is its name, recipe and start: a folder that is trained anew is another run, one that goes on from a checkpoint is not.

CREATE TABLE training_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL, kind VARCHAR NOT NULL,     -- told | rewound
    record JSON,                -- told: run.json as it stood
    step INTEGER                -- rewound: the last step that still counts of what was taken in before
);

-- A line of metrics.jsonl: what was measured at a step, name by name. `line_end` is where the line ends in the file, in bytes.
CREATE TABLE training_step (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL, step INTEGER NOT NULL, written_at DOUBLE NOT NULL, seconds DOUBLE, line_end BIGINT NOT NULL,
    metrics VARCHAR[] NOT NULL, readings DOUBLE[] NOT NULL
);

-- The completions of one case at one step, summed up; the completions themselves stay in the run's folder.
CREATE TABLE training_group (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL, step INTEGER NOT NULL, case_id VARCHAR NOT NULL, drg VARCHAR, drg_version VARCHAR,
    answers INTEGER NOT NULL, share_right DOUBLE, accuracy DOUBLE, reward DOUBLE, reward_low DOUBLE, reward_high DOUBLE,
    spread DOUBLE, difficulty VARCHAR                   -- easy | medium | hard
);

-- What counts: a run that goes on from a checkpoint does the steps after it again. Of two servers that took in the same, one stands.
CREATE VIEW current_training_step AS
SELECT s.* FROM training_step s
ANTI JOIN (SELECT run_id, seq, step FROM training_event WHERE kind = 'rewound') r
    ON r.run_id = s.run_id AND r.seq > s.seq AND r.step < s.step
QUALIFY row_number() OVER (PARTITION BY s.run_id, s.step ORDER BY s.seq DESC) = 1;

CREATE VIEW current_training_group AS
SELECT g.* FROM training_group g
ANTI JOIN (SELECT run_id, seq, step FROM training_event WHERE kind = 'rewound') r
    ON r.run_id = g.run_id AND r.seq > g.seq AND r.step < g.step
QUALIFY row_number() OVER (PARTITION BY g.run_id, g.step, g.case_id ORDER BY g.seq DESC) = 1;
