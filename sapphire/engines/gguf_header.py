"""The metadata of a GGUF file: chat template and vocabulary, which xllamacpp does not hand out.

Our own because the `gguf` package takes 2.7 s for a vocabulary of 49,152 (it keeps every string as a NumPy array), four
times as long as llama.cpp takes to load the model. Layout: ggml's docs/gguf.md, versions 2 and 3, little endian.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

from sapphire.engines import EngineError

STRING, ARRAY = 8, 9
# Value type to struct format: u8 i8 u16 i16 u32 i32 f32 bool, and u64 i64 f64 after string and array.
FORMATS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
MOST = 1 << 28  # no count or length of a sound header comes near this; a damaged one may


def read_header(path: str | Path) -> dict[str, Any]:
    """All metadata of a GGUF file by key. EngineError when the file is none or its header is damaged."""
    try:
        with open(path, "rb") as file:
            magic, version, _, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3) or count > MOST:
                raise ValueError
            return {_string(file): _value(file, _number(file, "I")) for _ in range(count)}
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise EngineError(
            f"{path} is missing, damaged or no GGUF file; fetch it again (the embedded model: "
            "`python -m sapphire.models`)."
        ) from error


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(file)
    if kind == ARRAY:
        kind, count = _number(file, "I"), _number(file, "Q")
        if count > MOST:
            raise ValueError
        if kind in FORMATS:
            return list(struct.unpack(f"<{count}{FORMATS[kind]}", file.read(count * struct.calcsize(FORMATS[kind]))))
        return [_value(file, kind) for _ in range(count)]
    return _number(file, FORMATS[kind])


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))[0]


def _string(file: BinaryIO) -> str:
    length = _number(file, "Q")
    if length > MOST:
        raise ValueError
    data = file.read(length)
    if len(data) < length:
        raise ValueError
    return data.decode("utf-8", errors="replace")
