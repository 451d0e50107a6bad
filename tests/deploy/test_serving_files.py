"""The files of deploy/serving follow their formats and agree with each other."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from serving_files import (
    CANARY,
    COMPOSE,
    CONFIG,
    CONTAINER_FILE,
    FOLDER,
    MODELS_CONFIG,
    ROOT,
    canary_container,
    container,
    flags_of,
    instruction,
    instructions,
    manifests,
    pod,
    resource,
    service,
)

from serving.flags import Flags, parse
from serving.inference.metrics import metrics_path
from serving.models.batching_config import read_batching
from serving.models.model_config import read_model_configs

PLACES = ("container", "compose", "kubernetes")
# The oldest release with gRPC probes enabled by default, and the newest one with a schema.
KUBERNETES = ("1.27", "1.37")
KUSTOMIZATIONS = [FOLDER / name / "kustomization.yaml" for name in ("config", "kubernetes", "kubernetes-canary")]
MOUNTED = "/etc/serving"


def generated() -> dict[str, dict[str, Any]]:
    """The ConfigMaps generated from the files."""
    generators = yaml.safe_load((CONFIG / "kustomization.yaml").read_text())["configMapGenerator"]
    return {each["name"]: each for each in generators}


def test_the_container_file_passes_the_linter() -> None:
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    assert linter, "found no hadolint; expected the one in the environment"
    found = subprocess.run(
        [linter, "--no-color", "--failure-threshold=style", str(CONTAINER_FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_compose_file_follows_the_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema=vendor.compose-spec", str(COMPOSE)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("manifest", manifests(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_manifests_follow_the_schema_of_kubernetes(manifest: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(manifest, version, strict=True) == version


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_canary_patches_only_fields_of_the_schema(version: str) -> None:
    patch = yaml.safe_load((CANARY / "labels.yaml").read_text())
    # A patch omits fields that a Deployment requires.
    patch["spec"].update(selector={}, template={**patch["spec"]["template"], "metadata": {}})
    kubernetes_validate.validate(patch, version, strict=True)
    assert (patch["kind"], patch["metadata"]["name"]) == ("Deployment", "taxi-serving")
    assert canary_container()["name"] == container()["name"]
    assert {each["name"] for each in canary_container()["env"]} <= {each["name"] for each in container()["env"]}


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_kustomizations_name_existing_files(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    assert set(found) <= {"apiVersion", "kind", "resources", "patches", "configMapGenerator"}
    assert (found["apiVersion"], found["kind"]) == ("kustomize.config.k8s.io/v1beta1", "Kustomization")
    for name in found.get("resources", ()):
        assert (path.parent / name).exists(), name
        # kustomize refuses a resource folder that contains the kustomization itself.
        assert not path.parent.is_relative_to((path.parent / name).resolve()), name
    for patch in found.get("patches", ()):
        assert set(patch) == {"path"}
        assert (path.parent / patch["path"]).is_file()
    for maker in found.get("configMapGenerator", ()):
        assert set(maker) <= {"name", "files", "options"}
        assert set(maker.get("options", {})) <= {"disableNameSuffixHash"}
        for name in maker["files"]:
            # It reads no file outside its own folder, either.
            assert Path(name).name == name, name
            assert (path.parent / name).is_file(), name


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on the PATH")
@pytest.mark.parametrize("path", KUSTOMIZATIONS[1:], ids=lambda path: path.parent.name)
def test_kubectl_builds_the_manifests(path: Path) -> None:
    text = subprocess.run(["kubectl", "kustomize", str(path.parent)], capture_output=True, text=True, check=True).stdout
    made = list(yaml.safe_load_all(text))
    for each in made:
        kubernetes_validate.validate(each, KUBERNETES[-1], strict=True)
    maps = {each["metadata"]["name"]: each["data"] for each in made if each["kind"] == "ConfigMap"}
    [deployment] = [each for each in made if each["kind"] == "Deployment"]
    [config] = [each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "config"]
    mounted = [each["configMap"]["name"] for each in config["projected"]["sources"]]
    assert sorted(mounted) == sorted(maps)
    assert "taxi-models" in mounted
    assert {name: text for name in mounted for name, text in maps[name].items()} == {
        name: (CONFIG / name).read_text() for each in generated().values() for name in each["files"]
    }
    changed = canary_container() if path.parent == CANARY else container()
    [server] = deployment["spec"]["template"]["spec"]["containers"]
    assert server["env"] == changed["env"]
    assert server["args"] == container()["args"]
    assert server["readinessProbe"] == container()["readinessProbe"] | changed["readinessProbe"]


def test_every_place_starts_the_server_with_the_same_flags() -> None:
    assert flags_of("container") == flags_of("compose") == flags_of("kubernetes")


@pytest.mark.parametrize("place", PLACES)
def test_the_server_accepts_every_flag(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = parse(flags_of(place))
    assert capsys.readouterr().err == ""
    assert (flags.port, flags.rest_api_port) == (8500, 8501)
    assert flags.model_config_file_poll_wait_seconds > 0
    # tensorflow_model_server reads a bare flag as true, but an explicit value is easier to read.
    assert all("=" in flag for flag in flags_of(place))


def test_the_image_has_the_release_of_the_pinned_api() -> None:
    [pinned] = re.findall(r"^tensorflow-serving-api==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert instruction("FROM") == container()["image"] == f"tensorflow/serving:{pinned}"
    assert service()["image"] == f"onegraph-serving:{pinned}"


def test_the_server_starts_without_the_images_script_and_not_as_root() -> None:
    assert instruction("ENTRYPOINT") == '["/usr/bin/tensorflow_model_server"]'
    assert container()["command"] == ["/usr/bin/tensorflow_model_server"]
    security = pod()["spec"]["securityContext"]
    assert instruction("USER") == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert container()["securityContext"]["readOnlyRootFilesystem"] is service()["read_only"] is True


@pytest.mark.parametrize("path", ["model_config_file", "batching_parameters_file", "monitoring_config_file"])
def test_the_files_that_flags_name_are_copied_and_mounted(path: str) -> None:
    folder, _, name = getattr(parse(flags_of("kubernetes")), path).rpartition("/")
    assert folder == MOUNTED
    assert (CONFIG / name).is_file()
    *copied, target = instruction("COPY").split()
    assert f"config/{name}" in copied
    assert target == f"{MOUNTED}/"
    [config] = [each for each in pod()["spec"]["volumes"] if each["name"] == "config"]
    maps = [each["configMap"]["name"] for each in config["projected"]["sources"]]
    assert sorted(maps) == sorted(generated())
    assert name in [file for each in maps for file in generated()[each]["files"]]
    assert {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}["config"] == MOUNTED
    assert not any("subPath" in each for each in container()["volumeMounts"]), "a subPath mount is never updated"
    [mounted] = [each for each in service()["volumes"] if each["target"] == MOUNTED]
    assert (FOLDER / mounted["source"]).resolve() == CONFIG


def test_only_the_config_maps_of_polled_files_keep_a_fixed_name() -> None:
    unhashed = {name for name, each in generated().items() if each.get("options", {}).get("disableNameSuffixHash")}
    assert {file for name in unhashed for file in generated()[name]["files"]} == {MODELS_CONFIG, "models-canary.config"}


@pytest.mark.parametrize("name", [MODELS_CONFIG, "models-canary.config"])
def test_models_are_mounted_at_the_path_that_is_read(name: str) -> None:
    [model] = read_model_configs(CONFIG / name)
    assert model.name == "taxi"
    mounts = {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}
    assert model.base_path == f"{mounts['models']}/{model.name}"
    [folder] = [each for each in service()["volumes"] if each["target"] == model.base_path]
    assert (FOLDER / folder["source"]).resolve() == ROOT / "output/taxi/serving/taxi"
    assert folder["read_only"] is True
    [claim] = [each["persistentVolumeClaim"] for each in pod()["spec"]["volumes"] if each["name"] == "models"]
    assert claim == {
        "claimName": resource("PersistentVolumeClaim", "taxi-models")["metadata"]["name"],
        "readOnly": True,
    }
    for probe in (container()["readinessProbe"], container()["startupProbe"]):
        assert probe["httpGet"]["path"] == f"/v1/models/{model.name}"


def test_the_canarys_labels_name_loaded_versions() -> None:
    [model] = read_model_configs(CONFIG / canary_container()["env"][0]["value"])
    assert set(model.version_labels) == {"stable", "canary"}
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)
    assert canary_container()["readinessProbe"]["httpGet"]["path"] == "/v1/models/taxi/labels/stable/metadata"
    assert parse(flags_of("kubernetes")).allow_version_labels_for_unavailable_models


def test_one_batch_runs_per_cpu() -> None:
    batching = read_batching(CONFIG / "batching_parameters.txt")
    assert batching.enable_large_batch_splitting
    assert batching.max_execution_batch_size < batching.max_batch_size
    assert batching.num_batch_threads == int(container()["resources"]["requests"]["cpu"]) == service()["cpus"]


def test_prometheus_finds_the_metrics() -> None:
    path = metrics_path(Flags(monitoring_config_file=str(CONFIG / "monitoring.config")))
    notes = pod()["metadata"]["annotations"]
    assert notes == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(parse(flags_of("kubernetes")).rest_api_port),
        "prometheus.io/path": path,
    }


def test_ports_agree() -> None:
    flags = parse(flags_of("kubernetes"))
    ports = {"grpc": flags.port, "rest": flags.rest_api_port}
    assert {each["name"]: each["containerPort"] for each in container()["ports"]} == ports
    assert service()["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports.values()]
    for manifest, names in (("taxi-serving", {"grpc", "rest"}), ("taxi-serving-pods", {"grpc"})):
        service_ports = resource("Service", manifest)["spec"]["ports"]
        assert {each["name"] for each in service_ports} == names
        assert all((each["port"], each["targetPort"]) == (ports[each["name"]], each["name"]) for each in service_ports)
    assert resource("Service", "taxi-serving-pods")["spec"]["clusterIP"] == "None"
    probes = [container()["readinessProbe"], container()["startupProbe"], canary_container()["readinessProbe"]]
    assert {each["httpGet"]["port"] for each in probes} == {"rest"}
    assert container()["livenessProbe"]["grpc"]["port"] == ports["grpc"]
    assert flags.enable_grpc_healthcheck_service
    assert f"127.0.0.1/{ports['rest']} " in instruction("HEALTHCHECK")


def test_selectors_match_the_pod_and_the_autoscaler_targets_the_deployment() -> None:
    labels = pod()["metadata"]["labels"].items()
    deployment = resource("Deployment")
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        resource("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["spec"]["selector"] for each in manifests() if each["kind"] == "Service"),
        *(each["labelSelector"]["matchLabels"] for each in pod()["spec"]["topologySpreadConstraints"]),
    ]
    assert len(selectors) == 6
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
    target = resource("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
    assert "replicas" not in deployment["spec"], "each apply would undo the autoscaler's choice"


def test_a_stopping_pod_waits_for_its_last_connection() -> None:
    arguments = dict(each.split("=") for each in parse(flags_of("kubernetes")).grpc_channel_arguments.split(","))
    age, grace = (int(arguments[f"grpc.max_connection_age{each}_ms"]) for each in ("", "_grace"))
    wait = int(container()["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert age * 1.1 + grace <= wait * 1000, "gRPC may keep a connection a tenth longer"
    assert wait < pod()["spec"]["terminationGracePeriodSeconds"]
    startup = container()["startupProbe"]
    assert (
        startup["periodSeconds"] * startup["failureThreshold"]
        < resource("Deployment")["spec"]["progressDeadlineSeconds"]
    )


def test_the_page_links_to_existing_files_and_names_every_file() -> None:
    page = (FOLDER / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (FOLDER / target).exists(), target
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.name not in ("README.md", "kustomization.yaml"):
            assert path.name in page, f"README.md does not mention {path.name}"


def test_every_instruction_is_covered_by_a_test() -> None:
    assert [name for name, _ in instructions()] == ["FROM", "COPY", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"]
