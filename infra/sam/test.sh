#!/usr/bin/env bash
# test.sh checks the templates as AWS's own tools do, builds the functions by sam, and invokes one of them in a container.
# The last is skipped, with the reason, where no container engine can be had. `make test-sam` installs the tools and runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# No account: nothing here asks AWS.
export AWS_DEFAULT_REGION=eu-west-1 AWS_EC2_METADATA_DISABLED=true SAM_CLI_TELEMETRY=0
readonly image=public.ecr.aws/lambda/provided:al2023
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
  echo "== lint"
  .venv/bin/sam validate --lint
  .venv/bin/cfn-lint template.yaml infra/msk.yaml
  echo "== build"
  make --no-print-directory sam-build ARGS="--parameter-overrides Architecture=$(architecture)"
  check_binaries
  echo "== invoke"
  local code=0
  invoke >"$work/output" 2>&1 || code=$?
  cat "$work/output"
  if ((code == 69)); then
    echo "skipped: sam local invoke, $(tail -n 1 "$work/output")"
    return
  fi
  ((code == 0)) || fail "sam local invoke ended with $code"
  check_output
}

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

architecture() { if [[ $(uname -m) == aarch64 ]]; then echo arm64; else uname -m; fi; }

# check_binaries looks at what was built: it must run where nothing else is installed, and carry nothing that it does not need.
check_binaries() {
  local binary info flag
  for binary in .aws-sam/build/*/bootstrap; do
    info=$(go version -m "$binary")
    for flag in CGO_ENABLED=0 -tags=lambda.norpc -trimpath=true; do
      grep -q "build[[:space:]]*$flag\$" <<<"$info" || fail "$binary was built without $flag"
    done
    if go tool nm "$binary" 2>/dev/null | grep -q main.main; then fail "$binary is not stripped"; fi
  done
}

# invoke uses the engine that runs, or starts one.
invoke() {
  local command=(.venv/bin/sam local invoke OrderCreatedFunction -e functions/order-created/testdata/msk.json
    --parameter-overrides "Architecture=$(architecture)" --skip-pull-image)
  if ! docker version >/dev/null 2>&1; then
    infra/sam/engine.sh "${command[@]}"
    return
  fi
  local base
  base=$image-$(architecture)
  if ! docker image inspect "$base" >/dev/null 2>&1 && ! docker pull --quiet "$base"; then
    echo "the engine that runs has no $base and cannot pull it"
    return 69
  fi
  "${command[@]}"
}

# check_output looks for the answer, and for the event that the sample event leads to.
check_output() {
  local id
  id=$(sed -n 's/^  "id": "\(.*\)",$/\1/p' functions/order-created/testdata/requested.json)
  # sam writes the answer anew, with a space.
  grep -qE '^\{"batchItemFailures": ?\[\]\}$' "$work/output" || fail 'the answer is not {"batchItemFailures":[]}'
  (($(grep -cF "\"id\":\"$id\"" "$work/output") == 3)) || fail "event $id of requested.json was not emitted for each of the three records"
  echo "all three records are done, and each led to event $id"
}

main "$@"
