#!/usr/bin/env bash
# Here everything that was made side by side is there.
set -euo pipefail

{
  for page in site/*.html; do echo "<a href='$(basename "$page")'>$(basename "$page" .html)</a>"; done
  for picture in site/*.svg; do echo "<img src='$(basename "$picture")'>"; done
} > index.new
mv index.new site/index.html
