"""Download the published data sets: several mirrors, resumed where they broke off, checked to the last bit.

A file is written to ``NAME.part`` beside its place, and renamed when its size and SHA-256 are the published ones.  All
mirrors serve the same bytes, so that a part from one is continued from another; should one have lied, the checksum
shows it and the part is thrown away.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backpass.data.places import cache_dir
from backpass.errors import ArgumentError, DownloadError

PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    name : str
        The file's name, which a mirror's address is followed by.
    size_bytes : int
        Its exact size.
    sha256 : str
        Its checksum.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """Files that together are a data set, and the mirrors (addresses that end in a slash) that have them."""

    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]


_CIFAR10_BINARY = Published(
    (
        RemoteFile(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
    ),
)
_CIFAR10_PYTHON = Published(
    (
        RemoteFile(
            "cifar-10-python.tar.gz",
            170_498_071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
    ("https://www.cs.toronto.edu/~kriz/", "https://dataset.bj.bcebos.com/cifar/"),
)
_MNIST = Published(
    (
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
_FASHION_MNIST = Published(
    (
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
)

# For each name the forms in which it is published, the preferred one first.
PUBLISHED: dict[str, tuple[Published, ...]] = {
    "cifar10": (_CIFAR10_BINARY, _CIFAR10_PYTHON),
    "mnist": (_MNIST,),
    "fashion-mnist": (_FASHION_MNIST,),
}


def download(
    name: str,
    dest: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] | None = None,
    progress: bool = True,
    timeout_s: float = 30.0,
    retries: int = 3,
    backoff_s: float = 1.0,
) -> Path:
    """Download a data set and return the folder that it is in.

    What is there already is checked and kept; what broke off is continued.

    Parameters
    ----------
    name : str
        ``cifar10`` (170 MB), ``mnist`` (12 MB) or ``fashion-mnist`` (31 MB).
    dest : path, optional
        The folder to put the files into; a folder of that name in `cache_dir` if None, where `load` finds it.
    mirrors : sequence of str, optional
        Addresses of folders to try, in order, in place of the built-in ones.
    progress : bool
        Show a progress bar on standard error (plain lines where that is no terminal).
    timeout_s : float
        How long a server may stay silent.
    retries : int
        How many times in a row a mirror may break off without having sent a hundredth of the file.
    backoff_s : float
        The pause after the first such failure; it doubles with each.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArgumentError
        Where the name is unknown or an option makes no sense.
    DownloadError
        Where no mirror has the published bytes, or they cannot be written.

    Examples
    --------
    >>> download("digits")
    Traceback (most recent call last):
    backpass.errors.ArgumentError: name: expected one of cifar10, mnist, fashion-mnist, got 'digits' (digits ships \
with the package)
    """
    if name not in PUBLISHED:
        hint = " (digits ships with the package)" if name == "digits" else ""
        raise ArgumentError(f"name: expected one of {', '.join(PUBLISHED)}, got {name!r}{hint}")
    if not 0.0 < timeout_s < float("inf"):
        raise ArgumentError(f"timeout_s: expected a positive number of seconds, got {timeout_s}")
    if retries < 1 or backoff_s < 0.0:
        raise ArgumentError(f"retries must be at least 1 and backoff_s not negative, got {retries} and {backoff_s}")
    if mirrors is not None and (isinstance(mirrors, str) or not mirrors):
        raise ArgumentError(f"mirrors: expected a list of addresses, got {mirrors!r}")
    for mirror in mirrors or ():
        if not mirror.startswith(("http://", "https://")):
            raise ArgumentError(f"mirrors: expected addresses that start with http:// or https://, got {mirror!r}")
    folder = Path(dest).expanduser() if dest is not None else cache_dir() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{folder}: cannot make this folder ({error.strerror}); name another one") from error

    reasons: list[str] = []
    for form in PUBLISHED[name]:
        if all(_fetch_file(f, folder, mirrors or form.mirrors, progress, timeout_s, retries, backoff_s, reasons)
               for f in form.files):  # fmt: skip
            return folder
    wanted = ", ".join(f"{f.name} ({f.size_bytes} bytes, SHA-256 {f.sha256})" for f in PUBLISHED[name][0].files)
    raise DownloadError(
        f"{name}: no mirror worked:\n  " + "\n  ".join(reasons) + "\nTry again later (what has come is kept and "
        f"continued), give other mirrors, or put the files into {folder} by hand: {wanted}"
    )


class _TryAgain(Exception):
    """The mirror broke off or is busy; the same request may succeed later."""


class _GiveUp(Exception):
    """The mirror does not have the file, or not the published one."""


def _fetch_file(
    file: RemoteFile,
    folder: Path,
    mirrors: Sequence[str],
    progress: bool,
    timeout_s: float,
    retries: int,
    backoff_s: float,
    reasons: list[str],
) -> bool:
    """Bring one file; where no mirror has it, say why in `reasons` and return False."""
    final, part = folder / file.name, folder / f"{file.name}.part"
    try:
        if _is_published(final, file):
            return True
        with _progress(file.name, file.size_bytes, progress) as advance:
            for mirror in mirrors:
                url = mirror.rstrip("/") + "/" + file.name
                reason = _fetch_from(url, file, part, advance, timeout_s, retries, backoff_s)
                if reason is None:
                    _rename(part, final)
                    return True
                reasons.append(f"{url}: {reason}")
    except OSError as error:
        # Only what happens to our own files comes here; what happens to the connection has been dealt with.
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            missing = (file.size_bytes - _size(part)) / 1e6
            raise DownloadError(
                f"{folder}: the disk is full; {file.name} needs {missing:.0f} MB more. Make room and run this again: "
                "what has come is kept"
            ) from error
        raise DownloadError(f"{folder}: cannot write {file.name} ({error}); name another folder") from error
    return False


def _fetch_from(
    url: str,
    file: RemoteFile,
    part: Path,
    advance: Callable[[int], None],
    timeout_s: float,
    retries: int,
    backoff_s: float,
) -> str | None:
    """Bring `part` to its full, checked length from one mirror; return why not, or None for success."""
    failures = 0
    all_from_here = False
    while True:
        before = _size(part)
        if before >= file.size_bytes:
            if _is_published(part, file):
                return None
            part.unlink()
            if all_from_here:
                return "what came has another SHA-256 than what was published"
            before = 0  # some of it came from elsewhere: this mirror may be right, from the beginning
        all_from_here = all_from_here or before == 0
        try:
            _append(url, file, part, before, advance, timeout_s)
            continue
        except _GiveUp as error:
            return str(error)
        except _TryAgain as error:
            reason = str(error)
        progressed = _size(part) - before >= max(1, file.size_bytes // 100)
        failures = 1 if progressed else failures + 1
        if failures >= retries:
            return f"{reason} ({failures} times)"
        time.sleep(min(60.0, backoff_s * 2 ** (failures - 1)))


def _append(
    url: str, file: RemoteFile, part: Path, start: int, advance: Callable[[int], None], timeout_s: float
) -> None:
    """Ask for the bytes from `start` on and append them to `part`."""
    import http.client
    import urllib.error
    import urllib.request

    headers = {"User-Agent": "backpass", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    # What the network raises and what our disk raises are both OSErrors; only reading is guarded here.
    network_errors = (OSError, http.client.HTTPException, ValueError)
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _TryAgain(f"HTTP {error.code} {error.reason}") from error
        raise _GiveUp(f"HTTP {error.code} {error.reason}") from error
    except network_errors as error:
        raise _TryAgain(_reason(error, timeout_s)) from error
    with response:
        if response.status == 206:
            expected = f"bytes {start}-{file.size_bytes - 1}/{file.size_bytes}"
            if response.headers.get("Content-Range") != expected:
                raise _GiveUp(f"expected '{expected}', got '{response.headers.get('Content-Range')}'")
        elif response.status == 200:
            start = 0  # the server does not continue; take it all
            length = response.headers.get("Content-Length")
            if length is not None and length != str(file.size_bytes):
                raise _GiveUp(f"expected {file.size_bytes} bytes, the server has {length}")
        else:
            raise _GiveUp(f"HTTP {response.status} {response.reason}")
        _check_room(part, file.size_bytes - start)
        got = start
        with part.open("ab" if start else "wb") as out:
            advance(got)
            while got < file.size_bytes:
                try:
                    # read1 gives what has come; read would wait for the whole piece, and lose it in a timeout
                    piece = response.read1(min(PIECE_BYTES, file.size_bytes - got))
                except network_errors as error:
                    raise _TryAgain(f"{_reason(error, timeout_s)} after {got} bytes") from error
                if not piece:
                    raise _TryAgain(f"broke off after {got} of {file.size_bytes} bytes")
                out.write(piece)
                got += len(piece)
                advance(got)
            out.flush()
            os.fsync(out.fileno())


def _reason(error: Exception, timeout_s: float) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError):
        return f"silent for {timeout_s:g} s"
    return f"{type(error).__name__}: {cause}"


def _check_room(part: Path, needed: int) -> None:
    import shutil

    if shutil.disk_usage(part.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_published(path: Path, file: RemoteFile) -> bool:
    import hashlib  # here, and not above: it loads OpenSSL, and `import backpass` stays quick

    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def _rename(part: Path, final: Path) -> None:
    part.replace(final)
    if os.name == "posix":  # make the rename itself last through a power cut
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _progress(name: str, total: int, show: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many bytes have come so far."""
    if not show:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(name, total=total)
            yield lambda got: bar.update(task, completed=got)
    else:
        reported = -1

        def report(got: int) -> None:
            nonlocal reported
            tenth = 10 * got // total
            if tenth != reported:
                reported = tenth
                print(f"{name}: {got / 1e6:.1f} of {total / 1e6:.1f} MB", file=sys.stderr, flush=True)

        yield report


def _bar() -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
