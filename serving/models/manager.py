"""Finds, loads and unloads versions, and hands them out to requests."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from absl import logging
from tensorflow_serving.apis import model_pb2

from serving.errors import Code, ServingError, hide_path, invalid_argument
from serving.models.model_config import ModelConfig
from serving.models.servable import LoadedModel
from serving.models.versions import Model, Retries, State, Version, check_labels, find_versions, wanted_versions

MAX_CONCURRENT_LOADS = 2
NEW_LINE = "\n"


class ModelManager:
    """Keeps the wanted versions loaded. A version is unloaded only after another one is available."""

    def __init__(self, load: Callable[[str, int, Path], LoadedModel], retries: Retries) -> None:
        """Creates a manager without models.

        Args:
            load: Loads and warms up a version. Raises :class:`serving.errors.ServingError`.
            retries: How to retry a load that failed.
        """
        self._load = load
        self._retries = retries
        self._models: dict[str, Model] = {}
        self._changed = threading.Condition()
        self._polling = threading.Lock()  # so that a directory listing is never older than the configuration
        self._loads = threading.Semaphore(MAX_CONCURRENT_LOADS)
        self._closed = threading.Event()

    def configure(self, configs: Sequence[ModelConfig], allow_unavailable_labels: bool = False) -> None:
        """Replaces all models and starts to load new versions.

        Args:
            configs: The new models, validated.
            allow_unavailable_labels: Whether labels may refer to versions that are not loaded yet.

        Raises:
            ServingError: A label refers to a version that is not available. Nothing is changed in this case.
        """
        with self._polling, self._changed:
            for config in configs:
                check_labels(self._models.get(config.name), config, allow_unavailable_labels)
            for config in configs:
                model = self._models.setdefault(config.name, Model(config))
                model.config, model.removed = config, False
            for name in set(self._models) - {config.name for config in configs}:
                self._models[name].removed = True
        self.poll()

    def poll(self) -> None:
        """Searches the folders for versions, and starts to load and unload accordingly. Does not wait."""
        with self._polling:
            for name, model in list(self._models.items()):
                try:
                    found = {} if model.removed else find_versions(Path(model.config.base_path))
                    model.poll_error = ""
                except OSError as error:  # loaded versions stay loaded
                    if str(error) != model.poll_error:
                        logging.error("%s: cannot search for versions: %s", name, error)
                    model.poll_error = str(error)
                    continue
                with self._changed:
                    self._update(name, model, found)
        self.wake()

    def wait_available(self, names: Sequence[str], is_active: Callable[[], bool] = lambda: True) -> bool:
        """Waits until each model has an available version or cannot have one.

        Args:
            names: The models.
            is_active: Whether the caller still needs the result. Called again after :meth:`wake`.

        Returns:
            Whether all models have an available version.
        """

        def settled() -> bool:
            models = [self._models[name] for name in names]
            abandoned = self._closed.is_set() or not is_active()
            return abandoned or all(each.available or each.removed or each.failed for each in models)

        with self._changed:
            self._changed.wait_for(settled)
            return all(self._models[name].available for name in names)

    def wake(self) -> None:
        """Wakes the threads in :meth:`wait_available`, so that they check their conditions again."""
        with self._changed:
            self._changed.notify_all()

    def failures(self, names: Sequence[str]) -> str:
        """Describes why models have no available version."""
        with self._changed:
            unavailable = {name: self._models[name] for name in names if not self._models[name].available}
            reasons = [
                f"{name}/{number}: {each.error.message.partition(NEW_LINE)[0]}"
                for name, model in unavailable.items()
                for number, each in model.versions.items()
                if each.error
            ]
            return "; ".join(reasons) or f"{', '.join(unavailable)}: no version was found"

    @contextlib.contextmanager
    def servable(self, spec: model_pb2.ModelSpec) -> Iterator[LoadedModel]:
        """Yields the version that a request asks for, and keeps it loaded until the block ends.

        Raises:
            ServingError: There is no such version.
        """
        with self._changed:
            version = self._find(spec)
            version.users += 1
        try:
            assert version.servable is not None
            yield version.servable
        finally:
            with self._changed:
                version.users -= 1
                if version.users == 0 and version.state != State.AVAILABLE:
                    self._changed.notify_all()

    def statuses(self, spec: model_pb2.ModelSpec) -> dict[int, Version]:
        """Returns copies of a model's versions, newest first. A version in ``spec`` selects one, a label is ignored.

        Raises:
            ServingError: There is no such model or version.
        """
        with self._changed:
            model = self._models.get(spec.name)
            versions = dict(sorted(model.versions.items(), reverse=True)) if model else {}
            requested = "any versions"
            if spec.WhichOneof("version_choice") == "version":
                requested = f"version {spec.version.value}"
                versions = {number: each for number, each in versions.items() if number == spec.version.value}
            if not versions:
                raise ServingError(Code.NOT_FOUND, f"Could not find {requested} of model {spec.name}")
            return {number: dataclasses.replace(each) for number, each in versions.items()}

    def configs(self) -> dict[str, ModelConfig]:
        """Returns the configured models by name."""
        with self._changed:
            return {name: model.config for name, model in self._models.items() if not model.removed}

    def is_configured(self, name: str) -> bool:
        """Returns whether a model is configured, loaded or not."""
        with self._changed:
            model = self._models.get(name)
            return model is not None and not model.removed

    def close(self) -> None:
        """Stops loading and unloading. Loaded versions stay in memory until the process ends."""
        self._closed.set()
        self.wake()

    def _find(self, spec: model_pb2.ModelSpec) -> Version:
        model = self._models.get(spec.name)
        choice = spec.WhichOneof("version_choice")
        number: int | None = None
        if choice == "version_label":
            labels = model.config.version_labels if model and not model.removed else {}
            if spec.version_label not in labels:
                raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
            number = labels[spec.version_label]
        elif choice == "version":
            number = spec.version.value
        available = model.available if model else []
        if model and number is None and available:
            return model.versions[available[0]]
        if model and number in available:
            return model.versions[number]
        requested = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {requested}")

    def _update(self, name: str, model: Model, found: Mapping[int, Path]) -> None:
        model.wanted = wanted_versions(model.config, list(found)) if not model.removed else []
        for number in model.wanted:
            version = model.versions.get(number)
            # A version that was removed and has come back is loaded again.
            if version is None or (version.state == State.END and version.error is None):
                self._start_loading(name, number, found[number])
            elif version.state == State.UNLOADING:
                version.path = found[number]  # _end loads it again from here
        for number, version in model.versions.items():
            if number not in model.wanted and version.state == State.END:
                version.error = None  # so that it is loaded again once it is wanted again
        self._unload_unwanted(name, model)

    def _unload_unwanted(self, name: str, model: Model) -> None:
        """Starts to unload versions that are not wanted, provided that a wanted one is available."""
        ready = any(number in model.wanted for number in model.available)
        for number in model.available:
            if number not in model.wanted and (ready or not model.wanted):
                model.versions[number].state = State.UNLOADING
                self._start_thread(self._unload_version, name, number, model.versions[number])

    def _start_loading(self, name: str, number: int, path: Path) -> None:
        version = self._models[name].versions[number] = Version(path)
        self._start_thread(self._load_version, name, number, version)

    @staticmethod
    def _start_thread(target: Callable[[str, int, Version], None], name: str, number: int, version: Version) -> None:
        threading.Thread(target=target, args=(name, number, version), name=f"{name}/{number}", daemon=True).start()

    def _load_version(self, name: str, number: int, version: Version) -> None:
        self._set_state(version, State.LOADING)
        for attempt in range(self._retries.max_retries + 1):
            if self._closed.is_set() or not self._is_wanted(name, number):
                version.error = None  # no longer wanted, but loaded once it is wanted again
                break
            try:
                with self._loads:
                    servable = self._load(name, number, version.path)
            except ServingError as error:
                logging.error("%s/%d failed to load (attempt %d): %s", name, number, attempt + 1, error)
                version.error = ServingError(error.code, hide_path(error.message, version.path, f"{name}/{number}"))
                self._wait_for_retry(name, number, attempt)
                continue
            except Exception as error:  # must not affect the other versions
                logging.exception("%s/%d failed to load.", name, number)
                version.error = ServingError(Code.INTERNAL, hide_path(str(error), version.path, f"{name}/{number}"))
                break
            version.servable, version.error = servable, None
            logging.info("%s/%d is available.", name, number)
            self._set_state(version, State.AVAILABLE)
            with self._changed:
                self._unload_unwanted(name, self._models[name])
            return
        self._end(name, number, version)

    def _wait_for_retry(self, name: str, number: int, attempt: int) -> None:
        if attempt < self._retries.max_retries:
            end = time.monotonic() + self._retries.seconds
            while time.monotonic() < end and self._is_wanted(name, number):
                if self._closed.wait(min(0.2, max(0.0, end - time.monotonic()))):
                    return

    def _unload_version(self, name: str, number: int, version: Version) -> None:
        with self._changed:
            self._changed.wait_for(lambda: version.users == 0)
            servable, version.servable = version.servable, None
        if servable:
            servable.close()
        logging.info("%s/%d is unloaded.", name, number)
        self._end(name, number, version)

    def _end(self, name: str, number: int, version: Version) -> None:
        """Ends a version, and loads it again if it has become wanted again, since no poll may follow."""
        with self._changed:
            self._set_state(version, State.END)
            if version.error is None and not self._closed.is_set() and self._is_wanted(name, number):
                self._start_loading(name, number, version.path)

    def _is_wanted(self, name: str, number: int) -> bool:
        with self._changed:
            return number in self._models[name].wanted

    def _set_state(self, version: Version, state: int) -> None:
        with self._changed:
            version.state = state
            self._changed.notify_all()
