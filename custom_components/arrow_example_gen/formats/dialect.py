"""How the text of a file becomes cells: its delimiter and its encoding. Does not import pyarrow."""

import codecs
import dataclasses

UTF8 = "utf-8"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
TAB = r"\t"  # as people write it in a shell or in single quotes
_NO_DELIMITERS = '"\r\n\0'


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The dialect of CSV files.

    Attributes:
        delimiter: The character between two cells.
        encoding: Python's name of the encoding. A byte-order mark is skipped.
    """

    delimiter: str = ","
    encoding: str = UTF8


COMMAS = Dialect()


def checked_delimiter(text: str) -> str:
    r"""The delimiter that a text names.

    Raises:
        ValueError: It is not one character of ASCII, or one that cannot separate cells.

    >>> checked_delimiter(r"\t")
    '\t'
    """
    delimiter = "\t" if text == TAB else text
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in _NO_DELIMITERS:
        raise ValueError(
            f"found {text!r}; expected one ASCII character other than a quote or a line end, such as ',', ';' or "
            f"'{TAB}' for a tab"
        )
    return delimiter


def checked_encoding(name: str) -> str:
    """The name that Python has for an encoding of text.

    Raises:
        ValueError: Python does not know the encoding.

    >>> checked_encoding("Latin-1"), checked_encoding("utf_8_sig")
    ('iso8859-1', 'utf-8')
    """
    try:
        found = codecs.lookup(name).name
        b"".decode(found)  # not one of those that do not encode text, such as 'base64'
        codecs.getincrementaldecoder(found)
    except (LookupError, UnicodeError, ValueError) as error:
        raise ValueError(
            f"found {name!r}; expected an encoding of text that Python knows, such as 'utf-8', 'utf-16', 'cp1252' or "
            "'latin-1'"
        ) from error
    return UTF8 if found == "utf-8-sig" else found


def shown_delimiter(delimiter: str) -> str:
    r"""A delimiter as it is written in settings.

    >>> print(shown_delimiter(";"), shown_delimiter("\t"))
    ';' '\t'
    """
    return f"'{TAB}'" if delimiter == "\t" else f"'{delimiter}'"


def named_delimiter(delimiter: str) -> str:
    """A delimiter in words, for errors.

    >>> named_delimiter(";"), named_delimiter("~")
    ('semicolons', "'~'")
    """
    return DELIMITERS.get(delimiter, f"'{delimiter}'")
