"""One file that holds arrays and what they mean: an uncompressed .npz with a JSON manifest, never a pickle.

`np.load` reads the arrays anywhere; `manifest.json` inside says what they are, with the shape, dtype and SHA-256 of each.
Writing goes to a temporary file, to the disk, and then in one step over the old one, so that a crash at any moment
leaves either the old checkpoint or the new one.  Reading checks every size before it allocates anything.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import CheckpointError
from .filed import FiledVector
from .layers.base import Array

if TYPE_CHECKING:  # at run time inside the functions, so that `import backpass` stays quick
    import zipfile

FORMAT = "backpass checkpoint"
VERSION = 1
MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 64 * 2**20
HEADER_LIMIT_BYTES = 4096
DTYPES = ("<f4", "<f8", "|u1", "<i8", "<u8")


def save(path: str | Path, arrays: Mapping[str, Array | FiledVector], manifest: Mapping[str, Any]) -> None:
    """Write arrays and their manifest to one file, all or nothing.

    Parameters
    ----------
    path : str or Path
        The file, usually ``something.npz``; its folder must exist.
    arrays : dict of ndarray or FiledVector
        float32, float64, uint8, int64 or uint64, by name.
    manifest : dict
        Anything that JSON can say.

    Raises
    ------
    CheckpointError
        If the file cannot be written; what was there before is untouched.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "a.npz", {"w": np.ones(3)}, {"step": 7})
    ...     arrays, manifest = load(Path(folder) / "a.npz")
    >>> arrays["w"], manifest["step"]
    (array([1., 1., 1.]), 7)
    """
    import zipfile

    path = Path(path)
    arrays = {name: _plain(array) for name, array in arrays.items()}
    listed = {name: {"shape": list(a.shape), "dtype": a.dtype.str, "sha256": sha256(a)} for name, a in arrays.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION, **manifest, "arrays": listed}, indent=1, allow_nan=False)
    temporary = path.with_name(path.name + ".writing")
    try:
        with temporary.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_member(MANIFEST), text)
                for name, array in arrays.items():
                    with archive.open(_member(name + ".npy"), "w", force_zip64=True) as member:
                        member.write(_npy_header(array))
                        for piece in _pieces(array):
                            member.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: could not write the checkpoint ({error.strerror or error}); the one before, if any, is untouched"
        ) from error


def load(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a file that `save` wrote, checking everything.

    Returns
    -------
    arrays : dict of ndarray
    manifest : dict

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, cut short, of a newer format, or not a checkpoint; the message names file,
        member and reason.
    """
    import zipfile

    path = Path(path)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            file_bytes = os.fstat(file.fileno()).st_size
            members = _check_members(path, archive, file_bytes)
            manifest = _read_manifest(path, archive, members)
            arrays = {}
            for name, listed in manifest.pop("arrays").items():
                arrays[name] = _read_array(path, archive, members.pop(name + ".npy", None), name, listed)
            if members:
                raise _error(path, sorted(members)[0], "is not in the manifest")
            return arrays, manifest
    except FileNotFoundError:
        raise CheckpointError(f"{path}: expected a checkpoint, found no such file") from None
    except (zipfile.BadZipFile, EOFError, struct.error) as error:
        raise CheckpointError(f"{path}: the file is damaged or cut short, or no checkpoint ({error})") from None
    except (OSError, NotImplementedError, RuntimeError, UnicodeDecodeError, zipfile.LargeZipFile) as error:
        raise CheckpointError(f"{path}: could not be read ({error})") from None


def sha256(array: Array | FiledVector) -> str:
    """Return the SHA-256 of an array's bytes in C order.

    Examples
    --------
    >>> sha256(np.zeros(1, np.uint8))[:8]
    '6e340b9c'
    """
    import hashlib

    total = hashlib.sha256()
    for piece in _pieces(array):
        total.update(piece)
    return total.hexdigest()


def _pieces(array: Array | FiledVector) -> Iterable[memoryview]:
    """Return an array's bytes in C order, without a copy of all of them."""
    pieces = array.pieces() if isinstance(array, FiledVector) else [np.ascontiguousarray(array)]
    return (piece.data for piece in pieces)


def _plain(array: Array | FiledVector) -> Array | FiledVector:
    if isinstance(array, FiledVector):
        return array
    array = np.ascontiguousarray(array)
    little = array.dtype.newbyteorder("<")
    if little.str not in DTYPES:
        raise CheckpointError(f"expected arrays of dtype {', '.join(DTYPES)}, got {array.dtype}")
    return array.astype(little, copy=False)


def _member(name: str) -> zipfile.ZipInfo:
    import zipfile

    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the same arrays make the same file


def _npy_header(array: Array | FiledVector) -> bytes:
    header = io.BytesIO()
    about = {"shape": array.shape, "fortran_order": False, "descr": array.dtype.str}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def _sync_folder(folder: Path) -> None:
    # The rename itself has to reach the disk; some systems (Windows) cannot open a folder, and need not.
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _error(path: Path, member: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: member {member}: {reason}")


def _check_members(path: Path, archive: zipfile.ZipFile, file_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name; only plain, unique, stored ones that fit into the file."""
    import zipfile

    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in members:
            raise _error(path, info.filename, "appears twice")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise _error(path, info.filename, "expected a stored member, got a compressed or encrypted one")
        if info.file_size != info.compress_size or info.header_offset + info.file_size > file_bytes:
            raise _error(path, info.filename, f"claims {info.file_size} bytes, the whole file has {file_bytes}")
        members[info.filename] = info
    if sum(info.file_size for info in members.values()) > file_bytes:
        raise CheckpointError(f"{path}: its members claim more bytes than the file has")
    return members


def _read_manifest(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    info = members.pop(MANIFEST, None)
    if info is None:
        raise CheckpointError(f"{path}: expected a backpass checkpoint, found no {MANIFEST} in it")
    if info.file_size > MANIFEST_LIMIT_BYTES:
        raise _error(path, MANIFEST, f"expected at most {MANIFEST_LIMIT_BYTES} bytes, got {info.file_size}")
    try:
        manifest = json.loads(archive.read(info))
    except (ValueError, RecursionError) as error:
        raise _error(path, MANIFEST, f"is not JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _error(path, MANIFEST, f"expected the format {FORMAT!r}")
    version = manifest.get("version")
    if not isinstance(version, int) or version < 1:
        raise _error(path, MANIFEST, f"expected a format version, got {version!r}")
    if version > VERSION:
        raise _error(
            path, MANIFEST, f"has format version {version}, this backpass reads up to {VERSION}; upgrade backpass"
        )
    listed = manifest.get("arrays")
    if not isinstance(listed, dict) or not all(isinstance(entry, dict) for entry in listed.values()):
        raise _error(path, MANIFEST, "expected a list of arrays")
    return manifest


def _read_array(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, name: str, listed: dict[str, Any]
) -> Array:
    member = name + ".npy"
    if info is None:
        raise _error(path, member, "is in the manifest and missing in the file")
    shape, dtype = listed.get("shape"), listed.get("dtype")
    if dtype not in DTYPES:
        raise _error(path, member, f"expected a dtype of {', '.join(DTYPES)}, got {dtype!r}")
    if not isinstance(shape, list) or not all(isinstance(n, int) and 0 <= n < 2**48 for n in shape) or len(shape) > 8:
        raise _error(path, member, f"expected a shape, got {shape!r}")
    count = 1
    for n in shape:
        count *= n
    size_bytes = count * np.dtype(dtype).itemsize
    header_bytes = info.file_size - size_bytes
    if not 0 < header_bytes <= HEADER_LIMIT_BYTES:
        raise _error(path, member, f"expected {size_bytes} bytes for shape {tuple(shape)}, got {info.file_size}")
    data = archive.read(info)  # checks the CRC
    try:
        head = io.BytesIO(data[:header_bytes])
        if np.lib.format.read_magic(head) != (1, 0):
            raise ValueError("not version 1.0 of the npy format")
        found = np.lib.format.read_array_header_1_0(head, max_header_size=HEADER_LIMIT_BYTES)
    except (ValueError, SyntaxError) as error:
        raise _error(path, member, f"has a damaged header ({error})") from None
    if found != (tuple(shape), False, np.dtype(dtype)) or head.tell() != header_bytes:
        raise _error(path, member, f"has a header {found} that is not what the manifest says")
    array = np.frombuffer(data, np.dtype(dtype), offset=header_bytes).reshape(shape).copy()
    if sha256(array) != listed.get("sha256"):
        raise _error(path, member, "its SHA-256 is not the one in the manifest: the file is damaged")
    return array
