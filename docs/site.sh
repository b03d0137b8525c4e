#!/bin/sh
# Makes the site of documents in target/site: the book, and beside it the files of the repository that its pages link to.
set -eu
cd "$(dirname "$0")/.."
rm -rf target/site
mdbook build docs
for beside in examples tests/examples deploy conf; do
  [ -e "$beside" ] || continue
  mkdir -p "target/site/$(dirname "$beside")"
  cp -r "$beside" "target/site/$beside"
done
rm -f target/site/docs/book.toml target/site/docs/site.sh
echo "target/site/docs/index.html"
