#!/usr/bin/env bash
# The hosts given get $VERSION, and are looked at; with --back, what they had before. All of them or none: where one cannot
# be reached or is not well, those that were done go back, because nobody compensates what has failed.
set -euo pipefail

back() {
  for host in "$@"; do ./host.sh deploy "$host" "$(cat "before/$host")"; done
}

if [ "$1" = --back ]; then
  back "${@:2}"
  exit
fi
done=()
for host in "$@"; do
  if ! ./host.sh deploy "$host" "$VERSION"; then
    back "${done[@]}"
    exit 1
  fi
  done+=("$host")
  if ! ./host.sh health "$host"; then
    back "${done[@]}"
    exit 1
  fi
done
