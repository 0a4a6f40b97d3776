"""One file from the web, against a server in this process."""

import socket

import pytest
import web_server
from web_server import cut, redirect, serving, without_length

from cnntool import __version__
from cnntool.data import fetch as module
from cnntool.data.fetch import FetchError, fetch
from cnntool.errors import SystemFailure

PLAIN = ("http", "https")
DATA = bytes(range(256)) * 700  # several blocks
SIZE = len(DATA)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving() as found:
        yield found


def fetched(server, path="/a", size=SIZE):
    blocks = []
    fetch(server.url + path[1:], size, blocks.append, schemes=PLAIN)
    return b"".join(blocks)


def refused(server, words, path="/a", size=SIZE):
    blocks = []
    with pytest.raises(FetchError, match=words) as caught:
        fetch(server.url + path[1:], size, blocks.append, schemes=PLAIN)
    assert len(str(caught.value)) < 150
    return b"".join(blocks)


def test_a_file(server):
    server.answers["/a"] = DATA
    assert fetched(server) == DATA
    assert server.headers_seen[0]["User-Agent"] == f"cnntool/{__version__}"


def test_without_a_length(server):
    server.answers["/a"] = without_length(DATA)
    assert fetched(server) == DATA


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirections(server, code):
    server.answers |= {"/a": redirect("/b", code), "/b": redirect(server.url + "c"), "/c": DATA}
    assert fetched(server) == DATA


def test_going_round_in_circles(server):
    server.answers |= {"/a": redirect("/b"), "/b": redirect("/a")}
    refused(server, "the server sends on in circles")
    assert len(server.asked) < 20


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "ftp://localhost/a", "gopher://x/", "data:text/plain,x"]
)
def test_redirections_to_anything_else(server, where):
    server.answers["/a"] = redirect(where)
    assert refused(server, "sends on to .*; only http, https is followed") == b""


def test_no_way_down_from_https():
    for address in ("http://localhost/a", "file:///etc/passwd", "ftp://localhost/", "a.gz", ""):
        with pytest.raises(FetchError, match="only https is followed"):
            fetch(address, 1, pytest.fail)
    with pytest.raises(FetchError, match="only https is followed"):
        fetch("https://[bad/", 1, pytest.fail)


@pytest.mark.parametrize("code", [403, 404, 500, 503])
def test_answers_of_servers(server, code):
    server.answers["/a"] = lambda handler: handler.send_error(code)
    refused(server, f"the server says {code} ")


def test_too_few_bytes(server):
    server.answers["/a"] = cut(DATA[:1000], len(DATA))
    assert refused(server, f"the connection ended after 1000 of {len(DATA)} bytes") == DATA[:1000]
    server.answers["/a"] = without_length(DATA[:70_000])
    refused(server, "the connection ended after 70000 of")
    server.answers["/a"] = DATA[:5]
    refused(server, f"the server has 5 bytes, {len(DATA)} are expected")


def test_too_many_bytes(server):
    server.answers["/a"] = DATA + b"x"
    assert refused(server, f"the server has {len(DATA) + 1} bytes") == b""
    server.answers["/a"] = without_length(DATA * 100)
    taken = refused(server, f"the server sends more than the {len(DATA)} bytes expected")
    assert DATA.startswith(taken)


def test_answers_that_are_no_http(server):
    def answer(handler):
        handler.wfile.write(b"hello\r\n\r\n")
        handler.close_connection = True

    server.answers["/a"] = answer
    refused(server, "hello")


def test_a_server_that_is_silent(server, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(FetchError, match="no answer in time"):
            fetch(f"http://localhost:{silent.getsockname()[1]}/a", 1, pytest.fail, schemes=PLAIN)


def test_a_server_that_falls_silent(server, monkeypatch):
    import threading

    monkeypatch.setattr(module, "SECONDS", 0.2)
    done = threading.Event()

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:1000])
        handler.wfile.flush()
        done.wait(5)

    server.answers["/a"] = answer
    refused(server, "no answer in time")
    done.set()


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(FetchError, match="Connection refused"):
        fetch(f"http://localhost:{port}/a", 1, pytest.fail, schemes=PLAIN)


def test_failures_of_the_writer_pass_through(server):
    server.answers["/a"] = DATA

    def full(_):
        raise SystemFailure("disk full")

    with pytest.raises(SystemFailure, match="disk full"):
        fetch(server.url + "a", len(DATA), full, schemes=PLAIN)


# --- certificates ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return web_server.make_certificate(tmp_path_factory.mktemp("tls"))


def test_https(certificate, monkeypatch):
    with serving(certificate) as server:
        server.answers["/a"] = DATA
        blocks = []
        with pytest.raises(FetchError, match=r"its certificate is not valid \(self.signed"):
            fetch(server.url + "a", len(DATA), blocks.append)
        assert not blocks
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        fetch(server.url + "a", len(DATA), blocks.append)
        assert b"".join(blocks) == DATA
        with pytest.raises(FetchError, match=r"certificate is not valid .*127.0.0.1"):
            fetch(server.url.replace("localhost", "127.0.0.1") + "a", len(DATA), blocks.append)
        with serving() as plain:
            plain.answers["/b"] = DATA
            server.answers["/a"] = redirect(plain.url + "b")
            with pytest.raises(FetchError, match=r"sends on to http://localhost.*only https"):
                fetch(server.url + "a", len(DATA), blocks.append)
            assert plain.asked == []
