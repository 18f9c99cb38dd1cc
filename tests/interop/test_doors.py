"""Real clients by every door they can use: credential_process, container endpoint, IMDSv2, environment.

Each row is a client, by a door, doing something signed: a call of STS on our strict double, or work on an S3 that moto
plays, whose requests are seen to carry the session that claviger handed out. docs/reference/clients.md is the table of
these rows with their versions; CLAVIGER_UPDATE=1 writes it anew.
"""

import contextlib
import datetime
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.request

import rig

TABLE = rig.pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference" / "clients.md"
NODE = pathlib.Path(os.environ.get("CLAVIGER_NODE", ""))
DOORS = ("process", "container", "imds", "env")
LINE = re.compile(rb"Credential=([A-Z0-9]+)/")


class Recorder:
    """An HTTP server before another one that notes whose key signed each request."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").split(":")
        self.keys, keys = set(), None
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                found = LINE.search((self.headers.get("Authorization") or "").encode())
                if found and self.headers.get("X-Amz-Security-Token"):
                    recorder.keys.add(found[1].decode())
                upstream = http.client.HTTPConnection(host, int(port), timeout=30)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                        self.send_header(name, value)
                length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = relay

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def version(*argv):
    """The first number with dots that a program says of itself."""
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    return re.search(r"\d+\.\d+[.\d]*", ran.stdout + ran.stderr)[0]


class Doors(unittest.TestCase):
    """One home, one login; every client asks by itself."""

    rows = {}

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.cast = cls.stack.enter_context(rig.sandbox())
        cls.claviger = cls.stack.enter_context(rig.Claviger(cls.cast)).ready()
        moto = cls.stack.enter_context(rig.moto())
        cls.s3 = Recorder(moto.url)
        cls.stack.callback(cls.s3.close)
        rig.client("s3", moto).create_bucket(Bucket="claviger")
        cls.principal = cls.cast.role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/"

    def by(self, door, argv, **variables):
        """Runs a client by a door; variables come on top."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.claviger.folder))
        env = {**self.claviger.env, "AWS_ENDPOINT_URL_STS": self.cast.url, "AWS_REGION": rig.REGION, **variables}
        env.pop("AWS_EC2_METADATA_DISABLED")
        # Nothing of the files may help any other door.
        if door != "process":
            env["AWS_CONFIG_FILE"] = env["AWS_SHARED_CREDENTIALS_FILE"] = str(folder / "none")
        before = {
            "process": [],
            "container": [rig.BIN / "claviger", "exec", "prod", "--"],
            "imds": [rig.BIN / "claviger", "exec", "prod", "--imds", "--"],
            "env": [rig.BIN / "claviger", "exec", "prod", "--env", "--"],
        }[door]
        if door == "process":
            env |= {"AWS_PROFILE": "tool", "AWS_SDK_LOAD_CONFIG": "1"}
        ran = self.claviger.spawn([*before, *argv], env=env, cwd=folder, start_new_session=True)
        self.assertEqual(ran.returncode, 0, f"{door}: {argv}\n{ran.stdout}\n{ran.stderr}")
        return ran.stdout

    def noted(self, client, number, door, what):
        self.rows[client, door] = (number, what)

    def calls_sts(self, client, number, argv, doors=DOORS, **variables):
        for door in doors:
            with self.subTest(client=client, door=door):
                self.assertIn(self.principal, self.by(door, argv, **variables))
                self.noted(client, number, door, "GetCallerIdentity")

    def calls_s3(self, client, number, doors, what, work):
        """`work` takes a door; afterwards S3 has seen requests signed with a session of ours, and with nothing else."""
        for door in doors:
            with self.subTest(client=client, door=door):
                self.s3.keys.clear()
                work(door)
                live = json.loads(self.claviger.run("status", "--json").stdout)["sessions"]
                ours = {session["access_key_id"] for session in live if "assumed-role" in session["principal"]}
                self.assertTrue(self.s3.keys and self.s3.keys <= ours, f"{self.s3.keys} {ours}")
                self.noted(client, number, door, what)

    def test_aws_cli_1(self):
        number = version(rig.VENV / "aws", "--version")
        self.calls_sts("AWS CLI 1", number, [rig.VENV / "aws", "sts", "get-caller-identity"],
                       AWS_ENDPOINT_URL=self.cast.url)

    def test_aws_cli_2(self):
        number = version("/usr/bin/aws", "--version")
        argv = ["/usr/bin/aws", "--endpoint-url", self.cast.url, "sts", "get-caller-identity"]
        self.calls_sts("AWS CLI 2", number, argv)

    def test_boto3(self):
        program = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        self.calls_sts("boto3", rig.boto3.__version__, [rig.sys.executable, "-c", program])

    def test_javascript_sdk(self):
        lock = json.loads((NODE / "package-lock.json").read_text())
        number = lock["packages"]["node_modules/@aws-sdk/client-sts"]["version"]
        self.calls_sts("AWS SDK for JavaScript v3", number, ["node", NODE / "caller.mjs"])

    def test_rust_sdk(self):
        lock = (TABLE.parents[2] / "tests/rigs/rustsdk/Cargo.lock").read_text()
        number = re.search(r'name = "aws-config"\nversion = "([^"]+)"', lock)[1]
        self.calls_sts("AWS SDK for Rust", number, [rig.BIN / "claviger-rustsdk"])

    def test_rclone(self):
        remote = f":s3,provider=Other,env_auth=true,region={rig.REGION},endpoint='{self.s3.url}':claviger"
        def work(door):
            out = self.by(door, ["rclone", "--config", "/dev/null", "rcat", f"{remote}/rclone-{door}"])
            self.assertEqual(out, "")
            self.assertIn(f"rclone-{door}", self.by(door, ["rclone", "--config", "/dev/null", "lsf", remote]))
        self.calls_s3("rclone", version("rclone", "version"), DOORS, "write and list on S3", work)

    def test_restic(self):
        def work(door):
            secret = {"RESTIC_PASSWORD": "restic", "RESTIC_REPOSITORY": f"s3:{self.s3.url}/claviger/restic-{door}"}
            self.by(door, ["restic", "--no-cache", "init"], **secret)
            self.by(door, ["restic", "--no-cache", "backup", str(rig.BIN / "claviger")], **secret)
            self.assertIn("1 snapshots", self.by(door, ["restic", "--no-cache", "snapshots"], **secret))
        self.calls_s3("restic", version("restic", "version"), ("container", "env"), "init, backup and list on S3", work)

    def test_s3cmd(self):
        host = self.s3.url.removeprefix("http://")
        options = ["--config", "/dev/null", "--no-ssl", f"--host={host}", f"--host-bucket={host}", f"--region={rig.REGION}"]
        def work(door):
            self.by(door, ["s3cmd", *options, "put", "/etc/hostname", f"s3://claviger/s3cmd-{door}"])
            self.assertIn("s3cmd-", self.by(door, ["s3cmd", *options, "ls", "s3://claviger"]))
        self.calls_s3("s3cmd", version("s3cmd", "--version"), ("env",), "write and list on S3", work)

    @unittest.skipUnless(shutil.which("terraform"), "there is no terraform on this machine")
    def test_terraform(self):
        terraform = shutil.which("terraform")
        def work(door):
            with tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "main.tf").write_text(
                    'terraform {\n  backend "s3" {\n    bucket = "claviger"\n'
                    f'    key = "terraform-{door}"\n    region = "{rig.REGION}"\n    use_path_style = true\n'
                    f'    skip_s3_checksum = true\n    endpoints = {{ s3 = "{self.s3.url}", sts = "{self.cast.url}" }}\n'
                    "  }\n}\noutput \"door\" {\n  value = \"" + door + '"\n}\n'
                )
                for words in (["init", "-input=false", "-no-color"], ["apply", "-auto-approve", "-input=false", "-no-color"]):
                    out = self.by(door, [terraform, f"-chdir={folder}", *words], CHECKPOINT_DISABLE="1")
                self.assertIn("Apply complete", out)
        number = version(terraform, "version")
        self.calls_s3("terraform (S3 backend)", number, DOORS, "init and apply with state on S3", work)

    def test_a_client_that_keeps_credentials_asks_again_and_is_answered_from_memory(self):
        """As kubectl and long programs do: botocore asks again once 10 minutes are left."""
        counter = self.claviger.folder / "count"
        program = self.claviger.folder / "counted"
        program.write_text(f'#!/bin/sh\necho x >> "{counter}"\nexec "{rig.BIN / "claviger"}" process prod\n')
        program.chmod(0o700)
        self.claviger.aws_config.write_text(
            self.claviger.aws_config.read_text() + f"\n[profile counted]\ncredential_process = {program}\nregion = {rig.REGION}\n"
        )
        script = (
            "import datetime, time, boto3\n"
            "session = boto3.Session(profile_name='counted'); kept = session.get_credentials()\n"
            "first = kept.get_frozen_credentials().access_key\n"
            "again = kept.get_frozen_credentials().access_key\n"
            "ends = kept._expiry_time\n"
            "kept._time_fetcher = lambda: ends - datetime.timedelta(minutes=10)\n"
            "begun = time.monotonic(); third = kept.get_frozen_credentials().access_key\n"
            "print(first == again == third, round((time.monotonic() - begun) * 1000))\n"
        )
        before = self.state()
        ran = self.claviger.spawn([rig.sys.executable, "-c", script])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        same, millis = ran.stdout.split()
        self.assertEqual(same, "True", "memory has the session that it handed out")
        self.assertEqual(counter.read_text().count("x"), 2, "asked at first, and again with 10 minutes left")
        self.assertEqual(self.state(), before, "no call of STS")
        print(f"asked again with 10 minutes left: answered in {millis} ms", flush=True)

    def state(self):
        """How often STS was called for credentials."""
        with urllib.request.urlopen(f"{self.cast.url}/_sandbox/state") as answer:
            calls = json.load(answer)["calls"]
        return {action: calls.get(action) for action in ("AssumeRole", "GetSessionToken")}

    @classmethod
    def tearDownClass(cls):
        check_table(cls.rows)


def check_table(rows):
    """The page names every row that ran, and no other. Another machine may have another version."""
    head = (
        "# Clients that were run\n\nEach row is a program that nobody here wrote, by a door of claviger, doing something signed in "
        "`tests/interop/test_doors.py`.\nThe calls of STS go to the strict double, S3 is played by moto; every request on S3 "
        "was seen to carry the session that\nclaviger handed out. A door that is not named for a client was not run with it.\n\n"
        "| client | version | door | what it did |\n|---|---|---|---|\n"
    )
    names = {"process": "`process`", "container": "`exec` (container endpoint)", "imds": "`exec --imds`", "env": "`exec --env`"}
    lines = [f"| {client} | {number} | {names[door]} | {what} |" for (client, door), (number, what) in sorted(rows.items())]
    if os.environ.get("CLAVIGER_UPDATE"):
        date = datetime.date.today().isoformat()
        TABLE.write_text(head + "\n".join(lines) + f"\n\nVersions as of {date}.\n")
    cells = lambda line: [cell.strip() for cell in line.split("|")]
    written = {(row[1], row[3]) for row in map(cells, TABLE.read_text().splitlines()) if len(row) == 6}
    missing = {(cells(line)[1], cells(line)[3]) for line in lines} - written
    assert not missing, f"docs/reference/clients.md does not name {missing}: CLAVIGER_UPDATE=1 writes it"


if __name__ == "__main__":
    unittest.main(verbosity=2)
