from typing import Any

import pytest

from pipeline.vertex.condition import evaluate_condition

BLESSED = "inputs.artifacts['blessing'].artifacts[0].metadata['blessed']"


def inputs(**metadata: Any) -> dict[str, Any]:
    return {"artifacts": {"blessing": {"artifacts": [{"uri": "gs://b/x", "metadata": metadata}]}}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (f"({BLESSED} == 1.0)", True),
        (f"({BLESSED} == 0.0)", False),
        (f"!(({BLESSED} == 1.0))", False),
        (f"(({BLESSED} == 1.0) && ({BLESSED} > 2.0))", False),
        (f"(({BLESSED} == 1.0) && ({BLESSED} < 2.0))", True),
        (f"(({BLESSED} == 0.0) || !({BLESSED} < 1.0))", True),
        ("(inputs.artifacts['blessing'].artifacts[0].uri == 'gs://b/x')", True),
        (f"({BLESSED} != 1.0)", False),
    ],
)
def test_tfx_conditions_are_evaluated(condition: str, expected: bool) -> None:
    assert evaluate_condition(condition, inputs(blessed=1)) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "inputs.artifacts['other'].artifacts[0].metadata['blessed'] == 1.0",
        "inputs.artifacts['blessing'].artifacts[1].metadata['blessed'] == 1.0",
        "inputs.artifacts['blessing'].artifacts[0].metadata['other'] == 1.0",
        BLESSED,
        "size(inputs.artifacts) == 1",
        "__import__('os').getpid() == 1",
        "== 1",
        "",
    ],
)
def test_invalid_condition_is_refused(condition: str) -> None:
    with pytest.raises(ValueError, match="found the condition"):
        evaluate_condition(condition, inputs(blessed=1))
