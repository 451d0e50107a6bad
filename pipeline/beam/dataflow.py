"""Beam arguments for Dataflow and for BigQuery."""

from collections.abc import Iterator

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.config.beam import Dataflow
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.settings import Config
from pipeline.config.vertex import Vertex

# Beam options that have a setting of their own, which they would override: Beam uses the last value.
SETTINGS = {
    "runner": "the 'dataflow' block",
    "project": "vertex.project",
    "region": "vertex.region",
    "temp_location": "dataflow.temp",
    "staging_location": "dataflow.temp",
    "sdk_container_image": "dataflow.image",
    "sdk_location": "dataflow.image",
    "machine_type": "dataflow.machine",
    "max_num_workers": "dataflow.max_workers",
    "disk_size_gb": "dataflow.disk_gb",
    "subnetwork": "dataflow.subnetwork",
    "use_public_ips": "dataflow.public_ips",
    "flexrs_goal": "dataflow.flexrs",
    "service_account_email": "vertex.service_account",
    "dataflow_kms_key": "vertex.encryption_key",
}


def dataflow_args(config: Config, settings: Dataflow) -> list[str]:
    """Returns the arguments of all steps.

    The workers' image contains the project's code and Beam, so only the job graph is staged. Without an image, TFX
    would package itself, and Beam would pickle the main module of the step, which the workers do not have.

    Args:
        config: All settings. Those of ``vertex`` are the defaults of ``dataflow``.
        settings: The ``dataflow`` block.

    Raises:
        ConfigError: Beam does not have an option, or the option has a setting of its own.
    """
    vertex, temporary = config.vertex, settings.temp or f"{config.output}/beam"
    return [
        "--runner=DataflowRunner",
        f"--project={vertex.project}",
        f"--region={vertex.region}",
        f"--temp_location={temporary}/temp",
        f"--staging_location={temporary}/staging",
        f"--sdk_container_image={settings.image or vertex.image}",
        "--sdk_location=container",
        "--no_save_main_session",
        "--experiments=use_runner_v2",
        f"--worker_machine_type={settings.machine}",
        f"--max_num_workers={settings.max_workers}",
        *_account_and_network(settings, vertex),
        *([f"--disk_size_gb={settings.disk_gb}"] if settings.disk_gb else []),
        *(["--flexrs_goal=COST_OPTIMIZED"] if settings.flexrs else []),
        *(f"--labels={name}={value}" for name, value in {"pipeline": config.name, **vertex.labels}.items()),
        *_options(settings.options),
    ]


def node_args(node_id: str, settings: Dataflow) -> list[str]:
    """Returns the arguments of one step, which override those of all steps."""
    machine = settings.machines.get(node_id)
    return [f"--labels=node={node_id.lower()}", *([f"--worker_machine_type={machine}"] if machine else [])]


def bigquery_args(config: Config) -> list[str]:
    """Returns the arguments of a step that reads BigQuery without Dataflow: billed project and folder for rows."""
    vertex = config.vertex
    return [
        f"--project={vertex.project}",
        f"--temp_location={vertex.bucket}/{config.name}/beam/temp",
        *([f"--dataflow_kms_key={vertex.encryption_key}"] if vertex.encryption_key else []),
    ]


def _account_and_network(settings: Dataflow, vertex: Vertex) -> Iterator[str]:
    """Service account, encryption key and network of the workers."""
    if vertex.service_account:
        yield f"--service_account_email={vertex.service_account}"
    if vertex.encryption_key:
        yield f"--dataflow_kms_key={vertex.encryption_key}"
    if settings.subnetwork:
        yield f"--subnetwork={settings.subnetwork}"
    elif vertex.network:
        yield f"--network={vertex.network.rpartition('/')[2]}"  # Dataflow wants only the name
    if not settings.public_ips:
        yield "--no_use_public_ips"


def _options(options: dict[str, str | int | bool]) -> Iterator[str]:
    known = PipelineOptions([]).get_all_options()
    for name, value in options.items():
        if name not in known:
            raise ConfigError(unknown_name(f"dataflow.options.{name}", "Beam option", name, known))
        if name in SETTINGS:
            raise ConfigError(f"dataflow.options.{name}: found '{value}'; set {SETTINGS[name]} instead")
        if not isinstance(value, bool):
            yield f"--{name}={value}"
        elif value != bool(known[name]):  # a Beam flag inverts the default
            yield f"--{name}" if value else f"--no_{name}"
