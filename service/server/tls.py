"""The certificate of https and wss, read again while the server runs. New connections get the new one."""

import ssl
from collections.abc import Callable
from pathlib import Path

import uvicorn


class CertificateError(ValueError):
    """The files are not a certificate with its key; the message says which and why."""


class Certificate:
    """A certificate chain with its private key, from PEM files. The key may be in the chain's file."""

    def __init__(self, chain: Path, key: Path | None) -> None:
        self._chain, self._key = chain, key
        self._context: ssl.SSLContext | None = None

    def check(self) -> None:
        """Raises CertificateError when the files cannot be used as they are now."""
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def create_context(self, _: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """uvicorn's `ssl_context_factory`: its own context, which `reload` changes."""
        self._context = default()
        return self._context

    def reload(self) -> None:
        """Read the files again for new connections. Raises CertificateError, and nothing changes."""
        self.check()  # a context keeps half of a pair that does not match
        if self._context:
            self._load(self._context)

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._chain, self._key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            files = f"{self._chain}" + (f" and {self._key}" if self._key else "")
            raise CertificateError(f"{files}: expected a certificate with its key, got: {_reason(error)}") from None


def _no_password() -> str:
    """Without it OpenSSL asks on the terminal."""
    return ""


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        unreadable = "no PEM of these, or a key with a password"  # OpenSSL does not say which
        return error.reason.replace("_", " ").lower() if error.reason else unreadable
    return (error.strerror or str(error)).lower()
