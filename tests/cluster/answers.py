"""Asking a cluster's Services as its users do: by address, by port of the node, and by name."""

import json
import secrets
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from mlops_infra.node import ClusterInfo
from mlops_infra.node.cgroups import ClusterCgroups
from tests.cluster.conftest import Kubectl

NODE_PORT = 30080

# A server with a volume, and the Service that leads to it
APP = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: BUSYBOX
      imagePullPolicy: Never
      command:
        - sh
        - -c
        - |
          echo started >> /data/starts
          until nslookup kubernetes.default.svc.cluster.local > /data/dns 2>&1; do sleep 0.5; done
          exec httpd -f -p 8080 -h /data
      readinessProbe: {httpGet: {path: /starts, port: 8080}, periodSeconds: 1}
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
"""

# A Pod that writes into a volume of its own, and ends
_TRIAL = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  containers:
    - name: trial
      image: BUSYBOX
      imagePullPolicy: Never
      command: [sh, -c, "nslookup web.default.svc.cluster.local > /data/found"]
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: NAME}}]
"""


def await_true(question: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def fetch(address: str, path: str, *, seconds: float = 30) -> str:
    """What the Pod's web server answers; retried while kube-proxy catches up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/{path}", timeout=3) as response:
                return str(response.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def resolve(name: str, server: str, *, seconds: float = 30) -> str:
    """The address of a name, asked of the cluster's DNS Service by UDP."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = labels + b"\0" + struct.pack("!HH", 1, 1)
    deadline = time.monotonic() + seconds
    while True:
        request = struct.pack("!HHHHHH", secrets.randbits(16), 0x0100, 1, 0, 0, 0) + question
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            try:
                client.sendto(request, (server, 53))
                answer = client.recv(512)
            except OSError:
                answer = b"\0" * 12
        if answer[:2] == request[:2] and struct.unpack("!H", answer[6:8]) != (0,):
            return socket.inet_ntoa(answer[-4:])
        assert time.monotonic() < deadline, f"{server} does not know {name}"
        time.sleep(0.3)


def service_elements(name: str) -> dict[str, list[str]]:
    """The elements of kube-proxy's maps of Services, as `nft` prints them."""
    first = ClusterCgroups.of(name).first_process()
    found = {}
    for kind in ("service-ips", "service-nodeports"):
        argv = ["nsenter", "--net", "--target", str(first), "nft", "-j", "list", "map", "ip"]
        done = subprocess.run(
            [*argv, "kube-proxy", kind], capture_output=True, text=True, check=False
        )
        entries = json.loads(done.stdout)["nftables"] if done.returncode == 0 else []
        (elements,) = [entry["map"].get("elem", []) for entry in entries if "map" in entry] or [[]]
        found[kind] = sorted(json.dumps(element) for element in elements)
    return found


def everything_answers(cluster: ClusterInfo, control: Kubectl, busybox: str) -> None:
    """Ask the Service by its address, port and name, and make a Pod with a volume of its own."""
    address = control("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert fetch(address, "starts").startswith("started\n")
    assert fetch(f"{cluster.node_address}:{NODE_PORT}", "starts").startswith("started\n")
    server = control(
        "--namespace=kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}"
    )
    assert resolve("web.default.svc.cluster.local", server) == address
    name = f"trial-{secrets.token_hex(3)}"
    control("apply", "-f", "-", stdin=_TRIAL.replace("NAME", name).replace("BUSYBOX", busybox))
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    control("wait", ended, f"pod/{name}", "--timeout=90s")
    (file,) = Path(cluster.state_folder, "volumes").glob(f"*_{name}/found")
    assert address in file.read_text()
    control("delete", "pod", name, "--wait=true", "--timeout=60s")
    control("delete", "pvc", name, "--wait=true", "--timeout=60s")
    await_true(
        lambda: not list(Path(cluster.state_folder, "volumes").glob(f"*_{name}")), seconds=60
    )


def processes(name: str, program: str) -> frozenset[int]:
    """Return the host's ids of the processes of a cluster that run a program."""
    found = set()
    for pid in ClusterCgroups.of(name).processes():
        try:
            # The kernel keeps this many characters of a program's name.
            if Path(f"/proc/{pid}/comm").read_text().strip() == program[:15]:
                found.add(pid)
        except OSError:
            continue
    return frozenset(found)
