"""``python -m serving``: TensorFlow Serving's API from ``tensorflow_model_server``'s flags."""

import os
import signal
import sys
import threading

from serving.flags import parse

WRONG = 255


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM or SIGINT, and returns the exit code."""
    try:
        flags = parse(arguments)
    except ValueError as error:
        return _refuse(str(error))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # noqa: PLC0415 - after the flags, which are answered at once
    from absl import logging  # noqa: PLC0415

    from serving.errors import ServingError  # noqa: PLC0415
    from serving.server import ModelServer  # noqa: PLC0415

    if flags.version:
        print(f"TensorFlow ModelServer: onegraph\nTensorFlow Library: {tf.__version__}")
        return 0
    logging.set_verbosity(logging.INFO)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    failures: list[Exception] = []
    try:
        server = ModelServer(flags)
    except ServingError as error:
        return _refuse(error.message)

    def start() -> None:
        try:
            server.start()
        except Exception as error:  # whatever it is, a server that does not serve has to end
            failures.append(error)
            stopped.set()

    # In a thread of its own, since it may wait for a first version as long as there is none.
    threading.Thread(target=start, daemon=True).start()
    stopped.wait()
    failed = list(failures)
    try:
        server.stop()
    except Exception:  # whatever it is, the process ends
        logging.exception("The server did not end in good order.")
    return _refuse(str(failed[0])) if failed else 0


def _refuse(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return WRONG


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # TensorFlow's threads need no orderly end, and a call that hangs must not stop this one
