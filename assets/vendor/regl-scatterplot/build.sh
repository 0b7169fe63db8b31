#!/bin/sh
# Makes regl-scatterplot.js and LICENSES.txt of this folder anew. Needs Node 20 and npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --ignore-scripts --no-audit --no-fund --no-save \
  regl-scatterplot@1.16.0 regl@2.1.1 pub-sub-es@3.0.0 kdbush@4.0.2 esbuild@0.28.2 >/dev/null
cat >entry.js <<'END'
export { default as createScatterplot } from "regl-scatterplot/dist/regl-scatterplot.esm.js";
END
node node_modules/esbuild/bin/esbuild entry.js --bundle --minify --format=iife --global-name=ReglScatterplot --target=es2020 \
  --legal-comments=none --banner:js="/* regl-scatterplot 1.16.0 and what it is made of; licences in LICENSES.txt */" \
  --outfile="$here/regl-scatterplot.js" --log-level=warning
{
  echo "regl-scatterplot.js holds the packages below. Their sources also carry the lines"
  echo '"The MIT License (MIT) Copyright (c) 2015 Matt DesLauriers" (drawing of lines) and'
  echo '"Vladimir Agafonkin 2013, BSD" (simplification of lines, from Leaflet).'
  for name in regl-scatterplot regl pub-sub-es regl-line dom-2d-camera camera-2d-simple gl-matrix @flekschas/utils earcut kdbush; do
    version=$(node -p "require('./node_modules/$name/package.json').version")
    printf '\n\n==== %s %s ====\n\n' "$name" "$version"
    cat "node_modules/$name"/LICENSE*
  done
  printf '\n\n==== line simplification from Leaflet ====\n\n'
  sed 's/^  //' "$here/leaflet-licence.txt"
} >"$here/LICENSES.txt"
sha256sum "$here/regl-scatterplot.js"
