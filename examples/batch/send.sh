#!/usr/bin/env bash
# Stands for a service that takes a request once: what comes again under the same key is no second request.
set -euo pipefail

key=$1
shift
mkdir -p service/accepted
echo "$key $*" >> service/calls.log
printf '%s\n' "$@" > "service/$key.part"
mv "service/$key.part" "service/accepted/$key"
