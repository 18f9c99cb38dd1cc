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
import struct
import subprocess
import sys
import tempfile
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
