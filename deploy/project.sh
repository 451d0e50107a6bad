#!/usr/bin/env bash
# Sets up a Google Cloud project for the pipeline. Running it again changes nothing.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: deploy/project.sh --project ID --region REGION --bucket gs://NAME [options]

  --repository NAME       Artifact Registry repository for the images (default: onegraph)
  --account NAME          service account that runs act as (default: onegraph)
  --submitter MEMBER      member that may start runs, such as user:ada@example.com (repeatable)
  --dataflow              allow runs to start Dataflow jobs
  --bigquery              allow runs to read the project's tables
  --encryption-key NAME   existing key that encrypts stored data, projects/…/locations/…/keyRings/…/cryptoKeys/…
  --dry-run               print the commands without running them
TEXT
}

fail() {
  echo "project.sh: $1" >&2
  exit 2
}

check() { # option value pattern example
  [[ -n $2 ]] || fail "found no $1; expected one, such as $4"
  [[ $2 =~ ^$3$ ]] || fail "$1: found '$2'; expected a value such as $4"
}

project="" region="" bucket="" repository=onegraph account=onegraph key="" dry_run=false
submitters=()
services=(aiplatform artifactregistry cloudbuild compute iam logging storage)
roles=(roles/aiplatform.user)

while (($#)); do
  option=$1 && shift
  case $option in
    --help) usage && exit 0 ;;
    --dry-run) dry_run=true && continue ;;
    # The workers act as the same account. Starting a job needs the developer role.
    --dataflow) services+=(dataflow) roles+=(roles/dataflow.developer roles/dataflow.worker) && continue ;;
    # Not jobUser: that role cannot create the temporary dataset in which Beam stores query results.
    --bigquery) services+=(bigquery bigquerystorage) roles+=(roles/bigquery.user roles/bigquery.dataViewer) && continue ;;
    --project | --region | --bucket | --repository | --account | --submitter | --encryption-key) ;;
    *) fail "found '$option'; expected an option listed by --help" ;;
  esac
  (($#)) || fail "$option: found no value; expected one after it"
  value=$1 && shift
  case $option in
    --project) project=$value ;;
    --region) region=$value ;;
    --bucket) bucket=$value ;;
    --repository) repository=$value ;;
    --account) account=$value ;;
    --submitter) submitters+=("$value") ;;
    --encryption-key) key=$value && services+=(cloudkms) ;;
  esac
done

check --project "$project" '[a-z][a-z0-9-]{4,28}[a-z0-9]' my-project
check --region "$region" '[a-z]+-[a-z]+[0-9]+' europe-west4
check --bucket "$bucket" 'gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]' gs://my-bucket
check --repository "$repository" '[a-z]([a-z0-9-]{0,61}[a-z0-9])?' onegraph
check --account "$account" '[a-z][a-z0-9-]{4,22}[a-z0-9]' onegraph
for submitter in "${submitters[@]}"; do
  check --submitter "$submitter" '(user|group|serviceAccount):[^@ ]+@[^@ ]+' user:ada@example.com
done
[[ -z $key ]] || check --encryption-key "$key" 'projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+' \
  "projects/my-project/locations/europe-west4/keyRings/my-ring/cryptoKeys/my-key"
$dry_run || command -v gcloud > /dev/null || fail "found no gcloud on the PATH; expected the Google Cloud CLI: install it"

email=$account@$project.iam.gserviceaccount.com
build_email=$account-build@$project.iam.gserviceaccount.com

run() {
  if $dry_run; then
    printf '%q ' gcloud "$@" | sed 's/ $//'
    echo
  else
    gcloud "$@" --quiet > /dev/null
  fi
}

# Creates a resource unless it exists, and sets $made to true if it did. Arguments: DESCRIBE COMMAND or CREATE COMMAND.
make() {
  local describe=()
  made=false
  while [[ $1 != or ]]; do describe+=("$1") && shift; done
  shift
  if ! $dry_run && gcloud "${describe[@]}" > /dev/null 2>&1; then
    return
  fi
  made=true
  run "$@"
}

step() { $dry_run || echo "project.sh: $1"; }

step "enabling the APIs"
run services enable "${services[@]/%/.googleapis.com}" --project "$project"

step "creating the service accounts $email, which runs the steps, and $build_email, which builds the images"
make iam service-accounts describe "$email" --project "$project" \
  or iam service-accounts create "$account" --project "$project" --display-name "onegraph: runs"
make iam service-accounts describe "$build_email" --project "$project" \
  or iam service-accounts create "$account-build" --project "$project" --display-name "onegraph: builds images"
for role in "${roles[@]}"; do
  run projects add-iam-policy-binding "$project" --member "serviceAccount:$email" --role "$role" --condition None
done
run projects add-iam-policy-binding "$project" --member "serviceAccount:$build_email" \
  --role roles/logging.logWriter --condition None
# A step starts jobs and Dataflow workers that act as the same account.
run iam service-accounts add-iam-policy-binding "$email" --project "$project" \
  --member "serviceAccount:$email" --role roles/iam.serviceAccountUser --condition None

step "creating the image repository"
make artifacts repositories describe "$repository" --project "$project" --location "$region" \
  or artifacts repositories create "$repository" --project "$project" --location "$region" --repository-format docker
run artifacts repositories add-iam-policy-binding "$repository" --project "$project" --location "$region" \
  --member "serviceAccount:$email" --role roles/artifactregistry.reader
run artifacts repositories add-iam-policy-binding "$repository" --project "$project" --location "$region" \
  --member "serviceAccount:$build_email" --role roles/artifactregistry.writer

step "creating the bucket"
make storage buckets describe "$bucket" --project "$project" \
  or storage buckets create "$bucket" --project "$project" --location "$region" \
  --uniform-bucket-level-access --public-access-prevention
# On an existing bucket this would replace the owner's rules.
! $made || run storage buckets update "$bucket" --project "$project" \
  --lifecycle-file "$(dirname "${BASH_SOURCE[0]}")/lifecycle.json"
run storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$email" --role roles/storage.objectAdmin
# TensorFlow reads the bucket's metadata before it creates a folder in it.
run storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$email" \
  --role roles/storage.legacyBucketReader
run storage buckets add-iam-policy-binding "$bucket" --member "serviceAccount:$build_email" \
  --role roles/storage.objectViewer

for submitter in "${submitters[@]}"; do
  step "allowing $submitter to start runs"
  run projects add-iam-policy-binding "$project" --member "$submitter" --role roles/aiplatform.user --condition None
  run iam service-accounts add-iam-policy-binding "$email" --project "$project" \
    --member "$submitter" --role roles/iam.serviceAccountUser --condition None
done

if [[ -n $key ]]; then
  step "granting the services access to the key"
  number=PROJECT_NUMBER
  $dry_run || number=$(gcloud projects describe "$project" --format 'value(projectNumber)')
  # Vertex AI creates its account on the first call, but the key has to be granted before.
  run beta services identity create --service aiplatform.googleapis.com --project "$project"
  agents=("service-$number@gcp-sa-aiplatform.iam" "service-$number@gs-project-accounts.iam")
  if [[ " ${services[*]} " == *" dataflow "* ]]; then
    agents+=("service-$number@dataflow-service-producer-prod.iam" "service-$number@compute-system.iam")
  fi
  for agent in "${agents[@]}"; do
    run kms keys add-iam-policy-binding "$key" --member "serviceAccount:$agent.gserviceaccount.com" \
      --role roles/cloudkms.cryptoKeyEncrypterDecrypter
  done
  run storage buckets update "$bucket" --project "$project" --default-encryption-key "$key"
fi
step "done: push images to $region-docker.pkg.dev/$project/$repository"
