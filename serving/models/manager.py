"""Which versions are loaded: looks into the folders, loads before it unloads, and hands versions to requests."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from absl import logging
from tensorflow_serving.apis import model_pb2

from serving.errors import Code, ServingError, invalid
from serving.models.configuration import ModelConfig, versions_in, wanted_versions
from serving.models.servable import Servable
from serving.models.versions import Model, Retries, State, Version, check_labels

LOADERS = 2
NEW_LINE = "\n"


class Manager:
    """Loads and unloads versions as the folders and the configuration ask, without a gap for requests."""

    def __init__(self, load: Callable[[str, int, Path], Servable], retries: Retries) -> None:
        """Makes a manager of no models.

        Args:
            load: Loads and warms up a version; raises :class:`serving.errors.ServingError`.
            retries: What to do when it cannot.
        """
        self._load = load
        self._retries = retries
        self._models: dict[str, Model] = {}
        self._changed = threading.Condition()
        self._looking = threading.Lock()  # so that no list of files is older than the configuration it is held against
        self._loading = threading.Semaphore(LOADERS)
        self._closed = threading.Event()

    def configure(self, configs: Sequence[ModelConfig], early_labels: bool = False) -> None:
        """Replaces all models, and begins to load what is new.

        Args:
            configs: The new list, checked.
            early_labels: Whether a label may be given to a version that is not loaded yet.

        Raises:
            ServingError: A label is given to a version that does not answer; then nothing is changed.
        """
        with self._looking, self._changed:
            for config in configs:
                check_labels(self._models.get(config.name), config, early_labels)
            for config in configs:
                model = self._models.setdefault(config.name, Model(config))
                model.config, model.removed = config, False
            for name in set(self._models) - {config.name for config in configs}:
                self._models[name].removed = True
        self.poll()

    def poll(self) -> None:
        """Looks into the folders, and loads and unloads accordingly; returns at once."""
        with self._looking:
            for name, model in list(self._models.items()):
                try:
                    found = {} if model.removed else versions_in(Path(model.config.base_path))
                    model.trouble = ""
                except OSError as error:  # what is loaded stays
                    if str(error) != model.trouble:
                        logging.error("%s: one cannot look for versions: %s", name, error)
                    model.trouble = str(error)
                    continue
                with self._changed:
                    self._aspire(name, model, found)
        self.wake()

    def wait_available(self, names: Sequence[str], going_on: Callable[[], bool] = lambda: True) -> bool:
        """Waits until each model has a version that answers or can have none, and returns whether all have one.

        Args:
            names: The models.
            going_on: Whether someone still waits for the answer; asked anew after :meth:`wake`.
        """

        def settled() -> bool:
            models = [self._models[name] for name in names]
            given_up = self._closed.is_set() or not going_on()
            return given_up or all(each.available or each.removed or each.failed for each in models)

        with self._changed:
            self._changed.wait_for(settled)
            return all(self._models[name].available for name in names)

    def wake(self) -> None:
        """Lets those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def failures(self, names: Sequence[str]) -> str:
        """Why models have no version that answers, for a person to read."""
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
    def servable(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """The version that a request asks for, kept loaded while the request runs.

        Raises:
            ServingError: There is none.
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
        """The versions of a model, the newest first; only the one asked for if a version is, all of them for a label.

        Raises:
            ServingError: There is no such model or version.
        """
        with self._changed:
            model = self._models.get(spec.name)
            versions = dict(sorted(model.versions.items(), reverse=True)) if model else {}
            asked = "any versions"
            if spec.WhichOneof("version_choice") == "version":
                asked = f"version {spec.version.value}"
                versions = {number: each for number, each in versions.items() if number == spec.version.value}
            if not versions:
                raise ServingError(Code.NOT_FOUND, f"Could not find {asked} of model {spec.name}")
            return {number: dataclasses.replace(each) for number, each in versions.items()}

    def configs(self) -> dict[str, ModelConfig]:
        """What is served, by name."""
        with self._changed:
            return {name: model.config for name, model in self._models.items() if not model.removed}

    def serves(self, name: str) -> bool:
        """Whether a model of that name is served, be it loaded or not."""
        with self._changed:
            model = self._models.get(name)
            return model is not None and not model.removed

    def close(self) -> None:
        """Loads and unloads no more; what is loaded ends with the process."""
        self._closed.set()
        self.wake()

    def _find(self, spec: model_pb2.ModelSpec) -> Version:
        model = self._models.get(spec.name)
        choice = spec.WhichOneof("version_choice")
        number: int | None = None
        if choice == "version_label":
            labels = model.config.version_labels if model and not model.removed else {}
            if spec.version_label not in labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            number = labels[spec.version_label]
        elif choice == "version":
            number = spec.version.value
        available = model.available if model else []
        if model and number is None and available:
            return model.versions[available[0]]
        if model and number in available:
            return model.versions[number]
        asked = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")

    def _aspire(self, name: str, model: Model, found: Mapping[int, Path]) -> None:
        model.wanted = wanted_versions(model.config, list(found)) if not model.removed else []
        for number in model.wanted:
            version = model.versions.get(number)
            # One that was taken away and came back is a new one.
            if version is None or (version.state == State.END and version.error is None):
                self._begin(name, number, found[number])
            elif version.state == State.UNLOADING:
                version.path = found[number]  # from where it is loaded again, see _end
        for number, version in model.versions.items():
            if number not in model.wanted and version.state == State.END:
                version.error = None  # so that it is tried again when it is wanted again
        self._retire(name, model)

    def _retire(self, name: str, model: Model) -> None:
        """Unloads what is not wanted, but not before something wanted answers."""
        ready = any(number in model.wanted for number in model.available)
        for number in model.available:
            if number not in model.wanted and (ready or not model.wanted):
                model.versions[number].state = State.UNLOADING
                self._start(self._take_down, name, number, model.versions[number])

    def _begin(self, name: str, number: int, path: Path) -> None:
        version = self._models[name].versions[number] = Version(path)
        self._start(self._bring_up, name, number, version)

    @staticmethod
    def _start(work: Callable[[str, int, Version], None], name: str, number: int, version: Version) -> None:
        threading.Thread(target=work, args=(name, number, version), name=f"{name}/{number}", daemon=True).start()

    def _bring_up(self, name: str, number: int, version: Version) -> None:
        self._set(version, State.LOADING)
        for attempt in range(self._retries.most + 1):
            if self._closed.is_set() or not self._is_wanted(name, number):
                version.error = None  # nobody asks any more; who asks again gets a new try
                break
            try:
                with self._loading:
                    servable = self._load(name, number, version.path)
            except ServingError as error:
                logging.error("%s/%d cannot be loaded (try %d): %s", name, number, attempt + 1, error)
                version.error = error
                self._wait_for_retry(name, number, attempt)
                continue
            except Exception as error:  # whatever it is, the other versions go on
                logging.exception("%s/%d cannot be loaded.", name, number)
                version.error = ServingError(Code.INTERNAL, str(error))
                break
            version.servable, version.error = servable, None
            logging.info("%s/%d answers.", name, number)
            self._set(version, State.AVAILABLE)
            with self._changed:
                self._retire(name, self._models[name])
            return
        self._end(name, number, version)

    def _wait_for_retry(self, name: str, number: int, attempt: int) -> None:
        if attempt < self._retries.most:
            end = time.monotonic() + self._retries.seconds
            while time.monotonic() < end and self._is_wanted(name, number):
                if self._closed.wait(min(0.2, max(0.0, end - time.monotonic()))):
                    return

    def _take_down(self, name: str, number: int, version: Version) -> None:
        with self._changed:
            self._changed.wait_for(lambda: version.users == 0)
            servable, version.servable = version.servable, None
        if servable:
            servable.close()
        logging.info("%s/%d is unloaded.", name, number)
        self._end(name, number, version)

    def _end(self, name: str, number: int, version: Version) -> None:
        """Ends a version, and begins anew if it is wanted again: no look into the folder may follow."""
        with self._changed:
            self._set(version, State.END)
            if version.error is None and not self._closed.is_set() and self._is_wanted(name, number):
                self._begin(name, number, version.path)

    def _is_wanted(self, name: str, number: int) -> bool:
        with self._changed:
            return number in self._models[name].wanted

    def _set(self, version: Version, state: int) -> None:
        with self._changed:
            version.state = state
            self._changed.notify_all()
