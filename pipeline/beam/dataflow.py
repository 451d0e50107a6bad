"""Arguments that make Beam's steps run on Dataflow, and read BigQuery."""

from collections.abc import Iterator

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.config.beam import Dataflow
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.settings import Config
from pipeline.config.vertex import Vertex

# Options of Beam's that have a setting, which they would overrule: Beam takes the last that is given.
SETTINGS = {
    "runner": "the 'dataflow' block itself",
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
    """Arguments for all steps.

    The project's code is in the image of the workers, and so is Beam: nothing but the job's graph is staged. Without
    an image TFX would pack itself up, and Beam would pickle the step's main module, which is TFX's and no worker's.

    Args:
        config: All settings; those of ``vertex`` stand in for what is not set in ``dataflow``.
        settings: The ``dataflow`` block.

    Raises:
        ConfigError: An option that Beam does not have, or that has a setting.
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
        *_where(settings, vertex),
        *([f"--disk_size_gb={settings.disk_gb}"] if settings.disk_gb else []),
        *(["--flexrs_goal=COST_OPTIMIZED"] if settings.flexrs else []),
        *(f"--labels={name}={value}" for name, value in {"pipeline": config.name, **vertex.labels}.items()),
        *_options(settings.options),
    ]


def node_args(node_id: str, settings: Dataflow) -> list[str]:
    """Arguments for one step alone; they come behind those for all, and win."""
    machine = settings.machines.get(node_id)
    return [f"--labels=node={node_id.lower()}", *([f"--worker_machine_type={machine}"] if machine else [])]


def bigquery_args(config: Config) -> list[str]:
    """What a step that reads BigQuery needs where it does not run on Dataflow: who pays, and a place for the rows."""
    vertex = config.vertex
    return [
        f"--project={vertex.project}",
        f"--temp_location={vertex.bucket}/{config.name}/beam/temp",
        *([f"--dataflow_kms_key={vertex.encryption_key}"] if vertex.encryption_key else []),
    ]


def _where(settings: Dataflow, vertex: Vertex) -> Iterator[str]:
    """Whose the workers are, and in which network."""
    if vertex.service_account:
        yield f"--service_account_email={vertex.service_account}"
    if vertex.encryption_key:
        yield f"--dataflow_kms_key={vertex.encryption_key}"
    if settings.subnetwork:
        yield f"--subnetwork={settings.subnetwork}"
    elif vertex.network:
        yield f"--network={vertex.network.rpartition('/')[2]}"  # Dataflow takes the name alone
    if not settings.public_ips:
        yield "--no_use_public_ips"


def _options(options: dict[str, str | int | bool]) -> Iterator[str]:
    known = PipelineOptions([]).get_all_options()
    for name, value in options.items():
        if name not in known:
            raise ConfigError(unknown_name(f"dataflow.options.{name}", "option of Beam's", name, known))
        if name in SETTINGS:
            raise ConfigError(f"dataflow.options.{name}: found '{value}'; expected it elsewhere: in {SETTINGS[name]}")
        if not isinstance(value, bool):
            yield f"--{name}={value}"
        elif value != bool(known[name]):  # Beam's flags say what is not the default
            yield f"--{name}" if value else f"--no_{name}"
