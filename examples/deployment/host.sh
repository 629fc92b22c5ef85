#!/usr/bin/env bash
# Stands for a host: a folder. `deploy HOST VERSION` · `version HOST` · `health HOST`
# To try what goes wrong: a file `down` in a host's folder refuses a deployment, a file `sick` fails the health check.
set -euo pipefail

what=$1 host=$2
case $what in
  deploy)
    if [ -e "hosts/$host/down" ]; then
      echo "$host is down" >&2
      exit 1
    fi
    mkdir -p "hosts/$host"
    echo "$3" > "hosts/$host/version.new"
    mv "hosts/$host/version.new" "hosts/$host/version"
    echo "$host now has $3"
    ;;
  version)
    cat "hosts/$host/version" 2> /dev/null || echo v1.0.0
    ;;
  health)
    if [ -e "hosts/$host/sick" ]; then
      echo "$host is not well" >&2
      exit 1
    fi
    ;;
esac
