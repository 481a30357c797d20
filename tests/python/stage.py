"""What the tests stand on: Debian's mosquitto, and a node; ended with the tests that started them."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

BINARY = os.environ["CAMERA_NODE_BIN"]
ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = Path(os.environ["CAMERA_NODE_CACHE"]) / "artefacts/python"

# A picture that is cheap to encode and to decode.
NODE = """
[node]
id = "{id}"
name = "Porch"
[[camera]]
name = "front"
linger_s = 1
[camera.video]
source = "test-pattern"
width = 320
height = 180
fps = 30
[camera.h264]
bitrate_kbps = 500
[camera.audio]
source = "tone"
[http]
bind = "127.0.0.1:{http}"
[broker]
url = "mqtt://127.0.0.1:{broker}"
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, condition, within=15):
    """Asks until the answer is true, and gives it."""
    end = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


class Child:
    """A process whose output goes into a file."""

    def __init__(self, name, command):
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.log = ARTEFACTS / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def runs(self):
        return self.process.poll() is None

    def said(self):
        return self.log.read_text(errors="replace")

    def lines(self):
        """Its output; a line that is being written is none yet."""
        return self.said().split("\n")[:-1]

    def stop(self):
        """Asks it to end, and waits; gives its exit code."""
        if self.runs():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Broker:
    """mosquitto on a free port, where everyone may do everything."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        config = Path(self.folder.name) / "mosquitto.conf"
        # As root it would give up its rights, and with them this file. A flood must reach the node, so nothing is dropped.
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n"
            "max_queued_messages 0\nmax_inflight_messages 1000\n"
        )
        self.child = Child(f"mosquitto-{self.port}", ["mosquitto", "-c", str(config)])
        until("mosquitto listens", lambda: listens(self.port))

    def stop(self):
        self.child.stop()
        self.folder.cleanup()


class Node:
    """`camera-node run` at a broker; `more` is added to its config."""

    def __init__(self, broker, more="", name="porch"):
        self.id = name
        self.broker = broker
        self.http = free_port()
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        self.file.write(NODE.format(id=name, http=self.http, broker=broker.port) + more)
        self.file.flush()
        self.child = Child(f"node-{name}", [BINARY, "run", "--config", self.file.name])
        until("the node is at the broker", self.is_up)

    def is_up(self):
        assert self.child.runs(), self.child.said()
        return listens(self.http) and self.metric('camera_node_state{part="broker",state="live"}') == 1

    def metric(self, name):
        """A figure of /metrics; zero while there is none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as page:
            text = page.read().decode()
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", text)
        return float(found[1]) if found else 0

    def rss(self):
        """Bytes of memory that it really has."""
        status = Path(f"/proc/{self.child.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def stop(self):
        return self.child.stop()
