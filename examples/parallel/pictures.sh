#!/usr/bin/env bash
# Three pictures.
set -euo pipefail

mkdir -p site
for n in 1 2 3; do
  sleep 0.1 # stands for work
  echo "<svg><circle r='$n'/></svg>" > "site/picture-$n.svg"
done
echo "pictures: 3" >> notes.txt
