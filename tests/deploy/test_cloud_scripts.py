"""deploy/project.sh and deploy/scheduler/schedule.sh call gcloud as documented, and nothing more."""

import json
import shlex
from pathlib import Path

import pytest
from fake_gcloud import Machine, option

PROJECT, SCHEDULE = "deploy/project.sh", "deploy/scheduler/schedule.sh"
KEY = "projects/keys/locations/europe-west4/keyRings/ring/cryptoKeys/key"
PLACE = ("--project", "my-project", "--region", "europe-west4")
NEEDED = (*PLACE, "--bucket", "gs://my-bucket")
EVERYTHING = (*NEEDED, "--dataflow", "--bigquery", "--encryption-key", KEY, "--submitter", "user:ada@example.com")
RUNS, BUILDS = (f"serviceAccount:{name}@my-project.iam.gserviceaccount.com" for name in ("onegraph", "onegraph-build"))
ADA = "user:ada@example.com"
SMALLEST = {
    ("projects", "my-project", RUNS, "roles/aiplatform.user"),
    ("projects", "my-project", BUILDS, "roles/logging.logWriter"),
    ("iam", RUNS.partition(":")[2], RUNS, "roles/iam.serviceAccountUser"),
    ("artifacts", "onegraph", RUNS, "roles/artifactregistry.reader"),
    ("artifacts", "onegraph", BUILDS, "roles/artifactregistry.writer"),
    ("storage", "gs://my-bucket", RUNS, "roles/storage.objectAdmin"),
    ("storage", "gs://my-bucket", RUNS, "roles/storage.legacyBucketReader"),
    ("storage", "gs://my-bucket", BUILDS, "roles/storage.objectViewer"),
}
AGENTS = ("gcp-sa-aiplatform", "gs-project-accounts", "dataflow-service-producer-prod", "compute-system")
MORE = {
    *(("projects", "my-project", RUNS, f"roles/dataflow.{role}") for role in ("developer", "worker")),
    *(("projects", "my-project", RUNS, f"roles/bigquery.{role}") for role in ("user", "dataViewer")),
    ("projects", "my-project", ADA, "roles/aiplatform.user"),
    ("iam", RUNS.partition(":")[2], ADA, "roles/iam.serviceAccountUser"),
    *(
        (
            "kms",
            KEY,
            f"serviceAccount:service-1234@{agent}.iam.gserviceaccount.com",
            "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        )
        for agent in AGENTS
    ),
}
CREATED = {("service-accounts", "onegraph"), ("service-accounts", "onegraph-build")} | {
    ("repositories", "onegraph"),
    ("buckets", "gs://my-bucket"),
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.json"
    path.write_text(json.dumps({"displayName": "taxi", "pipelineSpec": {"root": {}}, "runtimeConfig": {}}))
    return path


def granted(calls: list[list[str]]) -> list[tuple[str, str, str, str]]:
    """Kind and name of the resource, member and role of each grant."""
    granting = [(call, call.index("add-iam-policy-binding")) for call in calls if "add-iam-policy-binding" in call]
    return [(call[0], call[at + 1], option(call, "--member"), option(call, "--role")) for call, at in granting]


def created(calls: list[list[str]]) -> set[tuple[str, str]]:
    making = [call for call in calls if "create" in call and "identity" not in call]
    return {(call[1], call[call.index("create") + 1]) for call in making}


def test_a_project_gets_what_is_needed_and_no_further_role(machine: Machine) -> None:
    result = machine.run(PROJECT, *NEEDED)
    assert (result.returncode, result.stderr) == (0, "")
    calls = machine.calls()
    assert created(calls) == CREATED
    assert sorted(granted(calls)) == sorted(SMALLEST)
    assert calls[0][:2] == ["services", "enable"]
    names = {word for word in calls[0] if word.endswith(".googleapis.com")}
    assert {"aiplatform.googleapis.com", "storage.googleapis.com", "artifactregistry.googleapis.com"} <= names
    assert not names & {"dataflow.googleapis.com", "bigquery.googleapis.com", "cloudkms.googleapis.com"}
    [bucket] = [call for call in calls if call[:3] == ["storage", "buckets", "create"]]
    assert {"--uniform-bucket-level-access", "--public-access-prevention"} <= set(bucket)
    assert {option(call, "--location") for call in calls if "create" in call and "--location" in call} == {
        "europe-west4"
    }
    # Every call names the project. A grant on a bucket names it in the member, a grant on a key in the key.
    assert all("my-project" in " ".join(call) for call in calls if call[:3] != ["storage", "buckets", "describe"])
    assert "europe-west4-docker.pkg.dev/my-project/onegraph" in result.stdout


def test_temporary_files_in_the_bucket_are_deleted_after_a_week(machine: Machine) -> None:
    machine.run(PROJECT, *NEEDED)
    [rules] = [json.loads(body)["rule"] for body in machine.bodies()]
    assert rules == [
        {"action": {"type": "Delete"}, "condition": {"age": 7, "matchesPrefix": ["temp/", "build/"]}},
    ]


def test_an_existing_bucket_keeps_its_own_rules(machine: Machine) -> None:
    (machine.state / "storage-buckets-my-bucket").touch()
    assert machine.run(PROJECT, *NEEDED).returncode == 0
    assert machine.bodies() == []


def test_dataflow_bigquery_a_key_and_submitters_get_their_roles(machine: Machine) -> None:
    assert machine.run(PROJECT, *EVERYTHING).returncode == 0
    calls = machine.calls()
    assert sorted(granted(calls)) == sorted(SMALLEST | MORE)
    assert {"dataflow.googleapis.com", "bigquery.googleapis.com", "cloudkms.googleapis.com"} <= set(calls[0])
    assert [option(call, "--default-encryption-key") for call in calls if "--default-encryption-key" in call] == [KEY]


def test_a_second_call_creates_nothing_and_grants_the_same(machine: Machine) -> None:
    assert machine.run(PROJECT, *EVERYTHING).returncode == 0
    first = machine.calls()
    assert machine.run(PROJECT, *EVERYTHING).returncode == 0
    second = machine.calls()[len(first) :]
    assert created(second) == set()
    assert granted(second) == granted(first)


def test_a_dry_run_prints_the_commands_of_a_first_call(tmp_path: Path, machine: Machine) -> None:
    dry = Machine(tmp_path / "dry", gcloud=False)
    printed = dry.run(PROJECT, *EVERYTHING, "--dry-run")
    assert (printed.returncode, printed.stderr) == (0, "")
    machine.run(PROJECT, *EVERYTHING)
    done = [["gcloud", *call] for call in machine.calls() if "describe" not in call]
    numbered = printed.stdout.replace("PROJECT_NUMBER", "1234")
    assert [shlex.split(line) for line in numbered.splitlines()] == done


def test_it_stops_when_gcloud_fails(machine: Machine) -> None:
    machine.refuse("iam.serviceAccountUser")
    result = machine.run(PROJECT, *NEEDED)
    assert result.returncode == 1
    assert option(machine.calls()[-1], "--role") == "roles/iam.serviceAccountUser"
    machine.refuse("nothing")
    assert machine.run(PROJECT, *NEEDED).returncode == 0, "the next call continues"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "found no --project; expected one, such as my-project"),
        (PLACE, "found no --bucket; expected one, such as gs://my-bucket"),
        ((*PLACE, "--bucket", "my-bucket"), "--bucket: found 'my-bucket'; expected a value such as gs://my-bucket"),
        ((*NEEDED, "--region", "Europe"), "--region: found 'Europe'; expected a value such as europe-west4"),
        ((*NEEDED, "--submitter", "ada"), "--submitter: found 'ada'; expected a value such as user:ada@example.com"),
        ((*NEEDED, "--account"), "--account: found no value; expected one after it"),
        ((*NEEDED, "--bigtable"), "found '--bigtable'; expected an option listed by --help"),
        ((*NEEDED, "--encryption-key", "key"), "--encryption-key: found 'key'; expected a value such as projects/"),
    ],
)
def test_wrong_arguments_end_in_one_line_before_any_call(
    machine: Machine, arguments: tuple[str, ...], message: str
) -> None:
    result = machine.run(PROJECT, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"project.sh: {message}")
    assert result.stderr.count("\n") == 1
    assert machine.calls() == []


@pytest.mark.parametrize("script", [PROJECT, SCHEDULE])
def test_help_names_every_option(machine: Machine, script: str) -> None:
    printed = machine.run(script, "--help").stdout
    text = (Path(__file__).resolve().parents[2] / script).read_text()
    [options] = [line for line in text.splitlines() if line.strip().startswith("--project |")]
    for name in options.strip().rstrip(") ;").split(" | "):
        assert f"{name} " in printed, name


def test_a_missing_gcloud_ends_in_one_line(tmp_path: Path, compiled: Path) -> None:
    bare = Machine(tmp_path / "bare", gcloud=False)
    for script, arguments in ((PROJECT, NEEDED), (SCHEDULE, schedule(compiled))):
        result = bare.run(script, *arguments)
        assert result.returncode == 2
        assert "found no gcloud on the PATH; expected the Google Cloud CLI: install it" in result.stderr
        assert result.stderr.count("\n") == 1


def schedule(compiled: Path, *more: str) -> tuple[str, ...]:
    account = RUNS.partition(":")[2]
    return (*PLACE, "--pipeline", str(compiled), "--account", account, "--cron", "0 3 * * *", *more)


def test_the_scheduler_posts_the_compiled_pipeline_as_the_runs_account(machine: Machine, compiled: Path) -> None:
    network = "projects/1234/global/networks/runs"
    result = machine.run(SCHEDULE, *schedule(compiled, "--network", network, "--encryption-key", KEY))
    assert (result.returncode, result.stderr) == (0, "")
    call = machine.calls()[-1]
    assert call[:5] == ["scheduler", "jobs", "create", "http", "taxi"]
    address = "https://europe-west4-aiplatform.googleapis.com/v1/projects/my-project/locations/europe-west4"
    assert option(call, "--uri") == f"{address}/pipelineJobs"
    assert (option(call, "--schedule"), option(call, "--time-zone")) == ("0 3 * * *", "Etc/UTC")
    assert option(call, "--oauth-service-account-email") == RUNS.partition(":")[2]
    assert option(call, "--headers") == "Content-Type=application/json"
    [body] = machine.bodies()
    assert json.loads(body) == {
        **json.loads(compiled.read_text()),
        "serviceAccount": RUNS.partition(":")[2],
        "network": network,
        "encryptionSpec": {"kmsKeyName": KEY},
    }


def test_a_second_schedule_with_a_name_replaces_the_first(machine: Machine, compiled: Path) -> None:
    for cron in ("0 3 * * *", "0 4 * * *"):
        assert machine.run(SCHEDULE, *schedule(compiled, "--cron", cron)).returncode == 0
    call = machine.calls()[-1]
    assert call[:5] == ["scheduler", "jobs", "update", "http", "taxi"]
    assert option(call, "--schedule") == "0 4 * * *"
    assert option(call, "--update-headers") == "Content-Type=application/json"
    assert "network" not in json.loads(machine.bodies()[-1])
    assert not list(machine.state.parent.glob("tmp.*")), "the request's folder is removed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "found no pipelineSpec in"),
        ("[]", "found no pipelineSpec in"),
        ("{", "is not JSON"),
        (json.dumps({"pipelineSpec": "x" * 1_000_000}), "the limit of Cloud Scheduler"),
        (json.dumps({"pipelineSpec": {}}), "found no --name; expected one, such as taxi"),
    ],
)
def test_a_file_that_vertex_ai_would_refuse_is_refused_here(
    machine: Machine, compiled: Path, text: str, message: str
) -> None:
    compiled.write_text(text)
    result = machine.run(SCHEDULE, *schedule(compiled))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr
    assert machine.calls() == []


def test_a_schedule_of_four_fields_is_refused(machine: Machine, compiled: Path) -> None:
    result = machine.run(SCHEDULE, *schedule(compiled, "--cron", "0 3 * *"))
    assert (result.returncode, machine.calls()) == (2, [])
    assert result.stderr == "schedule.sh: --cron: found '0 3 * *'; expected a value such as '0 3 * * *'\n"
