-- The reward terms that do not depend on the right DRG, kept with each completion when it is stored: reckoning them later would
-- mean to read every completion. Null for what was stored before.
ALTER TABLE prediction ADD COLUMN format DOUBLE;
ALTER TABLE prediction ADD COLUMN cot_first DOUBLE;
