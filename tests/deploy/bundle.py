"""Makes an unpacked image as strict as the Helm chart runs it: bundle.py CONFIG VOLUME"""
import json
import sys

path, volume = sys.argv[1:]
config = json.load(open(path))
process = config["process"]
assert process["user"] == {"uid": 10001, "gid": 10001}, process["user"]
config["root"]["readonly"] = True
process["terminal"] = False
process["noNewPrivileges"] = True
process["capabilities"] = {kind: [] for kind in process["capabilities"]}
bind = {"destination": "/data", "type": "bind", "source": volume, "options": ["rbind", "rw"]}
config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] not in ("/data", "/sys/fs/cgroup")] + [bind]
json.dump(config, open(path, "w"))
