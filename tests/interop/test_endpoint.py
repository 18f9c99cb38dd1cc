"""Real clients fetch credentials from an endpoint: the container protocol and IMDSv2, as the role, on the sandbox."""

import json
import unittest

import rig

ASK = (
    "import boto3; s = boto3.Session(region_name='us-east-1'); c = s.get_credentials();"
    "print(c.method, s.client('sts', endpoint_url='{url}').get_caller_identity()['Arn'])"
)


class Endpoint(unittest.TestCase):
    def setUp(self):
        self.cast = self.enterContext(rig.sandbox())
        self.claviger = self.enterContext(rig.Claviger(self.cast)).ready()
        account, role = self.cast.role.split(":")[4], self.cast.role.split("/")[-1]
        self.principal = f"arn:aws:sts::{account}:assumed-role/{role}/"

    def open(self, kind):
        return self.enterContext(rig.endpoint(self.claviger, kind))

    def environment(self, **more):
        return rig.environment(self.claviger.folder, AWS_CONFIG_FILE="/dev/null", **more)

    def check(self, env, method):
        ran = self.claviger.spawn([rig.sys.executable, "-c", ASK.format(url=self.cast.url)], env=env)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(ran.stdout.startswith(f"{method} {self.principal}"), ran.stdout)
        argv = [rig.VENV / "aws", "--region", "us-east-1", "--endpoint-url", self.cast.url, "sts", "get-caller-identity"]
        ran = self.claviger.spawn(argv, env=env)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(json.loads(ran.stdout)["Arn"].startswith(self.principal), ran.stdout)

    def test_container_credentials_by_token_file_and_by_token(self):
        endpoint = self.open("container")
        url = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint["url"]}
        self.check(self.environment(**url, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=endpoint["token_file"]), "container-role")
        self.check(self.environment(**url, AWS_CONTAINER_AUTHORIZATION_TOKEN=endpoint["token"]), "container-role")
        # The control: without the token there are none.
        ran = self.claviger.spawn([rig.VENV / "aws", "sts", "get-caller-identity"], env=self.environment(**url))
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("endpoint.refused", ran.stderr)

    def test_a_locked_vault_is_told_to_the_person(self):
        endpoint = self.open("container")
        self.claviger.run("lock")
        env = self.environment(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint["url"],
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=endpoint["token_file"],
        )
        ran = self.claviger.spawn([rig.VENV / "aws", "sts", "get-caller-identity"], env=env)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("claviger unlock", ran.stderr)

    def test_instance_metadata_with_version_1_switched_off_and_without(self):
        endpoint = self.open("imds")
        for disabled in ("true", "false"):
            env = self.environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoint["url"], AWS_EC2_METADATA_V1_DISABLED=disabled)
            env["AWS_EC2_METADATA_DISABLED"] = "false"
            self.check(env, "iam-role")


if __name__ == "__main__":
    unittest.main(verbosity=2)
