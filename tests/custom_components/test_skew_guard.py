import dataclasses
import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from predictions import assert_same_predictions
from random_rows import random_rows
from small_table import IN_FULL, PLAIN, SPEC, encode, export_random, small_table, write_raw
from tensorflow.core.protobuf import saved_model_pb2

from artifacts.names import WARMUP_FILE
from artifacts.nodes.skew import SkewReport
from common.project import ROOT
from custom_components.shared.machine_failures import is_machine_failure
from custom_components.skew_guard.executor import with_own_names
from custom_components.skew_guard.replay import Replay, raw_columns
from custom_components.skew_guard.report import SkewError
from custom_components.skew_guard.server_check import MODULE, WITHOUT_KERAS, ServerCheckError, check_server
from custom_components.skew_guard.transform_graph import SavedModelFunctions
from custom_components.skew_guard.warmup import write_warmup
from models.network import build_network, feature_inputs
from models.problem.problem import Problem
from models.signatures import export
from models.transforms.kinds import categorical_sizes

ROWS = 40
Outputs = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An exported model of random weights."""

    problem: Problem
    folder: Path

    def replay(self) -> Replay:
        return Replay(small_table().graph, self.folder, self.problem)

    @functools.cached_property
    def loaded(self) -> Replay:
        return self.replay()


@pytest.fixture(scope="module", params=sorted(IN_FULL))
def candidate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    problem = IN_FULL[request.param]
    return Candidate(problem, export_random(problem, tmp_path_factory.mktemp("candidate") / "model"))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    problem = IN_FULL["binary"]
    network = build_network(problem, {"hidden_units": 4}, categorical_sizes(problem.features, small_table().graph))
    folder = tmp_path_factory.mktemp("binary") / "model"
    export(network, small_table().graph, problem, str(folder))
    return Candidate(problem, folder)


@pytest.fixture(scope="module")
def raw_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_raw(tmp_path_factory.mktemp("raw") / "examples.gz", small_table().rows[:ROWS])


def transformed_files() -> list[str]:
    return [str(path) for path in small_table().folder.glob("examples*.gz")]


def test_no_difference_in_any_task(candidate: Candidate, raw_files: list[str]) -> None:
    replay = candidate.replay()
    replay.run(raw_files, transformed_files(), 30)
    report = replay.report(SkewReport())
    method = "regress" if candidate.problem.task == "regression" else "classify"
    signatures = {"serving_default", "serve_raw", method, "transform_features", "transform_label"}
    assert set(report.compared) == {*signatures, "transformed_examples"}
    assert report.examples == report.compared["transformed_examples"] == 30


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_rows_are_served_as_trained(candidate: Candidate, data: st.DataObject) -> None:
    replay = candidate.loaded
    examples = [encode(row) for row in data.draw(st.lists(random_rows, min_size=1, max_size=9))]
    replay.compare(examples)
    signatures = replay.model.signatures
    names = candidate.problem.features.tensor_names
    columns = {names[column]: values for column, values in raw_columns(examples, SPEC, candidate.problem).items()}
    by_column = signatures["serve_raw"](**columns)
    assert_same_predictions(by_column, signatures["serving_default"](examples=tf.constant(examples)))


@pytest.fixture
def altered(binary: Candidate) -> Callable[[str, Callable[[Outputs], Outputs]], Replay]:
    """Replays a model in which one signature has other outputs."""

    def alter(name: str, change: Callable[[Outputs], Outputs]) -> Replay:
        replay = binary.replay()
        signatures = dict(replay.model.signatures)
        original = signatures[name]

        @tf.function
        def changed(**inputs: tf.Tensor) -> Outputs:
            return change(original(**inputs))

        signatures[name] = changed.get_concrete_function(**original.structured_input_signature[1])
        # Keeps a reference to the model, which owns the variables of both.
        replay.model = types.SimpleNamespace(model=replay.model, network=replay.model.network, signatures=signatures)
        return replay

    return alter


def first_skew(replay: Replay, raw_files: list[str], files: list[str] | None = None) -> Any:
    with pytest.raises(SkewError) as caught:
        replay.run(raw_files, files or transformed_files(), ROWS)
    assert replay.report(SkewReport()).compared
    return caught.value.skew


@pytest.mark.parametrize("signature", ["serving_default", "serve_raw", "classify"])
def test_a_signature_that_predicts_differently_is_reported(altered: Any, raw_files: list[str], signature: str) -> None:
    skew = first_skew(altered(signature, lambda out: {**out, "scores": out["scores"] + 2e-6}), raw_files)
    assert (skew.check, skew.where, skew.feature, skew.example) == ("predictions", signature, "scores", 0)
    expected, found = (np.array(eval(text)) for text in (skew.expected, skew.found))
    np.testing.assert_allclose(found - expected, 2e-6, rtol=0.1)


def test_a_class_with_another_name_is_reported(altered: Any, raw_files: list[str]) -> None:
    skew = first_skew(altered("classify", lambda out: {**out, "classes": out["classes"][:, ::-1]}), raw_files)
    assert (skew.feature, skew.expected, skew.found) == ("classes", "[b'poor', b'rich']", "[b'rich', b'poor']")


def test_a_feature_that_differs_by_one_bit_is_reported(altered: Any, raw_files: list[str]) -> None:
    name = IN_FULL["binary"].features.tensor_name("dense", PLAIN)

    def change(out: Outputs) -> Outputs:
        return {**out, name: tf.math.nextafter(out[name], 9.0)}

    skew = first_skew(altered("transform_features", change), raw_files)
    assert (skew.check, skew.where, skew.feature) == ("transformed", "transform_features", name)
    shown = with_own_names(skew, IN_FULL["binary"])
    assert (shown.where, shown.feature, shown.found) == ("transform_features", f"{PLAIN}_dense", skew.found)
    assert with_own_names(dataclasses.replace(skew, where=name, feature=None), IN_FULL["binary"]).feature is None


def test_a_signature_that_fails_is_reported(altered: Any, raw_files: list[str]) -> None:
    def change(out: Outputs) -> Outputs:
        with tf.control_dependencies([tf.debugging.assert_less(out["predictions"], -1.0, "no such luck")]):
            return {name: tf.identity(value) for name, value in out.items()}

    skew = first_skew(altered("serving_default", change), raw_files)
    assert (skew.where, skew.expected) == ("serving_default", "an answer")
    assert "no such luck" in skew.found


def test_an_edited_transformed_row_is_reported(binary: Candidate, raw_files: list[str], tmp_path: Path) -> None:
    edited = [{**row, "month": 3} if index == 5 else row for index, row in enumerate(small_table().rows[:ROWS])]
    skew = first_skew(binary.replay(), raw_files, small_table().write(tmp_path / "edited.gz", edited))
    assert (skew.where, skew.feature, skew.example) == (
        "the transformed examples",
        "age_ratio",
        5,
    )  # the first of month


def test_a_network_that_reads_only_some_features_is_not_skew(raw_files: list[str], tmp_path: Path) -> None:
    problem = IN_FULL["binary"]
    one = feature_inputs(problem.features)["gain_dense"]
    network = keras.Model({"gain_dense": one}, keras.layers.Dense(1, "sigmoid")(one))
    export(network, small_table().graph, problem, str(tmp_path / "model"))
    Candidate(problem, tmp_path / "model").replay().run(raw_files, transformed_files(), ROWS)


@pytest.fixture
def servable(binary: Candidate, tmp_path: Path) -> Path:
    shutil.copytree(binary.folder, tmp_path / "model")
    examples = [encode(row) for row in small_table().rows[:3]]
    columns = raw_columns(examples, SPEC, binary.problem)
    write_warmup(tmp_path / "model", "small", examples, columns, ["serving_default", "serve_raw", "classify"])
    return tmp_path / "model"


def test_a_new_process_answers_the_warmup_requests(servable: Path) -> None:
    measured = check_server(servable, 120, 4000)
    assert measured["answers"] == 6
    assert measured["peak_megabytes"] > 100


def test_a_model_without_its_weights_does_not_load(servable: Path) -> None:
    (servable / "variables/variables.index").unlink()
    with pytest.raises(SkewError, match="a model that loads and answers"):
        check_server(servable, 120, 4000)


def test_a_request_that_fails_is_reported(servable: Path) -> None:
    examples = [b"no example"]
    write_warmup(servable, "small", examples, {}, ["serving_default"])
    assert (servable / WARMUP_FILE).exists()
    with pytest.raises(SkewError, match="parse"):
        check_server(servable, 120, 4000)


def server_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if MODULE in child.cmdline()]


def test_a_new_process_that_takes_too_long_is_no_fault_of_the_model(servable: Path) -> None:
    with pytest.raises(ServerCheckError, match=r"within 0\.1 s; run again when the machine is less busy"):
        check_server(servable, 0.1, 4000)
    assert not server_processes()


@pytest.mark.parametrize(
    ("number", "described"),
    [(signal.SIGKILL, r"was killed \(SIGKILL; .*memory\)$"), (signal.SIGSEGV, "was stopped by SIGSEGV$")],
)
def test_a_new_process_that_is_killed_is_no_fault_of_the_model(
    servable: Path, number: signal.Signals, described: str
) -> None:
    with futures.ThreadPoolExecutor() as pool:
        checked = pool.submit(check_server, servable, 120, 4000)
        while not (children := server_processes()):
            assert not checked.done()
        children[0].send_signal(number)
        with pytest.raises(ServerCheckError, match=described):
            checked.result()


def test_a_new_process_that_does_not_start_is_no_fault_of_the_model(
    servable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ServerCheckError, match=r"exited with code 1$"):
        check_server(servable, 120, 4000)


def test_a_message_that_is_not_utf_8_is_shown(servable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C++ code cuts messages within a character."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nprintf 'no caf\\303' >&2\nexit 4\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ServerCheckError, match=r"exited with code 4: no caf\\xc3$"):
        check_server(servable, 120, 4000)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (OSError("SavedModel file does not exist"), False),
        (tf.errors.NotFoundError(None, None, "variables.index"), False),
    ],
)
def test_only_the_machines_errors_end_the_check(error: Exception, expected: bool) -> None:
    assert is_machine_failure(error) == expected


def test_a_signature_that_runs_out_of_memory_is_no_skew(altered: Any, raw_files: list[str]) -> None:
    def change(out: Outputs) -> Outputs:
        def fail(_: Any) -> Any:
            raise MemoryError("no memory left")

        return {name: tf.py_function(fail, [value], value.dtype) for name, value in out.items()}

    with pytest.raises(tf.errors.ResourceExhaustedError, match="no memory left"):
        altered("serving_default", change).run(raw_files, transformed_files(), ROWS)


def test_a_model_that_takes_too_much_memory_is_stopped(servable: Path) -> None:
    with pytest.raises(SkewError, match="at most 100 MB"):
        check_server(servable, 120, 100)


def test_the_new_process_imports_neither_keras_3_nor_scipy() -> None:
    code = "import sys; from custom_components.skew_guard import server_process; print(*sys.modules)"
    command, environment = [sys.executable, "-c", code], {**os.environ, **WITHOUT_KERAS}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    modules = set(result.stdout.split())
    assert "tensorflow" in modules
    assert not {"keras", "scipy.ndimage._filters"} & modules


def test_names_of_captured_constants_do_not_change_the_digest_of_a_function(tmp_path: Path) -> None:
    digests = []
    for number, values in enumerate(([1.0], [1.0], [1.0, 2.0])):
        saved_model = saved_model_pb2.SavedModel()
        function = saved_model.meta_graphs.add().graph_def.library.function.add()
        function.signature.name = "transform"
        function.signature.input_arg.add(name=f"shape_{number}", type=tf.float32.as_datatype_enum)
        function.arg_attr[0].attr["_user_specified_name"].s = b"%d" % number
        function.node_def.add(name="size", op="Reshape", input=[f"shape_{number}"] * len(values))
        function.ret["same"] = f"shape_{number}"
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(saved_model.SerializeToString())
        digests.append(SavedModelFunctions(tmp_path / str(number)).digest("transform"))
    assert digests[0] == digests[1] != digests[2]
