"""How a node is reached. Without a target chain access is off."""

import re
from dataclasses import dataclass
from typing import Final

_HEADER: Final = re.compile(r"[a-z0-9_.-]+")
_TOKEN: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Target:
    """Host and port of a node. pysui's own client would take a missing port for 50051: it is always said here."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return self.host in _LOOPBACK

    @classmethod
    def parse(cls, text: str) -> "Target":
        """From `host:port`. Raises ValueError with a sentence."""
        host, colon, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if "/" in text:
            raise ValueError("give host:port without https:// and without a path; a provider's key goes into headers")
        if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("give host:port, such as fullnode.testnet.sui.io:443")
        return cls(host, int(port))


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """A node, perhaps an archive behind it, and how much may be asked of them."""

    target: Target
    archive: Target | None = None  # asked for what the node no longer keeps
    chain_id: str | None = None  # of the chain that is meant; a node of another one is refused
    tls: bool = True
    ca_file: str | None = None  # of a private authority; None: those of the operating system
    headers: tuple[tuple[str, str], ...] = ()  # secret: tokens of providers
    timeout_s: float = 10.0  # for one attempt, with connecting and all of its stream
    attempts: int = 4
    requests_per_s: float = 3.0  # public nodes are said to take 100 in 30 s from an address
    first_pause_s: float = 0.25  # before the second attempt; doubles
    breaker_failures: int = 5
    breaker_s: float = 60.0

    def __repr__(self) -> str:
        return f"ChainConfig({self.target})"  # headers hold secrets

    def __post_init__(self) -> None:
        if not self.tls and not all(target.loopback for target in (self.target, self.archive) if target):
            raise ValueError("tls = false is for a node on this machine; over a network tokens would be readable")
        for name, value in self.headers:
            if not _HEADER.fullmatch(name) or name.startswith("grpc-") or name.endswith("-bin"):
                raise ValueError(f"headers: {name!r} is no name of a header; give one such as x-api-key")
            if not _TOKEN.fullmatch(value):  # which gRPC would refuse with the whole of it in its words
                raise ValueError(f"headers.{name}: give printable ASCII, without spaces or line ends around it")
