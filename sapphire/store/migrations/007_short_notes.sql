-- Of a note of at most 600 words a model now reads everything, not the hospital course alone (sapphire.notes.passage).
-- The span follows from the text, so that bringing it up to date changes nothing that anyone recorded.
UPDATE note SET course_start = NULL, course_end = NULL WHERE words <= 600;
