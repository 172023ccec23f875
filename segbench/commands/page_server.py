"""Servers of pages for a browser: on this machine's own address unless told, and for no other site."""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import sys
import webbrowser
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from rich.console import Console

from segbench.core.errors import ConfigError, Interrupted, exit_code_of

ADDRESS = "127.0.0.1"
OWN_NAMES = (ADDRESS, "::1", "localhost")


class PageServer(ThreadingHTTPServer):
    """Answers each request in a thread of its own.

    Args:
        handler: Answers requests.
        port: Its port; 0 takes any free one.
        host: The address or name that it is reached by; by default this machine alone reaches it.

    Raises:
        ConfigError: where it cannot be served there.
    """

    def __init__(self, handler: type[PageHandler], port: int, *, host: str = ADDRESS) -> None:
        self.host = host
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            option = f"--port {port}"
            if host != ADDRESS:
                option = f"--host {host} {option}"
            raise ConfigError(f"{option} cannot be served: {reason}; give another, or 0 for any free one") from None

    def server_bind(self) -> None:
        """Bind the socket; the base class would also ask a name server for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name = self.host
        self.server_port = self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that has gone away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def address(self) -> str:
        """What a browser is told."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/"

    @property
    def is_open(self) -> bool:
        """Whether other machines may reach it."""
        if self.host in OWN_NAMES:
            return False
        address = _address(self.host)
        return address is None or not address.is_loopback

    def is_own(self, host: str) -> bool:
        """Whether the `Host` of a request is this server: not a web site whose name was pointed at its address."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in (*OWN_NAMES, self.host.lower()):
            return True
        machine = socket.gethostname().lower()
        return self.is_open and (_address(name) is not None or name in (machine, f"{machine}.local"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    return None


class PageHandler(BaseHTTPRequestHandler):
    """Answers the requests of the server's own page, and of no other site."""

    server: PageServer
    timeout = 60
    """Seconds after which a browser that sends nothing is given up."""

    def is_refused(self) -> bool:
        """Whether a request is not for this server, or was made by the page of another; it is answered then."""
        host = self.headers.get("Host") or ""
        origin = self.headers.get("Origin")
        if self.server.is_own(host) and (origin is None or urlsplit(origin).netloc == host):
            return False
        self.send_error(403)
        return True

    def is_for_page(self) -> bool:
        """Whether the page is asked for; any other request is answered."""
        if self.is_refused():
            return False
        if self.path in ("/", "/index.html"):
            return True
        self.send_error(404)
        return False

    def send(self, content: bytes, kind: str, *, status: int = 200, more: dict[str, str] | None = None) -> None:
        """Send an answer that nobody keeps.

        Args:
            content: The body.
            kind: Its media type.
            status: As HTTP has it.
            more: Further headers.
        """
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "frame-ancestors 'none'",
        }
        for name, value in (headers | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal has one line."""


def serve_until_stopped(server: PageServer, shows: str, *, console: Console, opens: bool = False) -> None:
    """Serve until a signal.

    Args:
        server: The server.
        shows: What is to be seen there.
        console: Where the address is said.
        opens: Also open it in a browser.

    Raises:
        Interrupted: on Ctrl-C and every other signal that stops a command.
    """
    who = "; all who reach this address can use it" if server.is_open else ""
    console.print(f"{server.address} shows {shows}{who}; Ctrl-C ends it", highlight=False, markup=False, soft_wrap=True)
    try:
        if opens:
            webbrowser.open(server.address)
        server.serve_forever()
    except KeyboardInterrupt as error:
        raise Interrupted("no longer served", exit_code_of(error)) from None
