"""What the tests of real clients share.

The suite takes AWS_ENDPOINT_URL from the environment and works against an account that is empty or
not: every name it makes carries a suffix of its own run. Time is simulated; it is sped up through
/_sim/clock and never slept through: every wait polls and has a bound.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import uuid

ENDPOINT = os.environ.get("AWS_ENDPOINT_URL")
if not ENDPOINT:
    raise SystemExit("AWS_ENDPOINT_URL must name a running simulation, for example http://127.0.0.1:4566")
REGION = os.environ.setdefault("AWS_DEFAULT_REGION", "ap-southeast-1")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "AKIDCLIENTSUITE")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "any-secret-is-accepted")
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_PAGER"] = ""

# Where the account posts hooks of `switchback-relay`: a free port of this machine that a test listens on.
RELAY = os.environ.get("SWITCHBACK_RELAY_URL")

RUN = uuid.uuid4().hex[:6]
HERE = pathlib.Path(__file__).parent

# What every client of the run was answered; see conformance.py.
if "SWITCHBACK_CONFORMANCE_LOG" not in os.environ:
    _folder = tempfile.TemporaryDirectory()
    os.environ["SWITCHBACK_CONFORMANCE_LOG"] = str(pathlib.Path(_folder.name) / "answers.jsonl")

# boto3 reads its settings when it is imported.
import boto3  # noqa: E402
import botocore.model  # noqa: E402
import conformance  # noqa: E402
from botocore.config import Config  # noqa: E402

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5)


def say(text):
    """Tells what is checked, beside unittest's own lines."""
    print(f"    - {text}", file=sys.stderr, flush=True)


def answers():
    """Every answer of the run so far, as conformance.py logs it."""
    path = pathlib.Path(os.environ["SWITCHBACK_CONFORMANCE_LOG"])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def client(service, protocol=None, region=REGION, config=ONE_ATTEMPT, **more):
    """A boto3 client that tries once; with `protocol`, one that speaks that protocol. `more` is for boto3.

    Each of its answers is held against the service's model before it is parsed.
    """
    order = botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS
    session = boto3.session.Session(region_name=region)
    session.events.register("before-parse", conformance.check)
    if protocol is None:
        return session.client(service, config=config, **more)
    try:
        botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = (protocol,) + tuple(order)
        return session.client(service, config=config, **more)
    finally:
        botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = order


def sim(path, body=None, method=None):
    """One request to /_sim, answered as (status, JSON)."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{ENDPOINT}/_sim/{path}", data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


UNKNOWN = {"UnknownOperationException", "InvalidAction", "NotImplemented", "MethodNotAllowed", "501", "405"}


def wait_for(what, look, seconds=60):
    """Looks until `look` gives something true, at most so many seconds of wall time."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {seconds} s")
        time.sleep(0.1)


class CliError(Exception):
    """The AWS CLI ended with a code other than 0."""


def aws(*arguments):
    """Runs the AWS CLI and gives its answer, parsed when it is JSON."""
    command = [sys.executable, str(HERE / "checked.py"), "aws", *arguments]
    if "--output" not in arguments:
        command += ["--output", "json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    if run.returncode != 0:
        raise CliError(run.stderr.strip() or run.stdout.strip())
    try:
        return json.loads(run.stdout) if run.stdout.strip() else None
    except json.JSONDecodeError:
        return run.stdout


class SpedUp(unittest.TestCase):
    """Runs at 60 times the speed, and puts the speed back."""

    speed = 60

    @classmethod
    def setUpClass(cls):
        _, clock = sim("clock")
        cls.speed_before = clock["speed"]
        sim("clock", {"speed": cls.speed})

    @contextlib.contextmanager
    def slowly(self):
        """Real time for what must not be overtaken by the account, however slow this machine is."""
        sim("clock", {"speed": 1})
        try:
            yield
        finally:
            sim("clock", {"speed": self.speed})

    def stepped(self, what, look, step_s=10, steps=120):
        """Pushes time on while it otherwise stands still, until `look` gives something true, and leaves it still.

        For what passes by: however slow this machine is, it is looked at every few simulated seconds.
        """
        sim("clock", {"speed": 0})
        self.addCleanup(self.resume)
        for _ in range(steps):
            found = look()
            if found:
                return found
            sim("clock", {"advance_s": step_s})
        raise AssertionError(f"{what} did not come about within {steps * step_s} simulated seconds")

    def resume(self):
        """Lets time run again."""
        sim("clock", {"speed": self.speed})

    @classmethod
    def tearDownClass(cls):
        sim("clock", {"speed": cls.speed_before})
