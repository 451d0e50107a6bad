import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.dotted_keys import join_key, split_assignment, split_key

parts = st.lists(st.text() | st.sampled_from(["", ".", '"', "=", 'a."b"', "a.b", "größe (cm)", "\\", "\n"]), min_size=1)


@given(parts=parts, value=st.text())
def test_a_key_of_any_parts_is_read_as_it_was_written(parts: list[str], value: str) -> None:
    key = join_key(parts)
    assert split_key(key) == parts
    assert split_assignment(f"{key}={value}") == (key, value)


def test_only_a_part_that_could_be_misread_is_quoted() -> None:
    assert join_key(["features", "größe (cm)", "a.b", 'it"s']) == 'features.größe (cm)."a.b".it"s'


def test_an_invalid_escape_is_an_error() -> None:
    with pytest.raises(ValueError, match="escape"):
        split_key(r'a."\q"')


def test_text_without_an_equals_sign_is_no_assignment() -> None:
    assert split_assignment('a."b=c"') is None
