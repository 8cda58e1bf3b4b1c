-- What a confidence was before the model's calibration. Null where it is not calibrated, and for what was stored before.
ALTER TABLE prediction ADD COLUMN raw_confidence DOUBLE;
