"""Under `claviger exec` the endpoint wins, whatever `[default]` of the AWS files holds: boto3 and the aws CLI, decision record 0009.

The agent is scripted and the endpoint is a double: what counts here is the environment that the client makes.
"""

import http.server
import json
import os
import pathlib
import socketserver
import tempfile
import threading
import unittest

import rig

ENDPOINT = {"AccessKeyId": "ASIAENDPOINTENDPOINT", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
STATIC = "aws_access_key_id = AKIADEFAULTDEFAULTDE\naws_secret_access_key = secret\n"
PROCESS = """credential_process = sh -c 'echo {\\"Version\\":1,\\"AccessKeyId\\":\\"AKIAPROCESSPROCESSPR\\",\\"SecretAccessKey\\":\\"x\\"}'\n"""
DEFAULTS = {
    "keys in the credentials file": ("", STATIC),
    "keys in the config file": (STATIC, ""),
    "credential_process": (PROCESS, ""),
    "a role": ("role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = default\n" + STATIC, ""),
}
ASK = "import boto3; s = boto3.Session(); c = s.get_credentials(); print(c.access_key, c.method, s.region_name, s._session.get_scoped_config().get('output'))"


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Speaks as the container endpoint and as IMDSv2."""

    def do_GET(self):
        if self.path.startswith("/latest/"):
            role = "claviger" if self.path.endswith("/security-credentials/") else json.dumps({"Code": "Success", **ENDPOINT})
            return self.say(role if self.headers.get("x-aws-ec2-metadata-token") == "imds" else None)
        self.say(json.dumps(ENDPOINT) if self.headers.get("authorization") == "token" else None)

    def do_PUT(self):
        self.say("imds")

    def say(self, text):
        body = (text or "no").encode()
        self.send_response(200 if text else 403)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Agent(socketserver.StreamRequestHandler):
    """As much of the agent as `exec` asks."""

    def handle(self):
        for line in self.rfile:
            message = json.loads(line)
            if "hello" in message:
                self.say(message["id"], hello={"protocol": 1, "agent": "fake/0"})
            elif open_ := message.get("request", {}).get("endpoint_open"):
                container = open_["kind"] == "container"
                endpoint = {"url": self.server.url, "region": "eu-central-1", **({"token": "token"} if container else {})}
                self.say(message["id"], reply={"endpoint": endpoint})
            elif "request" in message:
                rows = [("output", "text"), ("role_arn", "arn:aws:iam::123456789012:role/prod")]
                rows = [{"key": key, "value": value, "origin": "config:1"} for key, value in rows]
                self.say(message["id"], reply={"settings": rows})

    def say(self, number, **message):
        self.wfile.write(json.dumps({"id": number, **message}).encode() + b"\n")
        self.wfile.flush()


class Exec(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="claviger-rig-")))
        (self.home / "run").mkdir(mode=0o700)
        (self.home / ".aws").mkdir()
        endpoint = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        before = os.umask(0o077)
        agent = socketserver.ThreadingUnixStreamServer(str(self.home / "run/agent.sock"), Agent)
        os.umask(before)
        agent.url = f"http://127.0.0.1:{endpoint.server_port}/"
        for server in (endpoint, agent):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)

    def files(self, config, credentials):
        other = '\n[profile other]\nregion = us-west-2\naws_access_key_id = AKIAOTHEROTHEROTHERX\naws_secret_access_key = x\n'
        (self.home / ".aws/config").write_text(f"[default]\nregion = us-east-1\noutput = table\n{config}{other}")
        (self.home / ".aws/credentials").write_text(f"[default]\n{credentials}" if credentials else "")

    def spawn(self, *argv):
        variables = {**rig.environment(self.home), "CLAVIGER_HOME": str(self.home)}
        ran = rig.subprocess.run(argv, env=variables, capture_output=True, text=True, cwd=self.home)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def run_exec(self, *argv, mode=()):
        return self.spawn("claviger", "exec", "prod", *mode, "--", *argv)

    def test_the_endpoint_wins_over_everything_in_default(self):
        for what, files in DEFAULTS.items():
            with self.subTest(what):
                self.files(*files)
                for mode, method in (((), "container-role"), (("--imds",), "iam-role")):
                    said = self.run_exec(rig.sys.executable, "-c", ASK, mode=mode)
                    self.assertEqual(said.split(), ["ASIAENDPOINTENDPOINT", method, "eu-central-1", "text"])
                    said = self.run_exec("aws", "configure", "list", mode=mode)
                    self.assertIn("OINT", said.replace("*", ""))
                    self.assertIn(method, said)
                # Positive control: without the stand-in profile it is what `[default]` says, in silence.
                unset = ("env", "-u", "AWS_PROFILE", "-u", "AWS_SHARED_CREDENTIALS_FILE")
                if what != "a role":
                    said = self.run_exec(*unset, rig.sys.executable, "-c", ASK)
                    self.assertNotIn("ASIAENDPOINT", said)

    def test_other_profiles_and_the_config_file_stay_in_reach(self):
        self.files("", STATIC)
        other = ASK.replace("Session()", "Session(profile_name='other')")
        said = self.run_exec(rig.sys.executable, "-c", other)
        self.assertEqual(said.split()[0], "AKIAOTHEROTHEROTHERX")
        self.run_exec("aws", "configure", "set", "region", "sa-east-1", "--profile", "other")
        self.assertIn("sa-east-1", (self.home / ".aws/config").read_text())
        # No tool stores keys where they would be lost: the stand-in cannot be written, except by root.
        stand_in = pathlib.Path(self.run_exec("printenv", "AWS_SHARED_CREDENTIALS_FILE").strip())
        self.assertEqual(stand_in.stat().st_mode & 0o777, 0o400)


if __name__ == "__main__":
    unittest.main()
