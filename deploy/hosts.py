"""Which Host headers a service answers.

A web page can have its own name resolve to 127.0.0.1 ("DNS rebinding") and then ask a service on the
visitor's machine as if it were its own server. Its requests still carry the page's name in ``Host``.
"""

import argparse
import ipaddress
import re
import socket
from collections.abc import Iterable

_NAME = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
_ALLOWED = re.compile(rf"\*|(\*\.)?{_NAME}")
_HOST = re.compile(rf"(?P<name>{_NAME}\.?|\[[0-9a-f:.]+\])(:[0-9]{{0,5}})?")


def host_list(text: str) -> tuple[str, ...]:
    """Read ``a.example,*.b.example,[::1]``; a usage error for what is no host name."""
    hosts = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        host = _address(part) or part.lower().rstrip(".")
        if not _address(host) and not _ALLOWED.fullmatch(host):
            raise argparse.ArgumentTypeError(
                f"{part!r} is not a host name; write names or addresses without scheme and port, as in "
                "a.example,*.b.example,192.0.2.1, or * for all"
            )
        hosts.append(host)
    if not hosts:
        raise argparse.ArgumentTypeError("names no host")
    return tuple(hosts)


class AllowedHosts:
    """The hosts of a service that listens at an address.

    Loopback names and addresses are always allowed, and so is the address itself. A service that listens
    beyond loopback also answers for its machine's name and for every IP address: rebinding needs a name.
    More names, as ``host_list`` returns them, are allowed besides.
    """

    def __init__(self, address: str = "127.0.0.1", more: Iterable[str] = ()) -> None:
        self._names = {"localhost", address.lower().rstrip("."), *more}
        self._suffixes = tuple(name[1:] for name in self._names if name.startswith("*."))
        self._beyond_loopback = not is_loopback(address)
        if self._beyond_loopback:
            self._names.add(socket.gethostname().lower())

    def allow(self, name: str) -> bool:
        """Whether requests for this host, as ``host_of`` returns it, are answered."""
        return (
            "*" in self._names
            or name in self._names
            or name.endswith(self._suffixes)
            or is_loopback(name)
            or (self._beyond_loopback and _address(name) is not None)
        )


def host_of(header: bytes) -> str | None:
    """The host in a Host header in its plainest form: no port, small letters; None if it is malformed."""
    match = _HOST.fullmatch(header.decode("latin-1").strip().lower())
    if match is None:
        return None
    name = match["name"]
    if name.startswith("["):
        return _address(name)
    return _address(name) or name.rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether this is ``localhost`` or an address of this machine to itself."""
    address = _address(host)
    return ipaddress.ip_address(address).is_loopback if address else host == "localhost"


def _address(text: str) -> str | None:
    """An IP address in its usual form, without brackets; None for anything else."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
