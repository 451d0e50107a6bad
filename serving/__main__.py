"""Entry point of the model server: ``python -m serving``, with the flags of ``tensorflow_model_server``."""

import os
import signal
import sys
import threading
from typing import NoReturn

from common.terminal import printable, run_command
from serving.flags import HELP, OptionError, parse, usage

EXIT_FAILURE = 255  # as tensorflow_model_server exits
EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Runs the server until SIGTERM or SIGINT, and returns the exit code."""
    if HELP in arguments:
        print(usage())
        return 0
    try:
        flags = parse(arguments, os.environ)
    except ValueError as error:
        return _fail(error)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # noqa: PLC0415 - slow to import, so errors in the flags come first
    from absl import logging  # noqa: PLC0415

    from common.logs import show_control_characters  # noqa: PLC0415
    from serving.errors import ServingError  # noqa: PLC0415
    from serving.server import ModelServer  # noqa: PLC0415

    if flags.version:
        print(f"TensorFlow ModelServer: onegraph\nTensorFlow Library: {tf.__version__}")
        return 0
    logging.set_verbosity(logging.INFO)
    show_control_characters()  # clients choose names, such as those of models
    stopped = threading.Event()
    failures: list[Exception] = []
    try:
        server = ModelServer(flags, os.environ)
    except (OptionError, ServingError) as error:
        return _fail(error)

    def stop(_number: int, _frame: object) -> None:
        if stopped.is_set():  # the second signal
            server.end_lame_duck()
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def start() -> None:
        try:
            server.start()
        except Exception as error:  # ends the process
            failures.append(error)
            stopped.set()

    # In a thread, because it may wait for the first version indefinitely.
    threading.Thread(target=start, daemon=True).start()
    stopped.wait()
    start_failures = list(failures)
    try:
        server.stop()
    except Exception:  # the process ends in any case
        logging.exception("The server failed to shut down cleanly.")
    return _fail(start_failures[0]) if start_failures else 0


def _run() -> NoReturn:
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without waiting for running calls or TensorFlow's threads


def _fail(error: Exception) -> int:
    print(printable(f"error: {error}"), file=sys.stderr)
    return EXIT_USAGE if isinstance(error, OptionError) else EXIT_FAILURE


if __name__ == "__main__":
    run_command(_run)
