"""One file from one address of the web: the only module that opens a connection.

HTTPS with certificates checked, also after a redirection; nothing else, no file and no FTP. It
never takes more bytes than it was told to expect. What the bytes are is for the caller to check.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from cnntool import __version__
from cnntool.errors import InputError
from cnntool.files import one_line

SECONDS = 30.0
"""A server that is silent for so long is given up."""

SECURE = ("https",)
"""Schemes that are followed."""

_BLOCK = 1 << 16
_LONGEST_REASON = 90


class FetchError(InputError):
    """A file could not be had from this address; another may have it."""


def fetch(
    address: str,
    size: int,
    write: Callable[[bytes], None],
    *,
    schemes: Collection[str] = SECURE,
) -> None:
    """Read the file at ``address`` and give it to ``write``, block by block.

    Proxies of the environment (``https_proxy``) are used, as are certificates named by
    ``SSL_CERT_FILE``.

    Args:
        address: An HTTPS address.
        size: Bytes of the file; more or fewer are an error.
        write: Takes the next block; what it raises passes through.
        schemes: Of addresses that may be opened, also after a redirection.

    Raises:
        FetchError: The server is out of reach or has another file.
    """
    _check_scheme(address, schemes)
    request = urllib.request.Request(address, headers={"User-Agent": f"cnntool/{__version__}"})
    try:
        answer = _opener(schemes).open(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            raise FetchError("the server sends on in circles") from error
        raise FetchError(f"the server says {error.code} {one_line(str(error.reason), 60)}") from (
            error
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(_reason(error)) from error
    with answer:
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != size:
            raise FetchError(f"the server has {announced} bytes, {size} are expected")
        left = size
        while block := _block(answer, left):
            left -= len(block)
            if left < 0:
                raise FetchError(f"the server sends more than the {size} bytes expected")
            write(block)
        if left:
            raise FetchError(f"the connection ended after {size - left} of {size} bytes")


def host(address: str) -> str:
    """The server of an address, for messages.

    Example:
        >>> host("https://example.org/files/a.gz")
        'example.org'
    """
    return one_line(urlsplit(address).netloc, 60)


def _block(answer: IO[bytes], left: int) -> bytes:
    """The next bytes, one more than are left at most: that shows a file that is too long."""
    try:
        return answer.read(min(_BLOCK, left + 1))
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(_reason(error)) from error


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections to the same schemes; the standard one would go to FTP, too."""

    max_redirections = 5

    def __init__(self, schemes: Collection[str]) -> None:
        self.schemes = schemes

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> Any:
        """Judge where a redirection leads before it is followed."""
        where = headers.get("Location") or headers.get("URI") or ""
        try:
            _check_scheme(urljoin(req.full_url, where), self.schemes, "sends on to ")
        except FetchError:
            fp.close()
            raise
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(schemes: Collection[str]) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _Redirections(schemes),
    ]
    if "http" in schemes:
        handlers.append(urllib.request.HTTPHandler())
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _check_scheme(address: str, schemes: Collection[str], what: str = "") -> None:
    try:
        scheme = urlsplit(address).scheme
    except ValueError:
        scheme = ""
    if scheme not in schemes:
        raise FetchError(f"{what}{one_line(address, 60)}; only {', '.join(schemes)} is followed")


def _reason(error: Exception) -> str:
    """Why a connection failed, in a few words."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({one_line(cause.verify_message, 60)})"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return one_line(text, _LONGEST_REASON)
