"""What the stand-in knows: resources by name, operations, and the requests that it got."""

import dataclasses
import datetime
import itertools
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

# Vertex AI answers with the project's number wherever it was asked by its id.
PROJECT_NUMBER = "123456789012"
TYPES = "type.googleapis.com/google."
_EQUALS = re.compile(r'(?:display_name|displayName)\s*=\s*"([^"]*)"')

Resource: TypeAlias = dict[str, Any]


class RefusedError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP's number.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        method: HTTP's.
        path: Below the version, without the query: ``projects/p/locations/r/endpoints``.
        body: JSON, with enumerations by name.
        query: The query's fields.
    """

    method: str
    path: str
    body: Resource
    query: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Call:
    """A request to one route.

    Attributes:
        region: Of the request.
        ids: What the route's pattern found in the path.
        body: JSON, with enumerations by name.
        query: The query's fields.
    """

    region: str
    ids: tuple[str, ...]
    body: Resource
    query: Mapping[str, str]


# HTTP's method, a pattern of the path below the region, the message that the body is, and what answers.
Route: TypeAlias = tuple[str, str, str | None, Callable[[Call], Resource]]


@dataclasses.dataclass
class FailingOperation:
    """How the next operation of a kind ends: the message, and whether what it does is done all the same."""

    message: str
    code: int
    done: bool


@dataclasses.dataclass
class _Operation:
    """A long-running operation.

    Attributes:
        looks: How often it is found under way before it is done.
        end: Does what it is for; its response or its error.
        result: What ``end`` gave.
    """

    looks: int
    end: Callable[[], Resource]
    result: Resource | None = None

    def look(self) -> Resource:
        """Its state."""
        if self.result is None and self.looks > 0:
            self.looks -= 1
            return {"done": False}
        if self.result is None:
            self.result = self.end()
        return {"done": True, **self.result}


class Store:
    """Resources by their path below the region, and operations.

    Attributes:
        lock: Held while a request is answered.
        failing: By verb, such as ``deployModel``, how its next operations end.
        slow: By verb, how often its next operations are found under way.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.failing: dict[str, list[FailingOperation]] = {}
        self.slow: dict[str, list[int]] = {}
        self._resources: dict[str, Resource] = {}
        self._operations: dict[str, _Operation] = {}
        self._numbers = itertools.count(1)

    def next_id(self) -> str:
        """A number that no resource has."""
        return str(next(self._numbers))

    def add(self, region: str, path: str, resource: Resource) -> Resource:
        """Keeps a new resource, with its name and time.

        Raises:
            RefusedError: It is there.
        """
        if path in self._resources:
            raise RefusedError(409, f"Resource {path} already exists.")
        made = {**resource, "name": full_name(region, path), "createTime": now(), "updateTime": now()}
        self._resources[path] = made
        return made

    def get(self, path: str) -> Resource:
        """The resource itself, not a copy.

        Raises:
            RefusedError: There is none.
        """
        if path not in self._resources:
            raise RefusedError(404, f"The resource {path} is not found.")
        return self._resources[path]

    def remove(self, path: str) -> None:
        """Forgets a resource; raises as :meth:`get` does."""
        self.get(path)
        del self._resources[path]

    def children(self, collection: str) -> list[Resource]:
        """The resources of a collection, such as ``endpoints``, from the oldest."""
        pattern = re.compile(re.escape(collection) + r"/[^/]+")
        return [resource for path, resource in self._resources.items() if pattern.fullmatch(path)]

    def listed(self, collection: str, call: Call) -> Resource:
        """The answer to a list request, which may be filtered by display name.

        Raises:
            RefusedError: A filter that is not known.
        """
        found = self.children(collection)
        if text := call.query.get("filter"):
            equals = _EQUALS.fullmatch(text.strip())
            if not equals:
                raise RefusedError(400, f"The stand-in does not know the filter {text}.")
            found = [each for each in found if each.get("displayName") == equals[1]]
        return {collection.rpartition("/")[2]: found}

    def operation(
        self,
        call: Call,
        verb: str,
        answer: str,
        change: Callable[[], Resource],
        check: Callable[[], None] = lambda: None,
    ) -> Resource:
        """Starts a long-running operation, which is done, and so found when it is next asked for, unless it is slow.

        Args:
            call: The request.
            verb: What :attr:`failing` and :attr:`slow` know it by.
            answer: Name below ``google`` of the message that ``change`` gives.
            change: Does it.
            check: Raises what refuses the request at once.
        """
        check()
        failing, slow = self.failing.get(verb, []), self.slow.get(verb, [])
        fails = failing.pop(0) if failing else None
        operation = _Operation(slow.pop(0) if slow else 0, lambda: _ended(fails, answer, change))
        if not operation.looks:
            operation.look()
        path = f"{call.ids[0]}/" if call.ids else ""
        path += f"operations/{self.next_id()}"
        self._operations[path] = operation
        return {"name": full_name(call.region, path)}

    def routes(self) -> list[Route]:
        """The routes of operations."""
        return [
            ("GET", r"((?:.+/)?operations/[^/:]+)", None, self._look),
            ("GET", r"(.+/)operations", None, self._list_operations),
        ]

    def _look(self, call: Call) -> Resource:
        path = call.ids[0]
        if path not in self._operations:
            raise RefusedError(404, f"The operation {path} is not found.")
        return {"name": full_name(call.region, path), **self._operations[path].look()}

    def _list_operations(self, call: Call) -> Resource:
        """The operations of one resource."""
        found = [
            {"name": full_name(call.region, path), **operation.look()}
            for path, operation in self._operations.items()
            if path.startswith(call.ids[0] + "operations/")
        ]
        return {"operations": found}


def _ended(fails: FailingOperation | None, answer: str, change: Callable[[], Resource]) -> Resource:
    """What an operation ends in; its change is made if it is done."""
    done = change() if not fails or fails.done else {}
    if fails:
        return {"error": {"code": fails.code, "message": fails.message}}
    return {"response": {"@type": TYPES + answer, **done}}


def full_name(region: str, path: str) -> str:
    """A resource's name from its path below the region."""
    return f"projects/{PROJECT_NUMBER}/locations/{region}/{path}"


def relative(name: str) -> str:
    """A resource's path below the region, from its name."""
    return "/".join(name.split("/")[4:])


def now() -> str:
    """The time, as the API writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
