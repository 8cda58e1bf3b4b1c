-- Of a note of at most 600 words a model now reads everything, not the hospital course alone (sapphire.notes.passage).
UPDATE note SET course_start = NULL, course_end = NULL WHERE words <= 600;
