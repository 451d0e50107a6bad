#!/usr/bin/env bash
# Creates a Cloud Scheduler job that starts a compiled pipeline. Running it again updates the job.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: deploy/scheduler/schedule.sh --project ID --region REGION --pipeline FILE --account EMAIL --cron FIELDS [options]

  --pipeline FILE         file written by vertex_runner.py compile
  --account EMAIL         service account that starts the run and that the run acts as
  --cron FIELDS           schedule in five fields, such as '0 3 * * *'
  --time-zone ZONE        time zone of the schedule (default: Etc/UTC)
  --name NAME             name of the job (default: the pipeline's display name)
  --network NAME          as vertex.network: projects/…/global/networks/…
  --encryption-key NAME   as vertex.encryption_key: projects/…/locations/…/keyRings/…/cryptoKeys/…
  --dry-run               print the commands without running them
TEXT
}

fail() {
  echo "schedule.sh: $1" >&2
  exit 2
}

check() { # option value pattern example
  [[ -n $2 ]] || fail "found no $1; expected one, such as $4"
  [[ $2 =~ ^$3$ ]] || fail "$1: found '$2'; expected a value such as $4"
}

project="" region="" pipeline="" account="" cron="" zone=Etc/UTC name="" network="" key="" dry_run=false

while (($#)); do
  option=$1 && shift
  case $option in
    --help) usage && exit 0 ;;
    --dry-run) dry_run=true && continue ;;
    --project | --region | --pipeline | --account | --cron | --time-zone | --name | --network | --encryption-key) ;;
    *) fail "found '$option'; expected an option listed by --help" ;;
  esac
  (($#)) || fail "$option: found no value; expected one after it"
  value=$1 && shift
  case $option in
    --project) project=$value ;;
    --region) region=$value ;;
    --pipeline) pipeline=$value ;;
    --account) account=$value ;;
    --cron) cron=$value ;;
    --time-zone) zone=$value ;;
    --name) name=$value ;;
    --network) network=$value ;;
    --encryption-key) key=$value ;;
  esac
done

check --project "$project" '[a-z][a-z0-9-]{4,28}[a-z0-9]' my-project
check --region "$region" '[a-z]+-[a-z]+[0-9]+' europe-west4
check --account "$account" '[^@ ]+@[^@ ]+' onegraph@my-project.iam.gserviceaccount.com
check --cron "$cron" '([^ ]+ ){4}[^ ]+' "'0 3 * * *'"
[[ -n $pipeline ]] || fail "found no --pipeline; expected one, such as pipeline.json"
[[ -f $pipeline ]] || fail "--pipeline: found no file $pipeline; expected one written by vertex_runner.py compile"
command -v python3 > /dev/null || fail "found no python3 on the PATH, which writes the request: install it"
$dry_run || command -v gcloud > /dev/null || fail "found no gcloud on the PATH; expected the Google Cloud CLI: install it"

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
body=$folder/body.json
# The compiled file does not name the account. vertex_runner.py submit adds the same fields.
python3 - "$pipeline" "$account" "$network" "$key" > "$body" 2> "$folder/error" <<'PYTHON' || fail "$(tail -1 "$folder/error")"
import json
import sys

path, account, network, key = sys.argv[1:]
try:
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
except ValueError as error:
    sys.exit(f"--pipeline: {path} is not JSON ({error}); expected a file written by vertex_runner.py compile")
if not isinstance(job, dict) or "pipelineSpec" not in job:
    sys.exit(f"--pipeline: found no pipelineSpec in {path}; expected a file written by vertex_runner.py compile")
job["serviceAccount"] = account
if network:
    job["network"] = network
if key:
    job["encryptionSpec"] = {"kmsKeyName": key}
print(json.dumps(job, separators=(",", ":")))
PYTHON
bytes=$(wc -c < "$body")
((bytes < 1000000)) || fail "--pipeline: found $bytes bytes; expected fewer than 1000000, the limit of Cloud Scheduler"
[[ -n $name ]] || name=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get("displayName", ""))' "$body")
check --name "$name" '[A-Za-z0-9_-]{1,500}' taxi

run() {
  if $dry_run; then
    printf '%q ' gcloud "$@" | sed 's/ $//'
    echo
  else
    gcloud "$@" --quiet > /dev/null
  fi
}

place=(--project "$project" --location "$region")
verb=create headers=--headers
run services enable cloudscheduler.googleapis.com --project "$project"
if ! $dry_run && gcloud scheduler jobs describe "$name" "${place[@]}" > /dev/null 2>&1; then
  verb=update headers=--update-headers
fi
run scheduler jobs "$verb" http "$name" "${place[@]}" \
  --schedule "$cron" --time-zone "$zone" --http-method post \
  --uri "https://$region-aiplatform.googleapis.com/v1/projects/$project/locations/$region/pipelineJobs" \
  --message-body-from-file "$body" "$headers" Content-Type=application/json \
  --oauth-service-account-email "$account" --oauth-token-scope https://www.googleapis.com/auth/cloud-platform
