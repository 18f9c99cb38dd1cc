"""Real clients make a signed call as the assumed role, through `credential_process`, on three doubles of AWS."""

import json
import unittest

import rig


class Clients:
    """The same story on each double."""

    def setUp(self):
        self.cast = self.enterContext(self.double())
        self.claviger = self.enterContext(rig.Claviger(self.cast)).ready()
        account, role = self.cast.role.split(":")[4], self.cast.role.split("/")[-1]
        self.principal = f"arn:aws:sts::{account}:assumed-role/{role}/"

    def test_aws_cli_and_boto3_call_as_the_role(self):
        argv = [rig.VENV / "aws", "--profile", "tool", "--endpoint-url", self.cast.url, "sts", "get-caller-identity"]
        ran = self.claviger.spawn(argv)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(json.loads(ran.stdout)["Arn"].startswith(self.principal), ran.stdout)

        program = (
            "import boto3; s = boto3.Session(profile_name='tool');"
            f"print(s.client('sts', endpoint_url='{self.cast.url}').get_caller_identity()['Arn'])"
        )
        ran = self.claviger.spawn([rig.sys.executable, "-c", program])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(ran.stdout.startswith(self.principal), ran.stdout)

        self.assertIn(self.principal, self.claviger.run("whoami", "prod").stdout)

        # Positive control: the same call with one character of the secret changed is refused, where the double checks.
        good = self.claviger.process()
        self.assertEqual(good["Version"], 1)
        self.assertTrue(good["Expiration"].endswith("Z"), good["Expiration"])
        key = rig.key_of(good)
        self.assertTrue(rig.client("sts", self.cast, key).get_caller_identity()["Arn"].startswith(self.principal))
        if self.checks_signatures:
            wrong = ("A" if key[1][0] != "A" else "B") + key[1][1:]
            with self.assertRaises(rig.boto3.exceptions.botocore.exceptions.ClientError):
                rig.client("sts", self.cast, (key[0], wrong, key[2])).get_caller_identity()

    def test_locked_is_one_line_with_a_hint_for_the_client_to_show(self):
        self.claviger.run("lock")
        self.claviger.run("agent", "restart")
        ran = self.claviger.run("process", "prod", check=False)
        self.assertEqual((ran.returncode, ran.stdout), (3, ""), ran.stderr)
        self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)
        self.assertIn("vault.locked", ran.stderr)
        shown = self.claviger.spawn([rig.VENV / "aws", "--profile", "tool", "sts", "get-caller-identity"])
        self.assertNotEqual(shown.returncode, 0)
        self.assertIn("claviger unlock", shown.stderr)


class Sandbox(Clients, unittest.TestCase):
    double, checks_signatures = staticmethod(rig.sandbox), True


class Moto(Clients, unittest.TestCase):
    double, checks_signatures = staticmethod(rig.moto), False


class Ministack(Clients, unittest.TestCase):
    double, checks_signatures = staticmethod(rig.ministack), True


if __name__ == "__main__":
    unittest.main(verbosity=2)
