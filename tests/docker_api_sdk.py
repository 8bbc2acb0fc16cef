"""Looks at a fleet with the Python docker SDK, by DOCKER_HOST: what it finds is printed as one JSON object."""

import json
import time

import docker
import docker.errors

client = docker.from_env(version="auto")
found = {"api": client.api._version, "ping": client.ping(), "version": client.version()["Version"]}
found["names"] = sorted(container.name for container in client.containers.list(all=True))
found["running"] = sorted(c.name for c in client.containers.list(filters={"status": "running", "label": "tier"}))
lamp = client.containers.get("boat-1/lamp")
found["lamp"] = [lamp.name, lamp.status, lamp.attrs["Node"]["Name"]]
stats = lamp.stats(stream=False)
found["stats"] = [stats["name"], stats["cpu_stats"].get("online_cpus"), stats["memory_stats"].get("usage")]
found["hosts"] = client.info()["DriverStatus"][0]
past = client.events(
    since=1, until=int(time.time()), decode=True, filters={"container": "boat-1/lamp", "event": ["create", "start"]}
)
found["past"] = [event["Action"] for event in past]
try:
    lamp.stop()
except docker.errors.APIError as error:
    found["stop"] = [error.status_code, error.explanation]
try:
    client.containers.get("nothing")
except docker.errors.NotFound as error:
    found["missing"] = error.explanation
live = client.events(decode=True, filters={"type": "container", "node": "boat-1"})
print("ready", flush=True)
found["live"] = next(live)["Actor"]["Attributes"]["node.name"]
live.close()
print(json.dumps(found), flush=True)
