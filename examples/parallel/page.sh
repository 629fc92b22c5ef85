#!/usr/bin/env bash
# One page. It sees the files as they were when it began, and changes nothing but what it writes itself.
set -euo pipefail

name=$(basename "$1" .txt)
mkdir -p site
sleep 0.2 # stands for work
{ echo "<h1>$(head -n 1 "$1")</h1>"; tail -n +2 "$1"; } > "site/$name.html"
echo "page $name: $(wc -w < "$1") words" >> notes.txt
