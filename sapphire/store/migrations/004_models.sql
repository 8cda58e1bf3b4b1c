-- The register of models. A model is known by the name that its answers carry. Nothing here says how to run it: that is in its folder.
-- No key is ever stored, only the name of the variable that holds it, in the model's folder.

CREATE TABLE model_event (
    seq BIGINT NOT NULL DEFAULT nextval('event_seq'), recorded_at TIMESTAMP NOT NULL,
    name VARCHAR NOT NULL, kind VARCHAR NOT NULL,       -- added | checked | withdrawn | restored | default
    author VARCHAR NOT NULL,
    -- What stands only in 'added': where the model is, and what made it.
    place VARCHAR,                                      -- folder, GGUF file, hub name, or address of a server
    location VARCHAR,                                   -- what opens it: its folder on the machine where it was added
    engine VARCHAR, prompt VARCHAR, drg_version VARCHAR, recipe VARCHAR, data_hash VARCHAR, purpose VARCHAR, agreement BOOLEAN,
    report JSON                                         -- what stands only in 'checked'
);

-- Every registered model as it stands: who added it and when, its newest check, whether it is withdrawn.
CREATE VIEW current_model AS
SELECT a.* EXCLUDE (kind, report), c.report, c.recorded_at AS checked_at, coalesce(s.kind = 'withdrawn', false) AS withdrawn
FROM (SELECT * FROM model_event WHERE kind = 'added' QUALIFY row_number() OVER (PARTITION BY name ORDER BY seq DESC) = 1) a
LEFT JOIN (
    SELECT name, report, recorded_at FROM model_event WHERE kind = 'checked' QUALIFY row_number() OVER (PARTITION BY name ORDER BY seq DESC) = 1
) c USING (name)
LEFT JOIN (
    SELECT name, kind FROM model_event WHERE kind IN ('added', 'withdrawn', 'restored')
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY seq DESC) = 1
) s USING (name);
