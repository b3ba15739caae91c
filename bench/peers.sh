#!/usr/bin/env bash
# Installs the gateways that bench/gateway.sh measures beside tiergate, from PyPI and npm, at the
# newest versions that install and work.
#
#     bench/peers.sh FOLDER
#     PEERS=FOLDER bench/gateway.sh > bench/runs/DATE/gateway-peers.jsonl
#
# It needs python3 with venv, node and npm. A peer that doesn't install is left out, and said so.
set -euo pipefail
mkdir -p "$1"
cd "$1"

# LiteLLM asks for a certifi that PyPI doesn't have, so its other requirements are installed by name.
litellm() {
    python3 -m venv litellm
    litellm/bin/pip install --quiet --no-deps litellm==1.108.0
    litellm/bin/python - >litellm.txt <<'PY'
import importlib.metadata
from pip._vendor.packaging.requirements import Requirement

for requirement in map(Requirement, importlib.metadata.requires("litellm")):
    marker = requirement.marker
    wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", "proxy"))
    if wanted and requirement.name != "certifi":
        requirement.marker = None
        print(requirement)
print("certifi>=2026.10.18")
PY
    litellm/bin/pip install --quiet --requirement litellm.txt
}

# Newer versions of the two libraries in `overrides` break its streams.
portkey() {
    mkdir -p portkey
    cat >portkey/package.json <<'JSON'
{
  "dependencies": { "@portkey-ai/gateway": "1.15.2" },
  "overrides": { "@hono/node-server": "1.13.5", "hono": "4.9.7" }
}
JSON
    (cd portkey && npm install --silent)
}

tensorzero() {
    python3 -m venv tensorzero
    tensorzero/bin/pip install --quiet tensorzero==2026.6.0
}

for peer in litellm portkey tensorzero; do
    # In a shell of its own, where a failing step ends it: in a condition none would.
    if (export -f "$peer" && bash -euo pipefail -c "$peer"); then
        echo "$peer: installed"
    else
        rm -rf "$peer"
        echo "$peer: did not install, left out" >&2
    fi
done
