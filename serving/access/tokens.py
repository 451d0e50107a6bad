"""Bearer tokens (RFC 6750) that clients have to send."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.small_files import read_small_text
from serving.flags import TOKEN_VARIABLE, Flags, OptionError

AUTHORIZATION = "authorization"
MAX_BYTES = 1 << 20
MAX_TOKENS = 100
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")  # no spaces, which HTTP would remove
_CREDENTIALS = re.compile(r"bearer +(?P<token>[\x21-\x7e]+) *", re.IGNORECASE)


class Tokens:
    """The accepted tokens. Several are accepted so that a new one can be introduced before the old one is removed."""

    def __init__(self, tokens: Sequence[str], for_all_calls: bool) -> None:
        """Creates the tokens.

        Args:
            tokens: The tokens. If there are none, no call needs one.
            for_all_calls: Whether all calls need a token, or only those that change the server.
        """
        self.for_all_calls = for_all_calls
        self.for_changes = bool(tokens)
        self._digests = [_digest(token) for token in tokens]

    def refusal(self, authorization: Sequence[str]) -> str | None:
        """Returns why a call is refused, or ``None`` if it has an accepted token.

        Args:
            authorization: All values of the header ``Authorization``.
        """
        found = _CREDENTIALS.fullmatch(authorization[0]) if len(authorization) == 1 else None
        if not found:
            return "missing bearer token; expected the header 'Authorization: Bearer TOKEN'"
        digest = _digest(found["token"])
        # Compares with each token in constant time: the duration says nothing about a token.
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        return None if any(matches) else "invalid bearer token"


def read_tokens(flags: Flags, environment: Mapping[str, str]) -> Tokens:
    """Reads the tokens from the file that a flag names, or from an environment variable.

    Raises:
        OptionError: The file cannot be read, a token cannot be sent in a header, there are both a file and a variable,
            or neither, although all calls need a token.
    """
    file, variable = flags.bearer_token_file, environment.get(TOKEN_VARIABLE, "")
    if file and variable:
        raise OptionError(f"found both --bearer_token_file and {TOKEN_VARIABLE}; expected one of them")
    if flags.require_token_for_all_calls and not file and not variable:
        raise OptionError(f"--require_token_for_all_calls: expected --bearer_token_file or {TOKEN_VARIABLE}")
    if not file:
        tokens = [variable.strip()] if variable else []
        source = f"environment variable {TOKEN_VARIABLE}"
    else:
        source = f"--bearer_token_file: {file}"
        tokens = [line.strip() for line in _read(Path(file), source).splitlines() if line.strip()]
        if not 1 <= len(tokens) <= MAX_TOKENS:
            raise OptionError(f"{source}: found {len(tokens)} tokens; expected 1 to {MAX_TOKENS}, one per line")
    for number, token in enumerate(tokens, 1):
        if not _TOKEN.fullmatch(token):  # without the token, which must not appear in logs
            raise OptionError(f"{source}: token {number}: expected 1 to 4096 printable ASCII characters, no spaces")
    return Tokens(tokens, flags.require_token_for_all_calls)


def _read(path: Path, source: str) -> str:
    try:
        return read_small_text(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise OptionError(f"{source}: {reason}; expected a text file with one token per line") from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
