#!/usr/bin/env bash
# The hosts of one batch get $VERSION; with --back, what they had before. A batch is done as a whole: where one host
# cannot be reached, the others of the batch get back what they had, because nobody compensates a batch that failed.
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
done
