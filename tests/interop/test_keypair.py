"""EC2 key pairs: boto3 and the aws CLI see what claviger made, and claviger what they made; fingerprints are those that
openssl and ssh-keygen compute. On our strict double, and on moto, which nobody here wrote."""

import json
import subprocess
import unittest

import rig

OTHER = "us-west-2"


def said(*argv, text=b""):
    return subprocess.run(argv, input=text, capture_output=True, check=True, timeout=60).stdout


def openssl(hash, document):
    """A digest in base16, with colons."""
    return said("openssl", hash, "-c", text=document).decode().rsplit("= ", 1)[1].strip()


def words(line):
    """A public line without its comment."""
    return line.split()[:2]


class KeyPairs:
    """The same story on each double."""

    def setUp(self):
        self.cast = self.enterContext(self.double())
        self.claviger = self.enterContext(rig.Claviger(self.cast)).ready()
        self.ec2 = rig.client("ec2", self.cast, rig.key_of(self.claviger.process()))

    def keypair(self, *argv, **options):
        return self.claviger.run("keypair", *argv, "--profile", "prod", **options)

    def rows(self, *argv):
        listed = json.loads(self.keypair("list", "--json", *argv).stdout)["keypairs"]
        return {(row["region"], row["name"]): row for row in listed}

    def pair(self, name, region=rig.REGION):
        ec2 = rig.client("ec2", self.cast, rig.key_of(self.claviger.process()), region)
        return ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"][0]

    def export(self, name, format):
        return self.claviger.run("ssh-key", "export", name, "--format", format, passphrase=rig.PASSPHRASE).stdout.encode()

    def test_what_claviger_makes_boto3_and_the_aws_cli_see(self):
        for name, kind in ("edwards", "ed25519"), ("rivest", "rsa"):
            line = self.keypair("create", name, "--type", kind, "--tag", "team=web").stdout
            pair = self.pair(name)
            self.assertEqual(words(pair["PublicKey"]), words(line))
            self.assertEqual(pair["KeyType"], kind)
            self.assertIn({"Key": "team", "Value": "web"}, pair["Tags"])
            self.assertIn({"Key": "claviger:attempt", "Value": "done"}, pair["Tags"])
            self.assertEqual(self.rows()[rig.REGION, name]["keys"], [{"vault": name}])
        if self.fingerprints:
            private = said("openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", text=self.export("rivest", "pkcs1"))
            self.assertEqual(self.pair("rivest")["KeyFingerprint"], openssl("sha1", private))
        argv = [rig.VENV / "aws", "--profile", "tool", "--endpoint-url", self.cast.url, "ec2", "describe-key-pairs"]
        ran = self.claviger.spawn(argv)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertLessEqual({"edwards", "rivest"}, {pair["KeyName"] for pair in json.loads(ran.stdout)["KeyPairs"]})

    def test_what_boto3_and_the_aws_cli_make_claviger_sees(self):
        made = self.ec2.create_key_pair(KeyName="theirs", KeyType="ed25519")
        self.assertEqual(self.rows()[rig.REGION, "theirs"]["keys"], [])
        self.claviger.run("ssh-key", "add", "found", "--stdin", text=made["KeyMaterial"])
        self.assertEqual(self.rows()[rig.REGION, "theirs"]["keys"], [{"vault": "found"}])
        argv = [rig.VENV / "aws", "--profile", "tool", "--endpoint-url", self.cast.url, "ec2", "create-key-pair"]
        ran = self.claviger.spawn([*argv, "--key-name", "cli"])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.claviger.run("ssh-key", "add", "cli", "--stdin", text=json.loads(ran.stdout)["KeyMaterial"])
        self.assertEqual(self.rows()[rig.REGION, "cli"]["keys"], [{"vault": "cli"}])
        ran = self.keypair("create", "cli", "--key", "another", check=False)
        self.assertEqual(ran.returncode, 5, ran.stderr)

    def test_an_import_is_the_same_from_both_sides(self):
        self.claviger.run("ssh-key", "new", "big", "--type", "rsa-4096")
        self.claviger.run("ssh-key", "new", "small")
        for name in "big", "small":
            self.keypair("import", name, "--region", rig.REGION, "--region", OTHER)
            line = self.claviger.run("ssh-key", "public", name).stdout
            for region in rig.REGION, OTHER:
                self.assertEqual(words(self.pair(name, region)["PublicKey"]), words(line))
        private = self.export("big", "pkcs8")
        public = said("openssl", "pkey", "-pubout", "-outform", "DER", text=private)
        self.assertEqual(self.pair("big")["KeyFingerprint"], openssl("md5", public))
        if self.fingerprints:
            line = self.claviger.run("ssh-key", "public", "small").stdout.encode()
            shown = said("ssh-keygen", "-l", "-f", "/dev/stdin", text=line).decode().split()[1]
            self.assertEqual(self.pair("small")["KeyFingerprint"], shown.removeprefix("SHA256:") + "=")
        self.ec2.import_key_pair(KeyName="again", PublicKeyMaterial=self.line("small"))
        ran = self.keypair("import", "again", "--key", "small")
        self.assertIn("stands there already", ran.stderr)
        ran = self.keypair("import", "again", "--key", "big", check=False)
        self.assertEqual(ran.returncode, 5, ran.stderr)

    def line(self, name):
        return self.claviger.run("ssh-key", "public", name).stdout.encode()

    def test_what_is_rotated_and_deleted_is_so_for_boto3(self):
        self.claviger.run("ssh-key", "new", "web")
        self.keypair("import", "web", "--region", rig.REGION, "--region", OTHER, "--tag", "team=web")
        old = self.pair("web")
        ran = self.keypair("rotate", "web", "--region", rig.REGION, "--region", OTHER)
        self.assertIn("stays in the vault as web+old", ran.stderr)
        for region in rig.REGION, OTHER:
            pair = self.pair("web", region)
            self.assertEqual(words(pair["PublicKey"]), words(self.line("web").decode()))
            self.assertNotEqual(pair["KeyPairId"], old["KeyPairId"])
            self.assertIn({"Key": "team", "Value": "web"}, pair["Tags"])
        self.assertEqual(words(old["PublicKey"]), words(self.line("web+old").decode()))
        self.keypair("delete", "web", "--region", OTHER)
        with self.assertRaises(rig.boto3.exceptions.botocore.exceptions.ClientError):
            self.pair("web", OTHER)
        self.assertEqual(self.pair("web")["KeyName"], "web")
        listed = self.keypair("list", "--all-regions", "--json").stdout
        self.assertGreaterEqual(len(json.loads(listed)["regions"]), 17)


class Sandbox(KeyPairs, unittest.TestCase):
    double, fingerprints = staticmethod(rig.sandbox), True

    def test_the_aws_cli_decrypts_the_password_that_claviger_does(self):
        """With the key as PKCS#1, the only form that it reads."""
        self.claviger.run("ssh-key", "add", "ada-launch", str(rig.LAUNCH_KEY))
        instance, region = "i-0a11ce0000000003c", "us-east-1"
        password = self.keypair("password", instance, "--region", region).stdout.strip()
        pem = self.claviger.folder / "launch.pem"
        pem.write_bytes(self.export("ada-launch", "pkcs1"))
        argv = [rig.VENV / "aws", "--profile", "tool", "--endpoint-url", self.cast.url, "--region", region]
        argv += ["ec2", "get-password-data", "--instance-id", instance, "--priv-launch-key", pem]
        ran = self.claviger.spawn(argv)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(json.loads(ran.stdout)["PasswordData"], password)


class Moto(KeyPairs, unittest.TestCase):
    double, fingerprints = staticmethod(rig.moto), False

    def test_what_is_rotated_and_deleted_is_so_for_boto3(self):
        """moto takes KeyPairId in DeleteKeyPair and deletes nothing: a pair stays, and claviger says so."""
        self.claviger.run("ssh-key", "new", "web")
        self.keypair("import", "web")
        self.ec2.delete_key_pair(KeyPairId=self.pair("web")["KeyPairId"])
        self.assertEqual(self.pair("web")["KeyName"], "web", "moto deletes by id now: the common test can run on it")
        ran = self.keypair("rotate", "web", check=False)
        self.assertEqual(ran.returncode, 5, ran.stderr)
        self.assertEqual(self.rows()[rig.REGION, "web"]["keys"], [{"vault": "web"}])
        names = {row["name"] for row in json.loads(self.claviger.run("ssh-key", "list", "--json").stdout)}
        self.assertEqual(names, {"web", "web+new"}, "both keys are there for the next run")


if __name__ == "__main__":
    unittest.main(verbosity=2)
