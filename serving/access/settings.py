"""Reads all of the operator's settings."""

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path

from serving.access.access_log import AccessLog
from serving.access.call_limit import CallLimit
from serving.access.tls import Tls, read_tls
from serving.access.tokens import Tokens, read_tokens
from serving.flags import Flags


@dataclasses.dataclass(frozen=True)
class Access:
    """How calls are encrypted, authorized, limited and logged.

    Attributes:
        tls: The server's certificates, or ``None`` for no encryption.
        tokens: The accepted tokens.
        limit: The limit of calls per model, for both protocols together.
        log: The access log, or ``None`` if it is off.
        draining: Set once the server is about to stop. Health checks report it.
    """

    tls: Tls | None
    tokens: Tokens
    limit: CallLimit
    log: AccessLog | None
    draining: threading.Event = dataclasses.field(default_factory=threading.Event)


def read_access(flags: Flags, environment: Mapping[str, str]) -> Access:
    """Reads the files and variables that the flags name.

    Raises:
        OptionError: One of them cannot be used.
    """
    return Access(
        tls=read_tls(Path(flags.ssl_config_file)) if flags.ssl_config_file else None,
        tokens=read_tokens(flags, environment),
        limit=CallLimit(flags.max_calls_per_model),
        log=AccessLog(flags.access_log_file) if flags.access_log_file else None,
    )
