"""Values as SQL text, for a connection that takes a statement and nothing beside it (DuckDB's Quack protocol)."""

import json
import re
from collections.abc import Mapping
from datetime import datetime

_PARAMETER = re.compile(r"'(?:[^']|'')*'|\$(\w+)")

# The numbers of the rows of `current_note`: of all notes at once they take a third of the view's time, which carries every column
# through its grouping.
CURRENT_NOTES = """SELECT max(seq) FROM note
    WHERE import_id NOT IN (SELECT import_id FROM import_event WHERE kind = 'withdrawn') GROUP BY note_id"""


def literal(value: object) -> str:
    """`value` as a DuckDB literal.

    Raises:
        TypeError: for a type that no column of the store has.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
        case list() | tuple():
            return "[" + ", ".join(map(literal, value)) + "]"
        case dict():
            return literal(json.dumps(value))
    raise TypeError(f"a {type(value).__name__} cannot be written into a statement")


def bind(sql: str, params: Mapping[str, object]) -> str:
    """`sql` with each `$name` replaced by its literal; text inside quotes is left alone.

    Raises:
        KeyError: when a parameter is missing.
    """
    return _PARAMETER.sub(lambda m: literal(params[m[1]]) if m[1] else m[0], sql)
