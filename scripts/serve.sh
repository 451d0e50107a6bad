#!/usr/bin/env bash
# Serves a pushed model with the tensorflow_model_server on the PATH, or with the embedded server and the same flags.
set -euo pipefail
cd "$(dirname "$0")/.."
model="${MODEL:-taxi}"
base="$(realpath -m "${BASE:-output/$model/serving/$model}")"
flags=("--model_name=$model" "--model_base_path=$base" "--port=${PORT:-8500}" "--rest_api_port=${REST_PORT:-8501}")
if ! compgen -G "$base/[0-9]*" > /dev/null; then
  echo "error: $base: found no version; expected one that a run pushed: run make run first, or set BASE=folder" >&2
  exit 2
fi
shown="$(printf ' %q' "${flags[@]}")" # so that you can paste it
if command -v tensorflow_model_server > /dev/null; then
  echo "tensorflow_model_server$shown"
  exec tensorflow_model_server "${flags[@]}"
fi
echo "python -m serving$shown (no tensorflow_model_server on the PATH)"
exec .venv/bin/python -m serving --address=127.0.0.1 "${flags[@]}"
