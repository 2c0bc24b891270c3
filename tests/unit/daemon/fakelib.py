# SPDX-License-Identifier: MIT
"""Runs the daemon's faces over a backend without a machine (fake_main.c)."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
FAKE = os.environ["PCIBACKD_FAKE"]
PCIBACKD = os.environ.get("PCIBACKD", "")
PLUGINS = os.environ.get("PCIBACKD_PLUGINS", "")
PCIBACKCTL = os.environ["PCIBACKCTL"]
ROOT = os.geteuid() == 0
PATIENCE_S = 20


def manifest(name, **more):
    """One quirk for the fake's nic."""
    quirk = {"id": name, "reason": "a test", "source": "https://example.org/",
             "match": {"vendor": "0x8086", "device": ["0x10d3"]},
             "fields": [{"at": "0x40", "size": 4, "write": "0xff", "why": "a test"}], **more}
    return json.dumps({"schema": 1, "quirks": [quirk]})


class Daemon:
    def __init__(self, config=None, arguments=(), env=None):
        self.dir = tempfile.mkdtemp(prefix="pcibackd-fake-")
        self.socket = os.path.join(self.dir, "control.sock")
        self.state = os.path.join(self.dir, "state")
        self.config_path = os.path.join(self.dir, "config.json")
        self.quirks = os.path.join(self.dir, "quirks.d")
        os.mkdir(self.quirks, 0o755)
        self.config = {"control": {"socket": self.socket, "group": "root"},
                       "quirk_dirs": [self.quirks], "plugin_dirs": [],
                       "state_dir": self.state, **(config or {})}
        self.arguments = arguments
        self.env = {**os.environ, **(env or {})}
        self.process = None

    def __enter__(self):
        self.configure()
        return self

    def configure(self, **more):
        self.config.update(more)
        with open(self.config_path, "w") as f:
            json.dump(self.config, f)

    def write_quirk(self, name, text):
        os.makedirs(self.quirks, exist_ok=True)
        unseen = os.path.join(self.quirks, "." + name)  # never half of it
        with open(unseen, "w") as f:
            f.write(text)
        os.replace(unseen, os.path.join(self.quirks, name))

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.dir)

    def run_to_end(self, *arguments):
        """A start that is to fail; the finished process."""
        return subprocess.run([FAKE, "--config", self.config_path, *self.arguments, *arguments],
                              capture_output=True, text=True, env=self.env, timeout=PATIENCE_S)

    def start(self, *arguments):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [FAKE, "--config", self.config_path, *self.arguments, *arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.env)
        wait_until(lambda: self.answers() or self.process.poll() is not None)
        assert self.process.poll() is None, self.stderr()
        return self

    def answers(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            try:
                s.connect(self.socket)
            except OSError:
                return False
        return True

    def stderr(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def end(self):
        """What ends by itself reports leaks and leaves its coverage; killed if it does not."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_S)
        self.kill()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process:
            self.log.close()

    def ask(self, method, params=None, **more):
        """The whole reply."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, **more}
        if params is not None:
            message["params"] = params
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.settimeout(PATIENCE_S)
            s.connect(self.socket)
            s.sendall(json.dumps(message).encode() + b"\n")
            text = b""
            while not text.endswith(b"\n"):
                part = s.recv(65536)
                assert part, "the connection was closed"
                text += part
        return json.loads(text)

    def ctl(self, *arguments, timeout=PATIENCE_S):
        return ctl("--socket", self.socket, *arguments, timeout=timeout)


def ctl(*arguments, timeout=PATIENCE_S):
    return subprocess.run([PCIBACKCTL, *arguments], capture_output=True, text=True,
                          timeout=timeout)


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def server(*replies):
    """A daemon that sends REPLIES (bytes), one a connection; None: never answers. Yields its
    socket's path and the requests so far."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(5)
        over = threading.Event()
        requests = []

        def serve():
            for reply in replies:
                with contextlib.closing(listener.accept()[0]) as s:
                    requests.append(s.makefile().readline())
                    if reply is None:
                        over.wait()
                    else:
                        s.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, requests
        finally:
            over.set()
            thread.join()
            listener.close()


def result(value):
    """A reply, for server()."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode() + b"\n"
