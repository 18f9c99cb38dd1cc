"""Adopted profiles as real clients read them: boto3 and the aws CLI find claviger's line and act as the role."""

import json
import pathlib
import unittest

import rig

PROD = """\
# mine
[profile prod]
role_arn = {role}
source_profile = dev
region = us-east-1
output = json
s3 =
  max_concurrent_requests = 5

[profile dev]
region = us-east-1

[profile other]
role_arn = {role}
source_profile = prod
region = us-east-1
"""


class Adopt(unittest.TestCase):
    def setUp(self):
        self.cast = self.enterContext(rig.sandbox())
        self.claviger = self.enterContext(rig.Claviger(self.cast)).ready()
        self.config = self.claviger.aws_config
        self.config.write_text(PROD.format(role=self.cast.role))
        self.claviger.env["AWS_ENDPOINT_URL"] = self.cast.url

    def identity(self, profile):
        """Who the profile is, asked by boto3 in a process of its own, and by the aws CLI."""
        script = (
            "import boto3,sys; session = boto3.Session(profile_name=sys.argv[1]);"
            "print(session.get_credentials().method, session.client('sts').get_caller_identity()['Arn'])"
        )
        python = self.claviger.spawn([rig.VENV / "python3", "-c", script, profile])
        self.assertEqual(python.returncode, 0, python.stderr)
        method, arn = python.stdout.split()
        aws = self.claviger.spawn([rig.VENV / "aws", "sts", "get-caller-identity", "--profile", profile, "--output", "json"])
        self.assertEqual(aws.returncode, 0, aws.stderr)
        self.assertEqual(json.loads(aws.stdout)["Arn"], arn)
        return method, arn

    def test_before_boto3_asks_for_what_claviger_holds_and_after_it_asks_claviger(self):
        before = self.config.read_bytes()
        boto = self.claviger.spawn(
            [rig.VENV / "python3", "-c", "import boto3; boto3.Session(profile_name='prod').client('sts').get_caller_identity()"]
        )
        self.assertNotEqual(boto.returncode, 0, "positive control: without claviger there is no key")
        self.claviger.run("profile", "adopt", "prod", "--yes")
        method, arn = self.identity("prod")
        self.assertEqual(method, "custom-process")
        self.assertIn("assumed-role/prod-admin/", arn)
        self.claviger.run("profile", "release", "prod", "--yes")
        self.assertEqual(self.config.read_bytes(), before)

    def test_an_imported_key_serves_every_client_without_a_key_in_a_file(self):
        folder = pathlib.Path(self.claviger.folder)
        self.claviger.run("mfa", "remove", "phone")
        self.claviger.run("access-key", "remove", "dev")
        credentials = folder / ".aws" / "credentials"
        credentials.parent.mkdir(exist_ok=True)
        key, secret = self.cast.key
        credentials.write_text(f"[dev]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
        self.claviger.run("access-key", "import", "dev", "--yes")
        self.assertNotIn(secret, credentials.read_text() + self.config.read_text())
        self.claviger.run("mfa", "add", "--for", "dev", "--serial", self.cast.serial, "--seed-stdin", "--no-verify", text=self.cast.seed)
        # The step of the first login is spent: the next may be longer away than a tool waits.
        self.claviger.run("login", "dev")
        method, arn = self.identity("dev")
        self.assertEqual(method, "custom-process")
        self.assertTrue(arn.endswith("user/ada"), arn)


if __name__ == "__main__":
    unittest.main()
