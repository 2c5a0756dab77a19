"""The key of a server: read from the environment, sent to servers alone, and hidden wherever a server repeats it."""

from __future__ import annotations

import base64
import html
import ipaddress
import os
import re
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote, urlsplit

from rlvrscope.errors import InputError

API_KEY_VARIABLE = "RLVRSCOPE_API_KEY"
"""The environment variable with the key, if one is needed. The name is our own, so that no other key is sent."""
HIDDEN = "***"
MIN_SECRET, WINDOW = 8, 12
"""Characters of a key that is searched for in other spellings; and of a part of it that gives it away."""
MAX_LAYERS = 3
"""Encodings of an echo inside each other."""
_ESCAPED = re.compile(r"\\+(?:u|x)\{?([0-9a-fA-F]{2,4})\}?")
_NO_DIGITS = re.compile(r"[^0-9a-zA-Z]+")


@dataclass(frozen=True)
class ApiKey:
    """A key, or none if it is empty."""

    value: str = field(default="", repr=False)

    @classmethod
    def read(cls) -> ApiKey:
        """Read the environment. Raises InputError for characters that no key has."""
        value = os.environ.get(API_KEY_VARIABLE, "").strip()
        if not (value.isascii() and value.isprintable()):
            raise InputError(f"{API_KEY_VARIABLE} holds characters that no key has")
        return cls(value)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}

    def check_proxies(self, urls: tuple[str, ...]) -> None:
        """Raises InputError where the key would pass a proxy in clear text."""
        proxies = urllib.request.getproxies_environment()
        if not self.value or not (proxies.get("http") or proxies.get("all")):
            return
        for parts in map(urlsplit, urls):
            host = parts.hostname or ""
            if parts.scheme == "http" and not is_loopback(host) and not urllib.request.proxy_bypass(host):
                raise InputError(
                    f"the key would go to {host} through a proxy in clear text: use an https URL, or name the host in "
                    f"NO_PROXY, or unset {API_KEY_VARIABLE}"
                )

    def hide(self, text: str) -> str:
        """A server's message without the key; nothing of it where the key is repeated in another spelling."""
        if self.value:
            text = text.replace(self.value, HIDDEN)
        return f"({HIDDEN}: the message repeats the key)" if self.is_in(text) else text

    def is_in(self, text: str) -> bool:
        """True if a text holds the key or a part of it: plain, spaced, escaped, or encoded, several times over."""
        if len(self.value) < MIN_SECRET:
            return bool(self.value) and self.value in text
        for _ in range(MAX_LAYERS):
            squeezed = _NO_DIGITS.sub("", text).casefold()
            if any(part in squeezed for part in self._parts):
                return True
            decoded = html.unescape(unquote(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)))
            if decoded == text:
                return False
            text = decoded
        return False

    @cached_property
    def _parts(self) -> frozenset[str]:
        """Every part of WINDOW characters of the key's spellings, letters and digits only."""
        raw = self.value.encode()
        spellings = [self.value, self.value[::-1], raw.hex(), " ".join(map(str, raw))]
        for shift in range(3):  # where the key stands in what is encoded
            encoded = base64.b64encode(bytes(shift) + raw).decode()
            spellings.append(encoded[-(-8 * shift // 6) : -4])
        squeezed = [_NO_DIGITS.sub("", spelling).casefold() for spelling in spellings]
        return frozenset(
            one[start : start + WINDOW] for one in squeezed if one for start in range(max(1, len(one) - WINDOW + 1))
        )


def is_loopback(host: str) -> bool:
    """True for an address of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
