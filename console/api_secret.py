"""Where the API secret comes from: a file that the profile names, or the environment."""

import os
import stat
from pathlib import Path

from console.settings import Settings, UsageError, configuration_path
from db.source import ApiSecret, KeyFormatError, is_public_test_secret, parse_secret

_VARIABLES = ("API_SECRET_KEY", "X_API_KEY_SECRET")


def api_secret(settings: Settings) -> ApiSecret:
    """The secret, or why there is none: what is wrong with it must not hold up a revocation, which needs none.

    Raises UsageError when a production profile has the secret that upstream's sources print.
    """
    path = settings.profile.api_secret_file
    found = _of_file(configuration_path().parent / path.expanduser()) if path else _of_environment()
    if settings.profile.production and found.value is not None and is_public_test_secret(found.value):
        raise UsageError(
            f"profile {settings.profile_name!r} is for production, and its API secret is the test secret of the public "
            "sources, with which anyone can make keys; set the right one, or none"
        )
    return found


def _of_environment() -> ApiSecret:
    for name in _VARIABLES:
        if text := os.environ.get(name):
            return _parsed(text, name)
    return ApiSecret()


def _of_file(path: Path) -> ApiSecret:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                return ApiSecret(why_not=f"the API secret in {path} can be read by others; run: chmod 600 {path}")
            return _parsed(file.read(1000).decode("ascii", "replace"), str(path))
    except OSError as error:
        return ApiSecret(why_not=f"the API secret in {path} cannot be read: {error.strerror}")


def _parsed(text: str, name: str) -> ApiSecret:
    try:
        return ApiSecret(parse_secret(text))
    except KeyFormatError:
        return ApiSecret(why_not=f"the API secret in {name} is not 64 hex digits; set it as the gateways have it")
