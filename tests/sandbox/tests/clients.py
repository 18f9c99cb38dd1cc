"""AWS's own clients against the double: the aws CLI and boto3 of this Python environment.

usage: clients.py [SANDBOX]        the binary, else $CLAVIGER_SANDBOX
Proves that the double speaks AWS, and not a dialect that only claviger understands.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions
import botocore.parsers

BINARY = os.environ.get("CLAVIGER_SANDBOX", "")
WRONG_CODE = "MultiFactorAuthentication failed with invalid MFA one time pass code. "


def totp(seed, seconds):
    """RFC 6238, six digits, SHA-1."""
    digest = hmac.new(base64.b32decode(seed), struct.pack(">Q", int(seconds) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF) % 1000000)


class World(unittest.TestCase):
    """One sandbox for each test."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.process = subprocess.Popen([BINARY, "--port", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.demo = json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.assertEqual(self.process.wait(timeout=30), 0)
        self.process.stdout.close()

    def control(self, page, value=None, method=None):
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"{self.demo['endpoint']}/_sandbox/{page}", data=body, method=method)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def now(self):
        return self.control("state")["now_millis"] / 1000

    def code(self, steps=0, seed=None):
        return totp(seed or self.demo["mfa_seed"], self.now() + 30 * steps)

    def keys(self, credentials=None):
        """As boto3 takes them; ada's own without an argument."""
        if credentials is None:
            return {"aws_access_key_id": self.demo["access_key_id"], "aws_secret_access_key": self.demo["secret_access_key"]}
        return {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials["SessionToken"],
        }

    def environment(self, credentials=None):
        """Nothing inherited but where programs are."""
        environment = {name: os.environ[name] for name in ("PATH", "PYENV_VERSION", "PYENV_ROOT", "VIRTUAL_ENV", "LANG") if name in os.environ}
        home = self.folder.name
        environment |= {name.upper(): value for name, value in self.keys(credentials).items()}
        return environment | {
            "HOME": home,
            "AWS_CONFIG_FILE": f"{home}/config",
            "AWS_SHARED_CREDENTIALS_FILE": f"{home}/credentials",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": self.demo["region"],
            "AWS_ENDPOINT_URL": self.demo["endpoint"],
            "AWS_MAX_ATTEMPTS": "1",
        }


class Cli(World):
    def run_aws(self, *words, credentials=None):
        return subprocess.run([aws(), *words, "--output", "json"], env=self.environment(credentials), capture_output=True, text=True)

    def aws(self, *words, credentials=None):
        done = self.run_aws(*words, credentials=credentials)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, code, message, *words, credentials=None):
        done = self.run_aws(*words, credentials=credentials)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"An error occurred ({code}) when calling", done.stderr)
        self.assertIn(message, done.stderr)

    def test_code_session_role_chain(self):
        who = self.aws("sts", "get-caller-identity")
        self.assertEqual((who["Arn"], who["Account"]), (self.demo["user_arn"], self.demo["account"]))
        mfa = ["sts", "get-session-token", "--serial-number", self.demo["mfa_serial"], "--token-code"]
        prod = ["sts", "assume-role", "--role-arn", self.demo["roles"]["prod-admin"], "--role-session-name", "cli"]
        self.refused("AccessDenied", "sts:AssumeRole", *prod)
        self.refused("AccessDenied", "invalid MFA one time pass code", *mfa, self.code(-20))
        code = self.code()
        session = self.aws(*mfa, code)["Credentials"]
        self.refused("AccessDenied", "invalid MFA one time pass code", *mfa, code)
        role = self.aws(*prod, credentials=session)
        self.assertEqual(role["AssumedRoleUser"]["Arn"], "arn:aws:sts::123456789012:assumed-role/prod-admin/cli")
        who = self.aws("sts", "get-caller-identity", credentials=role["Credentials"])
        self.assertEqual(who["Arn"], role["AssumedRoleUser"]["Arn"])
        self.refused("ValidationError", "1 hour session limit", *prod, "--duration-seconds", "3601", credentials=session)
        chain = ["sts", "assume-role", "--role-arn", self.demo["roles"]["audit-read"], "--role-session-name", "cli"]
        self.aws(*chain, credentials=role["Credentials"])
        self.refused("AccessDenied", "sts:AssumeRole", *chain)

    def test_a_profile_assumes_its_role_with_a_typed_code(self):
        Path(self.folder.name, "config").write_text(
            f"[profile prod]\nrole_arn = {self.demo['roles']['prod-admin']}\nsource_profile = base\n"
            f"mfa_serial = {self.demo['mfa_serial']}\nrole_session_name = typed\n[profile base]\n"
        )
        Path(self.folder.name, "credentials").write_text(
            "[base]\n" + "".join(f"{name} = {value}\n" for name, value in self.keys().items())
        )
        environment = {name: value for name, value in self.environment().items() if "KEY" not in name}
        words = [aws(), "sts", "get-caller-identity", "--profile", "prod", "--output", "json"]
        # getpass falls back to stdin where there is no terminal.
        done = subprocess.run(
            words, env=environment, input=self.code() + "\n", capture_output=True, text=True, start_new_session=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("assumed-role/prod-admin/typed", done.stdout)

    def test_a_device_is_made_enabled_and_removed(self):
        seed_file = Path(self.folder.name, "seed")
        made = self.aws(
            "iam", "create-virtual-mfa-device", "--virtual-mfa-device-name", "cli",
            "--outfile", str(seed_file), "--bootstrap-method", "Base32StringSeed",
        )
        serial, seed = made["VirtualMFADevice"]["SerialNumber"], seed_file.read_text()
        self.assertEqual(len(seed), 64)
        enable = ["iam", "enable-mfa-device", "--user-name", "ada", "--serial-number", serial]
        code = self.code(0, seed)
        self.refused("InvalidAuthenticationCode", "", *enable, "--authentication-code1", code, "--authentication-code2", code)
        now = self.now()
        self.aws(*enable, "--authentication-code1", totp(seed, now - 30), "--authentication-code2", totp(seed, now))
        listed = self.aws("iam", "list-mfa-devices")["MFADevices"]
        self.assertEqual(sorted(device["SerialNumber"] for device in listed), sorted([serial, self.demo["mfa_serial"]]))
        self.aws("iam", "deactivate-mfa-device", "--user-name", "ada", "--serial-number", serial)
        self.aws("iam", "delete-virtual-mfa-device", "--serial-number", serial)
        self.refused("NoSuchEntity", serial, "iam", "delete-virtual-mfa-device", "--serial-number", serial)


    def shell(self, line):
        """A line of the shell in the test's folder; what it prints."""
        done = subprocess.run(["sh", "-euc", line], cwd=self.folder.name, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_key_pairs(self):
        path = lambda name: str(Path(self.folder.name, name))
        made = self.aws("ec2", "create-key-pair", "--key-name", "made", "--tag-specifications", "ResourceType=key-pair,Tags=[{Key=Team,Value=a b}]")
        self.assertEqual(made["Tags"], [{"Key": "Team", "Value": "a b"}])
        Path(path("made")).write_text(made["KeyMaterial"] + "\n")
        Path(path("made")).chmod(0o600)
        digest = self.shell("openssl pkcs8 -topk8 -nocrypt -in made -outform DER | openssl sha1 -c").split()[-1]
        self.assertEqual(made["KeyFingerprint"], digest)
        self.refused("InvalidKeyPair.Duplicate", "already exists", "ec2", "create-key-pair", "--key-name", "made")

        self.shell("ssh-keygen -q -t ed25519 -N '' -C somebody -f own; ssh-keygen -q -t ecdsa -N '' -f curve")
        material = lambda name: f"fileb://{path(name)}"
        own = self.aws("ec2", "import-key-pair", "--key-name", "own", "--public-key-material", material("own.pub"))
        self.assertEqual(own["KeyFingerprint"], self.shell("ssh-keygen -lf own.pub").split()[1].removeprefix("SHA256:") + "=")
        self.refused("InvalidKey.Format", "not in valid OpenSSH", "ec2", "import-key-pair", "--key-name", "curve", "--public-key-material", material("curve.pub"))

        shown = self.aws("ec2", "describe-key-pairs", "--include-public-key", "--filters", "Name=key-name,Values=own,made")["KeyPairs"]
        self.assertEqual([(pair["KeyName"], pair["KeyType"]) for pair in shown], [("made", "rsa"), ("own", "ed25519")])
        self.assertEqual([pair["PublicKey"].split()[1] for pair in shown], [self.shell(f"ssh-keygen -yf {name}").split()[1] for name in ("made", "own")])
        self.assertEqual(self.aws("ec2", "describe-key-pairs", "--region", "eu-west-1")["KeyPairs"], [])
        self.refused("InvalidKeyPair.NotFound", "'own'", "ec2", "describe-key-pairs", "--region", "eu-west-1", "--key-names", "own")
        self.aws("ec2", "delete-key-pair", "--key-name", "own")
        self.aws("ec2", "delete-key-pair", "--key-name", "own")
        self.refused("InvalidKeyPair.NotFound", "'own'", "ec2", "describe-key-pairs", "--key-names", "own")
        self.assertEqual(len(self.aws("ec2", "describe-regions")["Regions"]), 17)

    def test_a_windows_password(self):
        desk, web = self.demo["instances"]["desk-1"], self.demo["instances"]["web-1"]
        found = self.aws("ec2", "describe-instances", "--filters", "Name=tag:Name,Values=desk-1")["Reservations"][0]["Instances"][0]
        self.assertEqual((found["InstanceId"], found["Platform"], found["KeyName"]), (desk, "windows", self.demo["key_pair"]))
        launch = Path(self.folder.name, "launch.pem")
        launch.write_text(self.demo["key_pair_private"])
        ask = ["ec2", "get-password-data", "--priv-launch-key", str(launch), "--instance-id"]
        self.assertEqual(self.aws(*ask, desk)["PasswordData"], self.demo["windows_password"])
        self.assertEqual(self.aws("ec2", "get-password-data", "--instance-id", web)["PasswordData"], "")
        self.refused("InvalidInstanceID.NotFound", "does not exist", "ec2", "get-password-data", "--instance-id", "i-0a11ce0000000009f")

    def test_a_pushed_key_logs_in_for_a_minute(self):
        web = self.demo["instances"]["web-1"]
        user = self.shell("id -un")
        host = Sshd(self.folder.name, self.demo["endpoint"], web, user)
        self.addCleanup(host.stop)
        self.shell("ssh-keygen -q -t ed25519 -N '' -f own; ssh-keygen -q -t ecdsa -N '' -f curve")
        send = ["ec2-instance-connect", "send-ssh-public-key", "--instance-os-user", user, "--instance-id"]
        key = lambda name: ["--ssh-public-key", f"file://{self.folder.name}/{name}.pub"]
        self.assertIn("Permission denied", host.login("own").stderr)
        self.assertIs(self.aws(*send, web, *key("own"))["Success"], True)
        self.assertEqual(host.login("own").stdout, "inside\n")
        self.control("clock", {"advance_millis": 60_000})
        self.assertIn("Permission denied", host.login("own").stderr)
        self.control("clock", {"offset_millis": 0})
        self.refused("InvalidArgsException", "SSH Public key is invalid", *send, web, *key("curve"))
        self.refused("EC2InstanceStateInvalidException", "not in a valid state", *send, self.demo["instances"]["batch-1"], *key("own"))
        self.refused("EC2InstanceNotFoundException", "not found", *send, "i-0a11ce0000000009f", *key("own"))


class Sshd:
    """An sshd on the loopback, as whoever runs this, that asks the sandbox whom to let in."""

    def __init__(self, folder, endpoint, instance, user):
        self.folder, self.user = Path(folder), user
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "host"], check=True)
        for _ in range(20):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self.process = self.start(endpoint, instance)
            if self.process:
                return
        raise RuntimeError("no free port for sshd")

    def start(self, endpoint, instance):
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.folder}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile none\n"
            f"AuthorizedKeysCommandUser {self.user}\n"
            f"AuthorizedKeysCommand /usr/bin/env {BINARY} pushed-keys {endpoint} {instance} %u\n"
        )
        words = ["/usr/sbin/sshd", "-D", "-e", "-f", config]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "Server listening on" in line:
                # It must be able to say more.
                self.reader = threading.Thread(target=process.stderr.read)
                self.reader.start()
                return process
        process.wait()
        process.stderr.close()
        return None

    def login(self, name):
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=ERROR"]
        words = ["timeout", "60", "ssh", "-F", "none", "-p", str(self.port), "-l", self.user, "-i", str(self.folder / name)]
        words += [word for option in options for word in ("-o", option)]
        environment = {"PATH": os.environ["PATH"]}
        return subprocess.run([*words, "127.0.0.1", "echo inside"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()


class Boto(World):
    def client(self, service, credentials=None, keys=None, attempts=1):
        config = botocore.config.Config(retries={"total_max_attempts": attempts, "mode": "standard"})
        session = boto3.Session(**(keys or self.keys(credentials)), region_name=self.demo["region"])
        return session.client(service, endpoint_url=self.demo["endpoint"], config=config)

    def refused(self, code, call, **parameters):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["Error"]["Message"]

    def mfa_session(self):
        sts = self.client("sts")
        return sts.get_session_token(SerialNumber=self.demo["mfa_serial"], TokenCode=self.code())["Credentials"]

    def test_codes_are_taken_once(self):
        sts, code = self.client("sts"), self.code()
        ask = {"SerialNumber": self.demo["mfa_serial"], "TokenCode": code}
        reply = sts.get_session_token(**ask)
        self.assertEqual(self.refused("AccessDenied", sts.get_session_token, **ask), WRONG_CODE)
        self.assertRegex(reply["ResponseMetadata"]["RequestId"], r"^[0-9a-f]{8}-")
        self.assertEqual(reply["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"], reply["ResponseMetadata"]["RequestId"])
        credentials = reply["Credentials"]
        left = credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
        self.assertAlmostEqual(left.total_seconds(), 43200, delta=120)
        again = self.client("sts", credentials)
        self.refused("AccessDenied", again.get_session_token)
        state = self.control("state")
        self.assertEqual(state["calls"]["GetSessionToken"], {"calls": 3, "with_token_code": 2, "refused": 2})
        self.assertEqual(len(state["steps"][self.demo["mfa_serial"]]), 1)

    def test_roles(self):
        sts = self.client("sts", self.mfa_session())
        role = sts.assume_role(
            RoleArn=self.demo["roles"]["prod-admin"], RoleSessionName="boto", SourceIdentity="ada",
            Tags=[{"Key": "Team", "Value": "a b&<c>"}], TransitiveTagKeys=["Team"],
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}),
        )
        self.assertEqual(role["SourceIdentity"], "ada")
        self.assertIn(role["PackedPolicySize"], range(1, 101))
        self.assertTrue(role["AssumedRoleUser"]["AssumedRoleId"].endswith(":boto"))
        partner = {"RoleArn": self.demo["roles"]["partner"], "RoleSessionName": "boto"}
        self.refused("AccessDenied", sts.assume_role, **partner)
        sts.assume_role(**partner, ExternalId=self.demo["external_id"])
        self.refused("MalformedPolicyDocument", sts.assume_role, **partner, ExternalId=self.demo["external_id"], Policy="{")
        self.refused("AccessDenied", self.client("sts").get_access_key_info, AccessKeyId=self.demo["access_key_id"])
        info = self.client("sts", role["Credentials"]).get_access_key_info(AccessKeyId=self.demo["access_key_id"])
        self.assertEqual(info["Account"], self.demo["account"])

    def test_expiry_and_wrong_keys(self):
        session = self.mfa_session()
        self.client("sts", session).get_caller_identity()
        wrong = self.keys(session) | {"aws_session_token": "junk"}
        self.refused("InvalidClientTokenId", self.client("sts", keys=wrong).get_caller_identity)
        wrong = self.keys() | {"aws_secret_access_key": "junk"}
        self.refused("SignatureDoesNotMatch", self.client("sts", keys=wrong).get_caller_identity)
        wrong = self.keys() | {"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA"}
        self.refused("InvalidClientTokenId", self.client("sts", keys=wrong).get_caller_identity)
        self.control("clock", {"advance_millis": 20 * 60 * 1000})
        message = self.refused("SignatureDoesNotMatch", self.client("sts").get_caller_identity)
        self.assertRegex(message, r"^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$")

    def test_iam(self):
        self.refused("InvalidClientTokenId", self.client("iam", self.client("sts").get_session_token()["Credentials"]).get_user)
        own = self.client("iam")
        self.assertEqual(own.get_user()["User"]["Arn"], self.demo["user_arn"])
        made = own.create_access_key()["AccessKey"]
        self.refused("LimitExceeded", own.create_access_key)
        own.update_access_key(AccessKeyId=made["AccessKeyId"], Status="Inactive")
        self.assertEqual(
            {key["AccessKeyId"]: key["Status"] for key in own.list_access_keys()["AccessKeyMetadata"]},
            {made["AccessKeyId"]: "Inactive", self.demo["access_key_id"]: "Active"},
        )
        used = own.get_access_key_last_used(AccessKeyId=self.demo["access_key_id"])["AccessKeyLastUsed"]
        self.assertEqual((used["ServiceName"], used["Region"]), ("iam", self.demo["region"]))
        own.delete_access_key(AccessKeyId=made["AccessKeyId"])
        device = own.create_virtual_mfa_device(VirtualMFADeviceName="boto")["VirtualMFADevice"]
        self.assertRegex(device["Base32StringSeed"].decode(), r"^[A-Z2-7]{64}$")
        self.assertEqual(device["QRCodePNG"][:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(len(own.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"]), 1)
        self.refused("NoSuchEntity", own.get_account_password_policy)
        own.change_password(OldPassword=self.demo["password"], NewPassword="Another-Horse-8")

        role = self.client("sts", self.mfa_session()).assume_role(RoleArn=self.demo["roles"]["prod-admin"], RoleSessionName="boto")
        admin = self.client("iam", role["Credentials"])
        admin.create_user(UserName="eve")
        pages = admin.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1})
        self.assertEqual([user["UserName"] for page in pages for user in page["Users"]], ["ada", "eve"])
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": self.demo["user_arn"]}, "Action": "sts:AssumeRole"}]}
        arn = admin.create_role(RoleName="made", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        self.assertEqual(admin.get_role(RoleName="made")["Role"]["AssumeRolePolicyDocument"], trust)
        self.client("sts").assume_role(RoleArn=arn, RoleSessionName="boto")
        admin.create_group(GroupName="readers")
        admin.add_user_to_group(GroupName="readers", UserName="eve")
        self.assertEqual(admin.list_groups_for_user(UserName="eve")["Groups"][0]["GroupName"], "readers")
        admin.update_account_password_policy(MinimumPasswordLength=14, RequireSymbols=True)
        self.assertEqual(own.get_account_password_policy()["PasswordPolicy"]["MinimumPasswordLength"], 14)

    def test_key_pairs_and_instances(self):
        ec2 = self.client("ec2")
        made = ec2.create_key_pair(KeyName="made", KeyType="ed25519", KeyFormat="ppk")
        self.assertTrue(made["KeyMaterial"].startswith("PuTTY-User-Key-File-2: ssh-ed25519\r\n"))
        self.assertRegex(made["KeyPairId"], r"^key-[0-9a-f]{17}$")
        material = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq3v+8J4+/ATyjxOyQKIDdMBuVFAAUBjoTh somebody"
        tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "Team", "Value": "&<"}]}]
        own = ec2.import_key_pair(KeyName="own", PublicKeyMaterial=material, TagSpecifications=tags)
        digest = hashlib.sha256(base64.b64decode(material.split()[1])).digest()
        self.assertEqual(own["KeyFingerprint"], base64.b64encode(digest).decode())
        ec2.create_tags(Resources=[own["KeyPairId"]], Tags=[{"Key": "More", "Value": "x"}])
        shown = ec2.describe_key_pairs(KeyPairIds=[own["KeyPairId"]], IncludePublicKey=True)["KeyPairs"][0]
        self.assertEqual({tag["Key"]: tag["Value"] for tag in shown["Tags"]}, {"Team": "&<", "More": "x"})
        self.assertEqual(shown["PublicKey"].split()[1].encode(), material.split()[1])
        self.assertIsInstance(shown["CreateTime"], datetime.datetime)
        by_tag = ec2.describe_key_pairs(Filters=[{"Name": "tag:Team", "Values": ["&*"]}])["KeyPairs"]
        self.assertEqual([pair["KeyName"] for pair in by_tag], ["own"])
        reply = ec2.delete_key_pair(KeyPairId=own["KeyPairId"])
        self.assertEqual((reply["Return"], reply["KeyPairId"]), (True, own["KeyPairId"]))
        self.assertNotIn("KeyPairId", ec2.delete_key_pair(KeyName="own"))
        self.refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["own"])
        self.refused("DryRunOperation", ec2.create_key_pair, KeyName="dry", DryRun=True)
        self.refused("InvalidAction", ec2.run_instances, MinCount=1, MaxCount=1)

        pages = ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
        instances = [instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]]
        self.assertEqual(
            {instance["InstanceId"]: instance["State"]["Name"] for instance in instances},
            {self.demo["instances"][name]: state for name, state in (("web-1", "running"), ("batch-1", "stopped"), ("desk-1", "running"))},
        )
        self.refused("InvalidInstanceID.Malformed", ec2.describe_instances, InstanceIds=["web-1"])
        data = ec2.get_password_data(InstanceId=self.demo["instances"]["desk-1"])["PasswordData"]
        self.assertTrue(data.startswith("\r\n") and data.endswith("\r\n"), data)

        wrong = self.keys() | {"aws_secret_access_key": "junk"}
        self.refused("AuthFailure", self.client("ec2", keys=wrong).describe_regions)
        self.refused("InvalidSignatureException", self.client("ec2-instance-connect", keys=wrong).send_ssh_public_key,
                     InstanceId=self.demo["instances"]["web-1"], InstanceOSUser="ada", SSHPublicKey=material.decode())
        session = self.client("sts").get_session_token()["Credentials"]
        self.client("ec2", session).describe_regions()
        self.control("clock", {"advance_millis": 43_201_000})
        # botocore corrects its own clock by the first reply.
        self.refused("RequestExpired", self.client("ec2", session).describe_regions)

    def test_iam_may_be_slow_to_know(self):
        self.control("consistency", {"calls": 1, "millis": 0})
        made = self.client("iam").create_access_key()["AccessKey"]
        keys = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
        self.refused("InvalidClientTokenId", self.client("sts", keys=keys).get_caller_identity)
        self.client("sts", keys=keys).get_caller_identity()
        refuse = {"status": 409, "code": "EntityTemporarilyUnmodifiable", "message": "Wait."}
        self.control("faults", {"action": "DeactivateMFADevice", "kind": {"refuse": refuse}})
        iam = self.client("iam")
        with self.assertRaises(iam.exceptions.EntityTemporarilyUnmodifiableException):
            iam.deactivate_mfa_device(UserName="ada", SerialNumber=self.demo["mfa_serial"])

    def test_a_presigned_url(self):
        url = self.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
        with urllib.request.urlopen(url) as reply:
            self.assertIn(self.demo["user_arn"], reply.read().decode())
        self.control("clock", {"advance_millis": 61_000})
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url)
        with caught.exception as error:
            self.assertIn("Signature expired", error.read().decode())

    def test_faults_look_to_botocore_like_aws(self):
        fault = {"action": "GetCallerIdentity", "kind": {"throttle": 400}}
        self.control("faults", fault)
        self.refused("Throttling", self.client("sts").get_caller_identity)
        self.control("faults", fault)
        reply = self.client("sts", attempts=3).get_caller_identity()
        self.assertEqual(reply["ResponseMetadata"]["RetryAttempts"], 1)
        self.control("faults", {"kind": {"reset": {"done": False}}})
        with self.assertRaises(botocore.exceptions.HTTPClientError):
            self.client("sts").get_caller_identity()
        self.control("faults", {"kind": {"truncate": 50}})
        # Which of the two depends on botocore's version: a short body, or XML that does not end.
        with self.assertRaises((botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError)):
            self.client("sts").get_caller_identity()
        self.client("sts").get_caller_identity()


def aws():
    """The aws of this Python environment, else the one on PATH."""
    beside = Path(sys.executable).with_name("aws")
    found = str(beside) if beside.exists() else shutil.which("aws")
    if not found:
        sys.exit("clients.py: no aws command: pip install awscli boto3")
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and not re.match(r"(Cli|Boto)\b", sys.argv[1]):
        BINARY = sys.argv.pop(1)
    if not BINARY:
        sys.exit(__doc__)
    BINARY = os.path.abspath(BINARY)
    for name in ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_ENDPOINT_URL", "http_proxy", "HTTP_PROXY"):
        os.environ.pop(name, None)
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    unittest.main()
