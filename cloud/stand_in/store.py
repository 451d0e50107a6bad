"""State of the stand-in: resources by name, and operations."""

import dataclasses
import datetime
import itertools
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

# Vertex AI's responses name the project by its number, even if the request named it by its id.
PROJECT_NUMBER = "123456789012"
TYPES = "type.googleapis.com/google."
_EQUALS = re.compile(r'(?:display_name|displayName)\s*=\s*"([^"]*)"')

Resource: TypeAlias = dict[str, Any]


class RefusedError(Exception):
    """A request that gets an error response.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Request:
    """A recorded request.

    Attributes:
        method: HTTP method.
        path: Path below the API's version, without the query: ``projects/p/locations/r/endpoints``.
        body: JSON, with enums by name.
        query: Fields of the query.
    """

    method: str
    path: str
    body: Resource
    query: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Call:
    """A request to one route.

    Attributes:
        region: Region of the request.
        ids: Groups of the route's pattern in the path.
        body: JSON, with enums by name.
        query: Fields of the query.
    """

    region: str
    ids: tuple[str, ...]
    body: Resource
    query: Mapping[str, str]


# HTTP method, pattern of the path below the region, message type of the body, handler.
Route: TypeAlias = tuple[str, str, str | None, Callable[[Call], Resource]]


@dataclasses.dataclass
class FailingOperation:
    """Error of the next operation of a kind, and whether its change takes effect anyway."""

    message: str
    code: int
    done: bool


@dataclasses.dataclass
class _Operation:
    """A long-running operation.

    Attributes:
        polls: How many times it is reported as running before it is done.
        end: Makes the change and returns the response or the error.
        result: Result of ``end``.
    """

    polls: int
    end: Callable[[], Resource]
    result: Resource | None = None

    def poll(self) -> Resource:
        """The state of the operation."""
        if self.result is None and self.polls > 0:
            self.polls -= 1
            return {"done": False}
        if self.result is None:
            self.result = self.end()
        return {"done": True, **self.result}


class Store:
    """Resources by their path below the region, and operations.

    Attributes:
        lock: Held while a request is handled.
        failing: Errors of the next operations, by verb, such as ``deployModel``.
        slow: How many times the next operations are reported as running, by verb.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.failing: dict[str, list[FailingOperation]] = {}
        self.slow: dict[str, list[int]] = {}
        self._resources: dict[str, Resource] = {}
        self._operations: dict[str, _Operation] = {}
        self._numbers = itertools.count(1)

    def next_id(self) -> str:
        """A number that no other resource has."""
        return str(next(self._numbers))

    def add(self, region: str, path: str, resource: Resource) -> Resource:
        """Adds a resource, with its name and time.

        Raises:
            RefusedError: It already exists.
        """
        if path in self._resources:
            raise RefusedError(409, f"Resource {path} already exists.")
        created = {**resource, "name": full_name(region, path), "createTime": now(), "updateTime": now()}
        self._resources[path] = created
        return created

    def get(self, path: str) -> Resource:
        """Returns the resource itself, not a copy.

        Raises:
            RefusedError: It does not exist.
        """
        if path not in self._resources:
            raise RefusedError(404, f"The resource {path} is not found.")
        return self._resources[path]

    def remove(self, path: str) -> None:
        """Removes a resource. Raises the same errors as :meth:`get`."""
        self.get(path)
        del self._resources[path]

    def children(self, collection: str) -> list[Resource]:
        """The resources of a collection, such as ``endpoints``, oldest first."""
        pattern = re.compile(re.escape(collection) + r"/[^/]+")
        return [resource for path, resource in self._resources.items() if pattern.fullmatch(path)]

    def listed(self, collection: str, call: Call) -> Resource:
        """The response to a list request, optionally filtered by display name.

        Raises:
            RefusedError: The filter is not supported.
        """
        found = self.children(collection)
        if text := call.query.get("filter"):
            equals = _EQUALS.fullmatch(text.strip())
            if not equals:
                raise RefusedError(400, f"The stand-in does not support the filter {text}.")
            found = [each for each in found if each.get("displayName") == equals[1]]
        return {collection.rpartition("/")[2]: found}

    def operation(
        self,
        call: Call,
        verb: str,
        response_type: str,
        change: Callable[[], Resource],
        check: Callable[[], None] = lambda: None,
    ) -> Resource:
        """Starts a long-running operation. Unless it is slow, it is done at once.

        Args:
            call: The request.
            verb: Key in :attr:`failing` and :attr:`slow`.
            response_type: Type of the message that ``change`` returns, below ``google``.
            change: Makes the change.
            check: Raises if the request is invalid.
        """
        check()
        failing, slow = self.failing.get(verb, []), self.slow.get(verb, [])
        fails = failing.pop(0) if failing else None
        operation = _Operation(slow.pop(0) if slow else 0, lambda: _end(fails, response_type, change))
        if not operation.polls:
            operation.poll()
        path = f"{call.ids[0]}/" if call.ids else ""
        path += f"operations/{self.next_id()}"
        self._operations[path] = operation
        return {"name": full_name(call.region, path)}

    def routes(self) -> list[Route]:
        """Routes of operations."""
        return [
            ("GET", r"((?:.+/)?operations/[^/:]+)", None, self._get_operation),
            ("GET", r"(.+/)operations", None, self._list_operations),
        ]

    def _get_operation(self, call: Call) -> Resource:
        path = call.ids[0]
        if path not in self._operations:
            raise RefusedError(404, f"The operation {path} is not found.")
        return {"name": full_name(call.region, path), **self._operations[path].poll()}

    def _list_operations(self, call: Call) -> Resource:
        """Operations of one resource."""
        found = [
            {"name": full_name(call.region, path), **operation.poll()}
            for path, operation in self._operations.items()
            if path.startswith(call.ids[0] + "operations/")
        ]
        return {"operations": found}


def _end(fails: FailingOperation | None, response_type: str, change: Callable[[], Resource]) -> Resource:
    """Ends an operation: makes its change, unless it fails without effect, and returns its response or error."""
    done = change() if not fails or fails.done else {}
    if fails:
        return {"error": {"code": fails.code, "message": fails.message}}
    return {"response": {"@type": TYPES + response_type, **done}}


def full_name(region: str, path: str) -> str:
    """The name of a resource, from its path below the region."""
    return f"projects/{PROJECT_NUMBER}/locations/{region}/{path}"


def relative(name: str) -> str:
    """The path of a resource below the region, from its name.

    >>> relative("projects/p/locations/europe-west4/endpoints/7")
    'endpoints/7'
    """
    return "/".join(name.split("/")[4:])


def now() -> str:
    """The current time in the API's format."""
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
