"""Small CIFAR-10 files in every published form."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile

import numpy as np

from backpass.data import cifar10

ROWS = 20  # in each file, in place of 10,000


def batches_of(x, y):
    for i, name in enumerate(cifar10.BATCHES):
        part = slice(i * ROWS, (i + 1) * ROWS)
        yield name, x[part], y[part]


def binary_files(x, y):
    return {
        f"cifar-10-batches-bin/{name}.bin": np.concatenate([yy[:, None].astype(np.uint8), xx], axis=1).tobytes()
        for name, xx, yy in batches_of(x, y)
    }


def python2_pickle(x, y):
    """Opcode for opcode what Python 2 and NumPy 1 wrote in protocol 2 (as in the official archive)."""

    def short(text):
        return b"U" + bytes([len(text)]) + text

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01"
        + b"M" + struct.pack("<H", len(x)) + b"M" + struct.pack("<H", 3072) + b"\x86"
        + b"cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + struct.pack("<i", x.nbytes) + x.tobytes() + b"tb"
    )  # fmt: skip
    labels = b"]q\x02(" + b"".join(b"K" + bytes([v]) for v in y) + b"e"
    names = b"]q\x0a(" + b"".join(short(b"leptodactylus_s_%06d.png" % i) for i in range(len(y))) + b"e"
    return (
        b"\x80\x02}q\x01(" + short(b"batch_label") + short(b"training batch 1 of 5") + short(b"labels") + labels
        + short(b"data") + array + short(b"filenames") + names + b"u."
    )  # fmt: skip


def python_files(x, y, dump=python2_pickle):
    return {f"cifar-10-batches-py/{name}": dump(xx, yy) for name, xx, yy in batches_of(x, y)}


def python3_dump(protocol, keys=str, fortran=False):
    def dump(x, y):
        batch = {"batch_label": "b", "labels": y.tolist(), "data": np.asfortranarray(x) if fortran else x}
        batch["filenames"] = [f"{i}.png" for i in range(len(y))]
        if keys is bytes:
            batch = {key.encode(): value for key, value in batch.items()}
        return pickle.dumps(batch, protocol=protocol)

    return dump


def write_files(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_tar(path, entries, *, mode="w:gz"):
    """Write (name or TarInfo, content) pairs, as they come."""
    with tarfile.open(path, mode) as tar:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
