"""SSH libraries that nobody here wrote, paramiko and asyncssh, on our SSH agent and on OpenSSH's: they list, they sign
with each type of key, and they log in to a real sshd."""

import asyncio
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest
import unittest.mock

import asyncssh
import paramiko

BIN = pathlib.Path(os.environ["CLAVIGER_BIN"]).resolve()
AGENTS = {"claviger": str(BIN / "claviger-ssh-agent"), "openssh": "/usr/bin/ssh-agent"}
KEYS = {
    "ed25519": ("ed25519", "256"),
    "p256": ("ecdsa", "256"),
    "p384": ("ecdsa", "384"),
    "p521": ("ecdsa", "521"),
    "rsa": ("rsa", "3072"),
}
HASHES = ("rsa-sha2-256", "rsa-sha2-512")


class Stage:
    """A folder with an agent, keys that it alone has, and sshd on the loopback that lets them in."""

    def __init__(self, test, agent):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="claviger-ssh-"))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.socket = str(self.folder / "agent.sock")
        self.env = {
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "CLAVIGER_HOME": str(self.folder / "claviger"),
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "SSH_AUTH_SOCK": self.socket,
        }
        self.start(test, [agent, "-D", "-a", self.socket], "SSH_AUTH_SOCK=", stdout=subprocess.PIPE)
        self.public = {}
        for name, (kind, bits) in KEYS.items():
            self.key(name, kind, bits)
            self.run("ssh-add", "-q", name)
            (self.folder / name).unlink()
        self.host(test)

    def run(self, *argv, **options):
        return subprocess.run(argv, cwd=self.folder, env=self.env, check=True, capture_output=True, timeout=60, **options)

    def key(self, name, kind="ed25519", bits="256"):
        self.run("ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f", name)
        self.public[name] = (self.folder / f"{name}.pub").read_text()

    def start(self, test, argv, ready, **pipe):
        """Starts a server and waits until it says this; false where it ends before. It ends with the test."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **pipe}
        server = subprocess.Popen(argv, cwd=self.folder, env=self.env, text=True, **options)
        test.addCleanup(server.wait)
        test.addCleanup(server.kill)
        said = server.stdout or server.stderr
        test.addCleanup(said.close)
        return any(ready in line for line in said)

    def host(self, test):
        if os.geteuid() == 0:
            # Where sshd shuts itself in; made at boot where sshd is a service.
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        (self.folder / "authorized").write_text("".join(self.public.values()))
        self.key("host")
        for _ in range(20):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            (self.folder / "sshd").write_text(
                f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
                f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nExposeAuthInfo yes\nPermitUserRC no\n"
                "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxAuthTries 20\n"
            )
            # Between a free port and its use another may take it.
            argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd")]
            if self.start(test, argv, "Server listening on", stderr=subprocess.PIPE):
                break
        else:
            raise RuntimeError("sshd found no free port")
        line = f"[127.0.0.1]:{self.port} {self.public['host']}"
        (self.folder / "known_hosts").write_text(line)

    def blob(self, name):
        return self.public[name].split()[1]


class Foreign(unittest.TestCase):
    def each(self):
        for name, agent in AGENTS.items():
            stage = Stage(self, agent)
            # paramiko finds its agent there alone.
            with self.subTest(agent=name), unittest.mock.patch.dict(os.environ, SSH_AUTH_SOCK=stage.socket):
                yield name, stage

    def test_paramiko(self):
        for _, stage in self.each():
            agent = paramiko.Agent()
            self.addCleanup(agent.close)
            keys = {key.comment: key for key in agent.get_keys()}
            self.assertEqual(list(keys), list(KEYS))
            for comment, key in keys.items():
                self.assertEqual(key.get_base64(), stage.blob(comment))
                for algorithm in HASHES if comment == "rsa" else (key.get_name(),):
                    signature = key.sign_ssh_data(b"data", algorithm)
                    self.assertEqual(paramiko.Message(signature).get_text(), algorithm)
                    self.assertTrue(key.inner_key.verify_ssh_sig(b"data", paramiko.Message(signature)), algorithm)
                    self.assertFalse(key.inner_key.verify_ssh_sig(b"other", paramiko.Message(signature)), algorithm)
            # SHA-1, which a key of ssh-add makes where it is asked for.
            signature = paramiko.Message(keys["rsa"].sign_ssh_data(b"data", "ssh-rsa"))
            self.assertEqual((signature.get_text(), len(signature.get_binary())), ("ssh-rsa", 384))
            for comment, key in keys.items():
                self.assertIn(stage.blob(comment), self.paramiko_login(stage, pkey=key, allow_agent=False))
            self.assertIn(stage.blob("ed25519"), self.paramiko_login(stage, allow_agent=True))

    def paramiko_login(self, stage, **options):
        with paramiko.SSHClient() as client:
            client.load_host_keys(str(stage.folder / "known_hosts"))
            client.connect(
                "127.0.0.1", stage.port, getpass.getuser(), look_for_keys=False, timeout=60, auth_timeout=60, **options
            )
            _, told, _ = client.exec_command('cat "$SSH_USER_AUTH"', timeout=60)
            return told.read().decode()

    def test_asyncssh(self):
        for _, stage in self.each():
            asyncio.run(asyncio.wait_for(self.asyncssh_drives(stage), 120))

    async def asyncssh_drives(self, stage):
        async with await asyncssh.connect_agent(stage.socket) as agent:
            keys = {key.get_comment(): key for key in await agent.get_keys()}
            self.assertEqual(list(keys), list(KEYS))
            for comment, key in keys.items():
                public = asyncssh.import_public_key(stage.public[comment])
                for algorithm in HASHES if comment == "rsa" else (key.algorithm.decode(),):
                    flags = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}.get(algorithm, 0)
                    signature = await agent.sign(public.public_data, b"data", flags)
                    self.assertTrue(public.verify(b"data", signature), algorithm)
                    self.assertFalse(public.verify(b"other", signature), algorithm)
                self.assertIn(stage.blob(comment), await self.asyncssh_login(stage, client_keys=[key], agent_path=None))
            self.assertIn(stage.blob("ed25519"), await self.asyncssh_login(stage, agent_path=stage.socket))
            # It adds, removes and locks as ssh-add does.
            new = asyncssh.generate_private_key("ssh-ed25519", comment="new")
            await agent.add_keys([new], lifetime=3600)
            self.assertEqual([key.get_comment() for key in await agent.get_keys()], [*KEYS, "new"])
            await agent.lock("passphrase")
            self.assertEqual(list(await agent.get_keys()), [])
            await agent.unlock("passphrase")
            self.assertEqual(len(await agent.get_keys()), len(KEYS) + 1)
            await agent.remove_keys([key for key in await agent.get_keys() if key.get_comment() == "new"])
            await agent.remove_all()
            self.assertEqual(list(await agent.get_keys()), [])

    async def asyncssh_login(self, stage, **options):
        known = str(stage.folder / "known_hosts")
        async with asyncssh.connect(
            "127.0.0.1", stage.port, username=getpass.getuser(), known_hosts=known, config=None, **options
        ) as client:
            return (await client.run('cat "$SSH_USER_AUTH"', check=True)).stdout


if __name__ == "__main__":
    unittest.main(verbosity=2)
