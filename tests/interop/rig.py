"""What the interop scripts share: claviger in a home of its own, and AWS doubles that nobody here wrote.

Programs come from the folder CLAVIGER_BIN. Everything listens on 127.0.0.1, on a port the kernel chose, and is ended
by its process id. `cargo xtask test` sets the environment; by hand:

    CLAVIGER_BIN=target/plain CLAVIGER_MINISTACK=target/venv-ministack/bin/ministack \\
        target/venv/bin/python3 tests/interop/test_clients.py
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types

import boto3
from botocore.config import Config

REGION = "us-east-1"
PASSPHRASE = "correct horse battery staple"
BIN = pathlib.Path(os.environ["CLAVIGER_BIN"]).resolve()
VENV = pathlib.Path(sys.executable).parent
# What the instances of the sandbox's demo account were launched with.
LAUNCH_KEY = pathlib.Path(__file__).resolve().parents[1] / "sandbox/src/world/demo-launch-key.pem"


def totp(seed, step=None):
    """RFC 6238 with SHA-1, six digits; the current step unless another is named."""
    key = base64.b32decode(seed + "=" * (-len(seed) % 8))
    digest = hmac.new(key, struct.pack(">Q", now_step() if step is None else step), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start:start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def now_step():
    return int(time.time()) // 30


def client(service, cast, key=None, region=None):
    """A boto3 client of a double; `key` is (id, secret) or (id, secret, token), the double's root without one."""
    key = key or cast.root
    return boto3.client(
        service,
        endpoint_url=cast.url,
        region_name=region or REGION,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_session_token=key[2] if len(key) > 2 else None,
        config=Config(retries={"max_attempts": 1}),
    )


def environment(home, **more):
    """The whole environment of a child: nothing of the person's own reaches it."""
    return {"HOME": str(home), "PATH": f"{BIN}:{VENV}:/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true", **more}


@contextlib.contextmanager
def program(argv, ready, **variables):
    """Runs a server; `ready` picks its URL from a line it prints. Ended by its process id, its output drained."""
    with tempfile.TemporaryDirectory(prefix="claviger-rig-") as home:
        server = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=home,
            env=environment(home, **variables),
        )
        drain = threading.Thread(target=lambda: [None for _ in server.stdout], daemon=True)
        try:
            said = []
            for line in server.stdout:
                said.append(line)
                if url := ready(line):
                    break
            else:
                raise RuntimeError(f"{argv[0]} did not start:\n{''.join(said[-20:])}")
            drain.start()
            yield url
        finally:
            server.kill()
            server.wait()
            if drain.ident:
                drain.join()
            server.stdout.close()
            server.stdin.close()


def after(words):
    """Picks what follows these words in a line."""
    return lambda line: line.split(words, 1)[1].strip() if words in line else None


@contextlib.contextmanager
def sandbox():
    """Our own strict double with its demo account."""
    said = {}

    def ready(line):
        said.update(json.loads(line))
        return said["endpoint"]

    with program([BIN / "claviger-sandbox"], ready) as url:
        yield types.SimpleNamespace(
            name="sandbox",
            url=url,
            key=(said["access_key_id"], said["secret_access_key"]),
            serial=said["mfa_serial"],
            seed=said["mfa_seed"],
            role=said["roles"]["prod-admin"],
            password=said["password"],
        )


@contextlib.contextmanager
def moto():
    """moto checks next to nothing: it shows that real clients and wide APIs get on with what claviger sends."""
    with program([VENV / "moto_server", "-H", "127.0.0.1", "-p", "0"], after("Running on ")) as url:
        yield account("moto", url)


@contextlib.contextmanager
def ministack():
    """ministack checks signatures, session tokens and trust policies. Its default is to listen on every interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [os.environ["CLAVIGER_MINISTACK"]]
    variables = {"AUTH": "true", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with program(argv, lambda line: f"http://127.0.0.1:{port}" if "Running on " in line else None, **variables) as url:
        assert_loopback_only(port)
        yield account("ministack", url)


@contextlib.contextmanager
def fakecloud():
    """fakecloud checks what no other does: that a code belongs to the device's seed."""
    with program([BIN / "claviger-fakecloud"], lambda line: line.strip()) as url:
        yield account("fakecloud", url)


def assert_loopback_only(port):
    """Fails where a port is open on more than the loopback (proc(5), net/tcp: local address, state 0A is LISTEN)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            address, hexport = fields[1].split(":")
            if fields[3] == "0A" and int(hexport, 16) == port and address != "0100007F":
                raise RuntimeError(f"port {port} is open beyond the loopback")


def account(name, url):
    """Sets up an emulator: a user with an access key and a virtual device, and a role that the account may assume."""
    cast = types.SimpleNamespace(name=name, url=url, root=("test", "test"))
    iam = client("iam", cast)
    user = iam.create_user(UserName="ada")["User"]["Arn"]
    allow = lambda actions, **more: {"Effect": "Allow", "Action": actions, "Resource": "*", **more}
    with_mfa = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
    statements = [allow(["sts:*"]), allow(["iam:ListUsers"], **with_mfa)]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="ada", PolicyName="ada", PolicyDocument=policy)
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    seed = device["Base32StringSeed"]
    seed = seed.decode() if isinstance(seed, bytes) else seed
    try:
        base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:
        # ministack's seed is hexadecimal; it checks no code, so any seed does.
        seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    codes = totp(seed, now_step() - 1), totp(seed)
    iam.enable_mfa_device(
        UserName="ada", SerialNumber=device["SerialNumber"], AuthenticationCode1=codes[0], AuthenticationCode2=codes[1]
    )
    root = f"arn:aws:iam::{user.split(':')[4]}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="prod", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow(["sts:*"])]})
    iam.put_role_policy(RoleName="prod", PolicyName="prod", PolicyDocument=policy)
    cast.key, cast.serial, cast.seed, cast.role = (
        (key["AccessKeyId"], key["SecretAccessKey"]), device["SerialNumber"], seed, role
    )
    return cast


class Claviger:
    """claviger in a temporary home, configured for one double: `prod` is the role, `tool` asks claviger for it."""

    def __init__(self, cast, **variables):
        self.cast = cast
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="claviger-rig-"))
        self.aws_config = self.folder / "aws-config"
        self.env = environment(
            self.folder, CLAVIGER_HOME=str(self.folder / "claviger"), AWS_CONFIG_FILE=str(self.aws_config), **variables
        )
        config = self.folder / "claviger" / "config"
        config.mkdir(parents=True, mode=0o700)
        url = cast.url
        (config / "config.toml").write_text(
            f'[aws]\nconfig_file = "{self.aws_config}"\n\n'
            f'[endpoints]\nallow = ["{url}"]\nsts = "{url}"\niam = "{url}"\nec2 = "{url}"\n'
            f'ec2_instance_connect = "{url}"\n'
        )
        self.aws_config.write_text(
            f"[profile dev]\nregion = {REGION}\n\n"
            f"[profile prod]\nrole_arn = {cast.role}\nsource_profile = dev\nregion = {REGION}\n\n"
            f"[profile tool]\ncredential_process = {BIN / 'claviger'} process prod\nregion = {REGION}\n"
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("agent", "stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, argv, text="", env=None, **options):
        return subprocess.run(argv, input=text, capture_output=True, text=True, env=env or self.env, timeout=180, **options)

    def run(self, *words, text="", check=True, passphrase=None, env=None):
        """Runs claviger in a session without a terminal; a passphrase goes in by a descriptor, as 3."""
        argv, options = [BIN / "claviger", *words], {"start_new_session": True}
        with contextlib.ExitStack() as open_ends:
            if passphrase is not None:
                reader, writer = os.pipe()
                open_ends.callback(os.close, reader)
                os.write(writer, passphrase.encode() + b"\n")
                os.close(writer)
                argv += ["--passphrase-fd", str(reader)]
                options["pass_fds"] = [reader]
            ran = self.spawn(argv, text, env, **options)
        if check and ran.returncode != 0:
            raise AssertionError(f"claviger {' '.join(words)}: exit {ran.returncode}\n{ran.stderr}")
        return ran

    def init(self):
        """A vault; returns its recovery code."""
        return self.run("init", passphrase=PASSPHRASE).stdout.strip()

    def add(self, seed=None, check=True):
        """The access key and the device."""
        self.run("access-key", "add", "dev", "--stdin", text="\n".join(self.cast.key) + "\n")
        words = ["mfa", "add", "--for", "dev", "--name", "phone", "--serial", self.cast.serial, "--seed-stdin"]
        return self.run(*words, text=seed or self.cast.seed, check=check)

    def ready(self):
        """All of it, up to a login."""
        self.init()
        self.add()
        self.run("login", "prod")
        return self

    def process(self, profile="prod", **options):
        """What credential_process gets."""
        return json.loads(self.run("process", profile, **options).stdout)


@contextlib.contextmanager
def endpoint(claviger, kind):
    """An endpoint of this process for `prod`."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(60)
        agent.connect(str(claviger.folder / "claviger/run/agent.sock"))
        asked = {"endpoint_open": {"profile": "prod", "kind": kind, "wait": 30}}
        lines = {"id": 1, "hello": {"protocol": 1, "client": "test/1"}}, {"id": 2, "request": asked}
        agent.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
        with agent.makefile() as answers:
            said = (json.loads(line) for line in answers)
            yield next(line["reply"]["endpoint"] for line in said if line["id"] == 2 and "event" not in line)


def key_of(credentials):
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
