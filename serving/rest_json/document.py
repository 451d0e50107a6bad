"""The JSON document of an inference request."""

from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from serving.errors import ServingError, invalid_argument
from serving.rest_json.classify_regress import read_input
from serving.rest_json.predict import Format, Rules, read_inputs
from serving.rest_json.values import SIGNATURE_NAME, parse_object, to_bytes

Inputs: TypeAlias = tuple[dict[str, NDArray[Any]], Format]


class Document(Protocol):
    """The document of a request, parsed here or in another process.

    Attributes:
        signature_name: The key of the signature, or an empty string if the request has none.
    """

    signature_name: str

    def tensors(self, rules: Rules) -> Inputs:
        """Returns the inputs of Predict by name, and the format of the request.

        Raises:
            ServingError: The document does not fit the signature.
        """

    def examples(self, request_input: Any) -> None:
        """Stores the examples of Classify or Regress in an empty ``Input`` message.

        Raises:
            ServingError: There are no examples, or a value cannot be stored in a tf.Example.
        """

    def encoding_error(self, text: str) -> ServingError:
        """Returns the error for a name in the document that is not valid UTF-8."""


class ParsedDocument:
    """A document that was parsed in this process."""

    def __init__(self, body: bytes) -> None:
        """Parses a body.

        Raises:
            ServingError: The body is not a JSON object, or its signature name is not a string.
        """
        self._body = body
        self._value = parse_object(body)
        self.signature_name: str = self._value.get(SIGNATURE_NAME, "")

    def tensors(self, rules: Rules) -> Inputs:
        """See :meth:`Document.tensors`."""
        try:
            return read_inputs(self._value, rules)
        except (ValueError, RecursionError) as error:  # nested deeper than numpy (64 levels) or Python allow
            raise invalid_argument(f"JSON Value cannot be converted to a tensor: {error}") from error

    def examples(self, request_input: Any) -> None:
        """See :meth:`Document.examples`."""
        try:
            read_input(self._value, request_input)
        except UnicodeEncodeError as error:
            raise self.encoding_error(error.object) from error

    def encoding_error(self, text: str) -> ServingError:
        """See :meth:`Document.encoding_error`."""
        offset = max(0, self._body.find(to_bytes(text)))
        return invalid_argument(f"JSON Parse error: Invalid encoding in string at offset: {offset}")
