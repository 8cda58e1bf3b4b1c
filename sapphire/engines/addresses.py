"""Where a model server may be, and which notes may go there."""

import ipaddress
from urllib.parse import urlsplit

from sapphire.engines import EngineError


def host(url: str) -> str:
    """The host of a server's address. EngineError when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineError(f"{url!r} is no address of a server; give one such as http://localhost:8000/v1.")
    if parts.username or parts.password:
        raise EngineError("The address of a server must not hold a password; name the variable that holds the key.")
    return parts.hostname


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost or a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
