#!/usr/bin/env bash
# Stands for the service: `create.sh EMAIL PLAN SEATS` makes an account, `create.sh --remove EMAIL` takes it away.
set -euo pipefail

if [ "$1" = --remove ]; then
  rm -f "accounts/${2//\//_}"
  exit
fi
mkdir -p accounts
# The key names the request: the same account is not made twice when this is tried again.
echo "$GITCKPT_IDEMPOTENCY_KEY $1 $2 $3" > "accounts/${1//\//_}"
echo "created $1 on $2, $3 seats"
