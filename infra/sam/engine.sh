#!/usr/bin/env bash
# engine.sh COMMAND… runs a command beside a Docker engine of its own, which has a stand-in for Lambda's base image: for
# machines that have no engine and may pull no image. Network, mounts and processes are in namespaces of their own, so that
# nothing is left when the command ends, however it ends.
#
# The stand-in is busybox and a script that starts /var/task/bootstrap. It shows that a build runs by itself; it is not
# Amazon's image.
#
# It ends with 69 and says why where no engine can run, else with the code of the command.
set -euo pipefail

readonly image=public.ecr.aws/lambda/provided:al2023

main() {
  if [[ ${1:-} == --inside ]]; then
    work=$2
    shift 2
    start
    import_image
    "$@"
    return
  fi
  check
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$work" "$@"
}

unavailable() {
  echo "no Docker engine can run here: $*" >&2
  exit 69
}

check() {
  ((EUID == 0)) || unavailable "it needs root"
  local tool
  for tool in dockerd docker busybox unshare ip; do
    command -v "$tool" >/dev/null || unavailable "$tool is not installed"
  done
  ldd "$(command -v busybox)" >/dev/null 2>&1 && unavailable "busybox is not a static one (Debian's busybox-static is)"
  unshare --net --mount --pid --fork --mount-proc true 2>/dev/null || unavailable "namespaces are not allowed"
}

start() {
  ip link set lo up
  # dockerd writes to both, wherever its data is.
  mkdir "$work/etc" "$work/etc.work"
  mount -t overlay -o "lowerdir=/etc,upperdir=$work/etc,workdir=$work/etc.work" overlay /etc ||
    unavailable "overlay file systems are not allowed"
  mount -t tmpfs tmpfs /run
  unset DOCKER_HOST DOCKER_CONTEXT
  dockerd --data-root "$work/data" --iptables=false --ip-masq=false >"$work/log" 2>&1 &
  local engine=$!
  for ((i = 0; i < 150; i++)); do
    docker version >/dev/null 2>&1 && return
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.2
  done
  unavailable "dockerd does not start: $(tail -n 1 "$work/log")"
}

import_image() {
  local root=$work/root
  mkdir -p "$root"/{bin,etc,tmp,var/runtime,var/task}
  cp "$(command -v busybox)" "$root/bin/busybox"
  ln -s busybox "$root/bin/sh"
  echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
  printf '#!/bin/sh\nexec /var/task/bootstrap\n' >"$root/var/runtime/bootstrap"
  chmod +x "$root/var/runtime/bootstrap"
  local tag
  for tag in "$image" "$image-$(uname -m | sed s/aarch64/arm64/)"; do
    tar -C "$root" -c . | docker import - "$tag" >/dev/null
  done
}

main "$@"
