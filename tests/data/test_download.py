from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from backpass import data
from backpass.data import fetch
from backpass.errors import ArgumentError, DownloadError

CONTENT = np.random.default_rng(0).bytes(200_000)
FILE = fetch.RemoteFile("thing.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    """The first part of the path names the mirror, and with it how it behaves."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        mirror = self.path.split("/")[1]
        requested = self.headers.get("Range")
        server.seen.append((mirror, requested))
        visit = sum(m == mirror for m, _ in server.seen)
        start = int(re.fullmatch(r"bytes=(\d+)-", requested)[1]) if requested else 0
        body = CONTENT

        if mirror == "missing" or mirror == "gone":
            return self.send_error(404 if mirror == "missing" else 410)
        if mirror == "broken" or (mirror == "busy" and visit < 3):
            return self.send_error(500 if mirror == "broken" else 503)
        if mirror == "silent":
            server.released.wait(20)
            return None
        if mirror == "resets":
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        if mirror == "redirects":
            self.send_response(302)
            self.send_header("Location", f"/good/{FILE.name}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if mirror == "damages":
            body = CONTENT[:100_000] + b"!" + CONTENT[100_001:]
        if mirror in ("shorter", "longer"):
            body = CONTENT[:-5] if mirror == "shorter" else CONTENT + b"12345"
        if mirror == "ignores-range":
            start = 0
        if mirror == "416" and start:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            return self.end_headers()

        self.send_response(206 if start else 200)
        if start:
            shift = 1 if mirror == "wrong-range" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{len(body) - 1}/{len(body)}")
        if mirror != "no-length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        part = body[start:]
        if mirror in ("drops", "ignores-range", "stalls") and not (mirror == "ignores-range" and visit > 1):
            part = part[:70_000]
        if mirror == "trickles":
            part = part[:100]
        self.wfile.write(part)
        if mirror == "stalls":
            self.wfile.flush()
            server.released.wait(20)
        self.close_connection = True
        return None


@pytest.fixture
def server(monkeypatch, no_data):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.seen, server.released = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(server, monkeypatch, tmp_path):
    """Download the test file from mirrors by their names; return its bytes."""

    def get(*mirrors, files=(FILE,), dest=tmp_path / "dest", **options):
        monkeypatch.setitem(fetch.PUBLISHED, "thing", (fetch.Published(tuple(files), ()),))
        options = {"progress": False, "timeout_s": 5.0, "backoff_s": 0.0, **options}
        folder = data.download("thing", dest, mirrors=[f"{server.url}/{m}" for m in mirrors], **options)
        assert sorted(p.name for p in folder.iterdir()) == sorted(f.name for f in files)
        return (folder / files[0].name).read_bytes()

    return get


def test_download_and_keep(get, server):
    assert get("good") == CONTENT
    assert server.seen == [("good", None)]
    assert get("missing") == CONTENT  # checked and kept: nothing is asked for
    assert len(server.seen) == 1


@pytest.mark.parametrize("mirror", ["redirects", "no-length", "busy"])
def test_mirrors_that_work(get, mirror):
    assert get(mirror) == CONTENT


def test_a_dropped_connection_is_continued(get, server):
    assert get("drops", retries=2) == CONTENT  # each try brings a third: no failures in a row
    assert server.seen == [("drops", None), ("drops", "bytes=70000-"), ("drops", "bytes=140000-")]


def test_a_part_of_an_earlier_run_is_continued(get, server, tmp_path):
    with pytest.raises(DownloadError, match="silent"):
        get("stalls", timeout_s=0.2, retries=1)
    part = tmp_path / "dest" / "thing.bin.part"
    assert part.read_bytes() == CONTENT[:70_000]
    assert get("good") == CONTENT
    assert server.seen[-1] == ("good", "bytes=70000-")


def test_a_part_from_one_mirror_is_continued_from_another(get, server):
    assert get("stalls", "good", timeout_s=0.2, retries=1) == CONTENT
    assert server.seen == [("stalls", None), ("good", "bytes=70000-")]


def test_a_server_that_ignores_range_starts_again(get, server):
    assert get("ignores-range") == CONTENT
    assert server.seen == [("ignores-range", None), ("ignores-range", "bytes=70000-")]


@pytest.mark.parametrize(
    "part", [b"wrong" * 10_000, CONTENT[:-1] + b"!", CONTENT + b"!"], ids=["start", "whole", "longer"]
)
def test_a_wrong_part_is_thrown_away(get, tmp_path, part):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "thing.bin.part").write_bytes(part)
    assert get("good", retries=1) == CONTENT


def test_a_server_that_has_less_than_came_already_keeps_the_part(get, server):
    assert get("stalls", "416", "good", timeout_s=0.2, retries=1) == CONTENT
    assert server.seen == [("stalls", None), ("416", "bytes=70000-"), ("good", "bytes=70000-")]


def test_a_whole_part_only_needs_its_name(get, server, tmp_path):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "thing.bin.part").write_bytes(CONTENT)
    assert get("missing") == CONTENT
    assert not server.seen


def test_a_damaged_file_is_replaced(get, tmp_path):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "thing.bin").write_bytes(CONTENT[:-1] + b"!")
    assert get("good") == CONTENT


BAD_MIRRORS = {
    "missing": ("HTTP 404", 1),
    "gone": ("HTTP 410", 1),
    "damages": ("another SHA-256", 1),  # once is enough: all of it came from there
    "shorter": ("expected 200000 bytes, the server has 199995", 1),
    "longer": ("expected 200000 bytes, the server has 200005", 1),
    "broken": ("HTTP 500", 3),
    "resets": ("3 times", 3),
    "silent": ("silent for 0.2 s", 3),
    "trickles": ("broke off after", 3),  # 100 bytes at a time are no progress
}


@pytest.mark.parametrize("mirror", BAD_MIRRORS)
def test_bad_mirrors_are_named_and_the_next_one_works(get, server, tmp_path, mirror):
    reason, visits = BAD_MIRRORS[mirror]
    with pytest.raises(DownloadError) as caught:
        get(mirror, timeout_s=0.2 if mirror == "silent" else 5.0)
    message = str(caught.value)
    assert f"{server.url}/{mirror}/thing.bin" in message
    assert reason in message
    assert FILE.sha256 in message  # how to put it there by hand
    assert str(tmp_path / "dest") in message
    assert len(server.seen) == visits
    assert not (tmp_path / "dest" / "thing.bin").exists()
    assert get(mirror, "good", timeout_s=0.2 if mirror == "silent" else 5.0) == CONTENT


def test_a_wrong_range_is_not_appended(get, tmp_path):
    assert get("stalls", "wrong-range", "good", timeout_s=0.2, retries=1) == CONTENT
    with pytest.raises(DownloadError, match="expected 'bytes 70000-199999/200000', got 'bytes 70001-"):
        get("stalls", "wrong-range", timeout_s=0.2, retries=1, dest=tmp_path / "again")


def test_damage_after_a_continued_part_is_tried_once_from_the_beginning(get, server, tmp_path):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "thing.bin.part").write_bytes(b"x" * 1000)
    assert get("good") == CONTENT
    assert server.seen == [("good", "bytes=1000-"), ("good", None)]
    server.seen.clear()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thing.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="another SHA-256"):
        get("damages", dest=other)
    assert server.seen == [("damages", "bytes=1000-"), ("damages", None)]
    assert not (other / "thing.bin.part").exists()


def test_nobody_listens(get, monkeypatch, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setitem(fetch.PUBLISHED, "thing", (fetch.Published((FILE,), (f"http://127.0.0.1:{port}/",)),))
    with pytest.raises(DownloadError, match="refused"):
        data.download("thing", tmp_path, progress=False, backoff_s=0.0)


def test_several_files_and_the_second_form(get, server, monkeypatch, tmp_path):
    other = fetch.RemoteFile("other.bin", len(CONTENT), FILE.sha256)
    assert get("good", files=(FILE, other)) == CONTENT
    damaged = fetch.RemoteFile("binary.tar.gz", len(CONTENT), "0" * 64)
    forms = (fetch.Published((damaged,), (f"{server.url}/good",)), fetch.Published((FILE,), (f"{server.url}/good",)))
    monkeypatch.setitem(fetch.PUBLISHED, "thing", forms)
    folder = data.download("thing", tmp_path / "second", progress=False)
    assert [p.name for p in folder.iterdir()] == ["thing.bin"]


def test_a_full_disk(get, monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match=r"disk is full; thing.bin needs 0 MB more"):
        get("good")


def test_a_disk_that_fills_up_keeps_what_came(get, monkeypatch, tmp_path):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DownloadError, match="disk is full"):
        get("good")
    monkeypatch.undo()
    assert (tmp_path / "dest" / "thing.bin.part").read_bytes() == CONTENT
    assert get("missing") == CONTENT


def test_unwritable_folders(get, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot make this folder"):
        get("good", dest=tmp_path / "file" / "sub")
    (tmp_path / "dest" / "thing.bin.part").mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"cannot write thing.bin"):
        get("good")


def test_bad_arguments():
    for name, options in (
        ("imagenet", {}),
        ("digits", {}),
        ("mnist", {"timeout_s": 0}),
        ("mnist", {"timeout_s": float("nan")}),
        ("mnist", {"retries": 0}),
        ("mnist", {"backoff_s": -1}),
        ("mnist", {"mirrors": []}),
        ("mnist", {"mirrors": "http://example.org/"}),
        ("mnist", {"mirrors": ["file:///etc/"]}),
    ):
        with pytest.raises(ArgumentError):
            data.download(name, **options)


def test_plain_progress_lines(get, capsys):
    get("good", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "thing.bin: 0.2 of 0.2 MB"
    assert len(lines) <= 11


def test_progress_bar_on_a_terminal(get, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    get("good", progress=True)
    assert "thing.bin" in capsys.readouterr().err


def test_default_folder_is_where_load_looks(server, monkeypatch, tmp_path):
    monkeypatch.setitem(fetch.PUBLISHED, "mnist", (fetch.Published((FILE,), (f"{server.url}/good/",)),))
    assert data.download("mnist", progress=False) == data.cache_dir() / "mnist"
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path / "mine"))
    assert data.download("mnist", progress=False) == tmp_path / "mine" / "mnist"


def test_published_checksums_are_well_formed():
    for forms in fetch.PUBLISHED.values():
        for form in forms:
            assert all(m.endswith("/") and m.startswith(("http://", "https://")) for m in form.mirrors)
            for file in form.files:
                assert re.fullmatch("[0-9a-f]{64}", file.sha256)
                assert file.size_bytes > 1000
