"""Devices, access keys and passwords that claviger makes at AWS, as boto3 and the aws CLI see them, and the reverse."""

import json
import unittest
import urllib.request

import rig


class Life:
    """The same story on each double."""

    def setUp(self):
        self.cast = self.enterContext(self.double())
        self.claviger = self.enterContext(rig.Claviger(self.cast)).ready()

    def exported(self, name="dev"):
        """The access key as the vault has it."""
        key = json.loads(self.claviger.run("access-key", "export", name, "--json", passphrase=rig.PASSPHRASE).stdout)
        return key["access_key_id"], key["secret_access_key"]

    def iam(self):
        return rig.client("iam", self.cast, self.exported())

    def aws(self, *words):
        """What the aws CLI says with the user's key, by claviger's export."""
        key = self.exported()
        more = {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1], "AWS_DEFAULT_REGION": rig.REGION}
        argv = [rig.VENV / "aws", "--endpoint-url", self.cast.url, "--output", "json", *words]
        ran = self.claviger.spawn(argv, env=self.claviger.env | more)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout) if ran.stdout else None

    def listed(self, *words):
        return json.loads(self.claviger.run(*words, "--json").stdout)

    def later(self):
        """The codes that AWS was given by others are of the past."""

    def now(self):
        """AWS's clock is that of its other clients again."""

    def test_a_device_is_enrolled_seen_and_taken_away(self):
        self.claviger.run("mfa", "enroll", "dev", "--name", "laptop")
        row = next(row for row in self.listed("mfa", "list") if row["name"] == "laptop")
        serials = lambda devices: {device["SerialNumber"] for device in devices["MFADevices"]}
        mine = {self.cast.serial, row["serial"]}
        self.assertEqual(serials(self.iam().list_mfa_devices(UserName=self.user)), mine)
        self.assertEqual(serials(self.aws("iam", "list-mfa-devices", "--user-name", self.user)), mine)
        self.claviger.run("mfa", "deactivate", "laptop")
        self.assertEqual(serials(self.iam().list_mfa_devices(UserName=self.user)), {self.cast.serial})
        self.assertNotIn(row["serial"], str(self.iam().list_virtual_mfa_devices()))

    def test_a_device_of_the_aws_cli_is_deactivated_by_claviger(self):
        made = self.iam().create_virtual_mfa_device(VirtualMFADeviceName="spare")["VirtualMFADevice"]
        seed, serial = made["Base32StringSeed"].decode(), made["SerialNumber"]
        codes = rig.totp(seed, rig.now_step() - 1), rig.totp(seed)
        words = "--serial-number", serial, "--authentication-code1", codes[0], "--authentication-code2", codes[1]
        self.aws("iam", "enable-mfa-device", "--user-name", self.user, *words)
        add = "mfa", "add", "--for", "dev", "--name", "spare", "--serial", serial, "--no-verify", "--seed-stdin"
        self.claviger.run(*add, text=seed)
        self.later()
        resynced = self.claviger.run("mfa", "resync", "spare", check=False)
        self.assertEqual(resynced.returncode == 0, self.resync, resynced.stderr)
        self.claviger.run("mfa", "deactivate", "spare")
        self.now()
        self.assertNotIn(serial, str(self.aws("iam", "list-mfa-devices", "--user-name", self.user)))

    def test_a_key_is_replaced_and_the_old_one_is_gone(self):
        old = self.exported()
        self.claviger.run("access-key", "rotate", "dev")
        new = self.exported()
        self.assertNotEqual(old, new)
        keys = self.iam().list_access_keys(UserName=self.user)["AccessKeyMetadata"]
        self.assertEqual([(key["AccessKeyId"], key["Status"]) for key in keys], [(new[0], "Active")])
        self.assertTrue(rig.client("sts", self.cast, new).get_caller_identity()["Arn"].endswith(f"user/{self.user}"))
        if self.checks_signatures:
            with self.assertRaises(rig.boto3.exceptions.botocore.exceptions.ClientError):
                rig.client("sts", self.cast, old).get_caller_identity()
        row = self.listed("access-key", "list")[0]
        self.assertEqual((row["access_key_id"], row["at_aws"]["active"]), (new[0], True))

    def test_a_key_of_the_aws_cli_is_replaced_by_claviger(self):
        made = self.aws("iam", "create-access-key", "--user-name", self.user)
        self.claviger.run("access-key", "add", "second", "--stdin", text=json.dumps(made))
        other = made["AccessKey"]["AccessKeyId"]
        refused = self.claviger.run("access-key", "rotate", "dev", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(other, refused.stderr)
        self.aws("iam", "update-access-key", "--user-name", self.user, "--access-key-id", other, "--status", "Inactive")
        self.claviger.run("access-key", "rotate", "dev", "--delete-other", other)
        keys = self.aws("iam", "list-access-keys", "--user-name", self.user)["AccessKeyMetadata"]
        self.assertEqual([key["AccessKeyId"] for key in keys], [self.exported()[0]])

    def test_a_password_is_made_as_the_account_wants_it(self):
        made = self.claviger.run("password", "change", "dev", "--old-fd", "0", "--generate", text=self.password(), check=False)
        if not self.changes_passwords:
            self.assertNotEqual(made.returncode, 0, "it does now: TESTING.md says otherwise")
            return
        self.assertEqual(made.returncode, 0, made.stderr)
        again = self.claviger.run("password", "change", "dev", "--old-fd", "0", "--generate", text=made.stdout.strip())
        self.assertNotEqual(made.stdout, again.stdout)


class Sandbox(Life, unittest.TestCase):
    double, checks_signatures, changes_passwords, resync = staticmethod(rig.sandbox), True, True, True
    user = "ada"

    def password(self):
        return self.cast.password

    def later(self):
        self.set_clock(600_000)
        # An answer of its tells claviger the time.
        self.claviger.run("access-key", "list")

    def now(self):
        self.set_clock(0)

    def set_clock(self, offset):
        body = json.dumps({"offset_millis": offset}).encode()
        with urllib.request.urlopen(f"{self.cast.url}/_sandbox/clock", body) as answer:
            self.assertEqual(answer.status, 200)


class Moto(Life, unittest.TestCase):
    double, checks_signatures, changes_passwords, resync = staticmethod(rig.moto), False, False, False
    user = "ada"

    def password(self):
        rig.client("iam", self.cast).create_login_profile(UserName="ada", Password="Old-password-1")
        return "Old-password-1"


if __name__ == "__main__":
    unittest.main(verbosity=2)
