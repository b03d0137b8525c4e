"""The broker's part of a rendered chart: writes its settings to a file, prints its arguments, one a line, as pod 0 has them."""
import re
import sys

import yaml

chart, settings = sys.argv[1:]
parts = [part for part in yaml.safe_load_all(open(chart)) if part]
config = next(part for part in parts if part["kind"] == "ConfigMap" and part["metadata"]["name"].endswith("-broker"))
broker = next(part for part in parts if part["kind"] == "StatefulSet" and part["metadata"]["name"].endswith("-broker"))
open(settings, "w").write(config["data"]["broker.conf"])
container = broker["spec"]["template"]["spec"]["containers"][0]
env = {one["name"]: one.get("value", broker["metadata"]["name"] + "-0") for one in container["env"]}
for arg in container["args"]:
    arg = re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], arg)
    print(settings if arg == "/etc/kerolox/broker.conf" else arg)
