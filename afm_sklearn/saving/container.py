"""Arrays and a text in one file, in the safetensors format.

Eight bytes say how long the header is; the header, JSON, says of each array its type,
shape and place; the bytes of the arrays follow, one after the other. Whatever reads
safetensors reads these files. Their text has a checksum of these bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
NAMES = {dtype: name for name, dtype in TYPES.items()}
CHECKSUM = "crc32"  # of the bytes of all arrays
MAX_HEADER = 100_000_000  # bytes, as in safetensors


class NotOurs(ValueError):
    """A file that is not what it should be."""


def write(path: Any, text: dict[str, str], arrays: dict[str, Array]) -> None:
    """Write arrays and a text; the file is there as a whole or not at all.

    Parameters
    ----------
    path : path-like
    text : dict of str to str
    arrays : dict of str to ndarray
        Of numbers or truth values.

    Raises
    ------
    FileNotFoundError
        If the folder that `path` lies in does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"path must lie in a folder that exists, got {path}, and there is no "
            f"folder {target.parent}"
        )
    header: dict[str, Any] = {}
    place, parts, checksum = 0, [], 0
    for name, array in arrays.items():
        part = np.ascontiguousarray(array).reshape(array.shape)
        part = part.astype(part.dtype.newbyteorder("<"), copy=False)
        if part.dtype not in NAMES:
            raise TypeError(f"an array of type {part.dtype} cannot be saved")
        header[name] = {
            "dtype": NAMES[part.dtype],
            "shape": list(part.shape),
            "data_offsets": [place, place + part.nbytes],
        }
        place += part.nbytes
        parts.append(part)
        checksum = zlib.crc32(part.data, checksum)
    header["__metadata__"] = text | {CHECKSUM: str(checksum)}
    head = json.dumps(header, allow_nan=False).encode()
    head += b" " * (-len(head) % 8)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(len(head).to_bytes(8, "little"))
            file.write(head)
            for part in parts:
                part.tofile(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Any) -> tuple[dict[str, str], dict[str, Array]]:
    """Read what `write` wrote.

    Raises
    ------
    NotOurs
        If the file is truncated, damaged or in another format; nothing larger than the
        file is ever allocated.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER, size - 8):
            raise NotOurs(f"{path} is no saved forecaster, or truncated")
        try:
            header = json.loads(file.read(length))
            text = header.pop("__metadata__", {})
            places = {
                name: _place(entry, size - 8 - length) for name, entry in header.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotOurs(f"{path} is no saved forecaster, or truncated") from error
        arrays, checksum = {}, 0
        for name, (dtype, shape, start, stop) in places.items():
            file.seek(8 + length + start)
            part = file.read(stop - start)
            arrays[name] = np.frombuffer(part, dtype).reshape(shape).copy()
            checksum = zlib.crc32(part, checksum)
    end = max((stop for *_, stop in places.values()), default=0)
    if size != 8 + length + end or str(checksum) != text.get(CHECKSUM, str(checksum)):
        raise NotOurs(f"{path} is damaged: its bytes are not those that were written")
    return text, arrays


def _place(entry: Any, room: int) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Type, shape and place of an array, which must lie inside the file."""
    dtype, shape = TYPES[entry["dtype"]], tuple(int(k) for k in entry["shape"])
    start, stop = (int(k) for k in entry["data_offsets"])
    n_bytes = dtype.itemsize
    for k in shape:
        n_bytes *= k
    if min(shape, default=0) < 0 or not 0 <= start <= stop <= room:
        raise ValueError("an array lies outside the file")
    if stop - start != n_bytes:
        raise ValueError("an array has another size than its shape says")
    return dtype, shape, start, stop
