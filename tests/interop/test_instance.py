"""Into an EC2 instance by the programs that people have: ssh, rsync, git and ansible, as the printed lines of
~/.ssh/config have them. The instance is a real sshd, which lets in whom a pushed key names. On our strict double, and on
moto, which nobody here wrote."""

import json
import os
import pathlib
import pwd
import shlex
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

import moto_pushed
import rig

USER = pwd.getpwuid(os.geteuid()).pw_name
PUSHED = pathlib.Path(moto_pushed.__file__).resolve()


class Entered:
    """The same story on each double. A double says `id`, `name` and `private_ip` of an instance, at which `address` its
    sshd listens, which `asks` that sshd has for its keys, and how many were `pushed`."""

    def setUp(self):
        self.cast = self.enterContext(self.double())
        self.claviger = self.enterContext(rig.Claviger(self.cast)).ready()
        self.folder = self.claviger.folder
        self.instance()
        self.host()
        self.claviger.run("ssh-key", "new", "work")
        lines = self.claviger.run("ssh", "--config", "--profile", "prod").stdout
        # What a person adds, before the lines: what is said first counts.
        self.configure(f"Host i-*\n    Port {self.port}\n    User {USER}\n{lines}")

    def host(self):
        """sshd on the loopback, with a home of its own; where a session begins the system says."""
        if os.geteuid() == 0:
            # Where sshd shuts itself in; made at boot where sshd is a service.
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.there = self.folder / "there"
        self.there.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "host"], check=True, timeout=60)
        for _ in range(20):
            with socket.create_server((self.address, 0)) as free:
                self.port = str(free.getsockname()[1])
            (self.folder / "sshd").write_text(
                f"ListenAddress {self.address}:{self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
                "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile none\n"
                f"AuthorizedKeysCommandUser {USER}\nAuthorizedKeysCommand /usr/bin/env {shlex.join(self.asks)} %u\n"
                f"Subsystem sftp internal-sftp\nPermitUserRC no\nSetEnv HOME={self.there}\n"
            )
            argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd")]
            # Between a free port and its use another may take it.
            if self.listens(argv):
                return
        raise RuntimeError("sshd found no free port")

    def listens(self, argv):
        """Whether it does; it ends with the test. What it says of logins is in its log before they go on."""
        self.log = self.folder / "sshd.log"
        with self.log.open("w") as log:
            server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log, env={"PATH": "/usr/bin"})
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        deadline = time.monotonic() + 60
        while "Server listening on" not in self.log.read_text():
            if server.poll() is not None:
                return False
            self.assertLess(time.monotonic(), deadline, "sshd neither listens nor ends")
            os.sched_yield()
        return True

    def logins(self):
        return self.log.read_text().count("Accepted publickey for ")

    def configure(self, lines):
        """What is in ~/.ssh/config. ssh looks for that in the home that the system knows, which is a person's own here:
        so programs find an ssh in the PATH that is told of another file."""
        config = self.folder / "ssh_config"
        config.write_text(lines)
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        for name in "ssh", "scp", "sftp":
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec /usr/bin/{name} -F {config} "$@"\n')
            script.chmod(0o700)
        path = f"{programs}:{self.claviger.env['PATH']}"
        nothing = {"GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
        self.env = {**self.claviger.env, **nothing, "PATH": path, "HOME": str(self.folder)}

    def spawn(self, *argv, check=True):
        ran = self.claviger.spawn([str(word) for word in argv], env=self.env, cwd=self.folder, start_new_session=True)
        if check and ran.returncode != 0:
            raise AssertionError(f"{argv}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
        return ran

    def enter(self, name, check=True):
        argv = ["ssh", "--profile", "prod", "--port", self.port, f"{USER}@{name}", "--", "-F", "none", "-o", "BatchMode=yes"]
        return self.claviger.run(*argv, "echo", "inside", check=check)

    def test_each_name_leads_there_and_boto3_pushes_as_claviger_does(self):
        public = self.claviger.run("ssh-key", "public", "work").stdout
        (self.folder / "work.pub").write_text(public)
        # Without a push of claviger's: the double alone decides.
        direct = ["/usr/bin/ssh", "-F", "none", "-p", self.port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
        direct += ["-o", f"IdentityAgent={self.folder}/claviger/run/ssh.sock", "-o", "UserKnownHostsFile=/dev/null"]
        direct += ["-o", "IdentitiesOnly=yes", "-i", self.folder / "work.pub", f"{USER}@{self.address}", "echo", "inside"]
        refused = self.spawn(*direct, check=False)
        self.assertEqual((refused.returncode, refused.stdout), (255, ""))
        self.assertIn("Permission denied (publickey)", refused.stderr)
        for name in self.id, self.name, self.private_ip:
            self.assertEqual(self.enter(name).stdout, "inside\n", name)
        self.assertEqual(self.pushed(), 3)
        # For somebody else; and for the user whose name it is.
        connect = rig.client("ec2-instance-connect", self.cast, rig.key_of(self.claviger.process()))
        pushes = {"InstanceId": self.id, "SSHPublicKey": public}
        other = self.claviger.run("ssh-key", "new", "theirs").stdout
        (self.folder / "theirs.pub").write_text(other)
        theirs = [self.folder / "theirs.pub" if word == self.folder / "work.pub" else word for word in direct]
        connect.send_ssh_public_key(**pushes | {"InstanceOSUser": "somebody-else", "SSHPublicKey": other})
        self.assertEqual(self.spawn(*theirs, check=False).returncode, 255)
        connect.send_ssh_public_key(**pushes | {"InstanceOSUser": USER, "SSHPublicKey": other})
        self.assertEqual(self.spawn(*theirs).stdout, "inside\n")

    def test_what_is_not_there_is_told(self):
        for name in "nobody", "i-0123456789abcdef0", "10.9.9.9":
            ran = self.enter(name, check=False)
            self.assertEqual(ran.returncode, 6, ran.stderr)
            self.assertIn(f"the account has no instance {name} in {rig.REGION}", ran.stderr)
        stopped = self.stopped()
        ran = self.enter(stopped, check=False)
        self.assertEqual(ran.returncode, 5, ran.stderr)
        self.assertIn(f"hint: aws ec2 start-instances --instance-ids {stopped}", ran.stderr)
        self.assertEqual(self.pushed(), 0)

    def test_ssh_by_the_lines_by_an_id_a_user_and_a_name(self):
        for destination in self.id, f"{USER}@{self.id}":
            self.assertEqual(self.spawn("ssh", destination, "echo", "inside").stdout, "inside\n")
        # A name of one's own for an id, and the tag: as the guide has them.
        lines = (self.folder / "ssh_config").read_text()
        self.assertEqual(lines.count("\nHost i-*\n"), 1)
        lines = lines.replace("\nHost i-*\n", f"\nHost i-* {self.name}\n")
        self.configure(f"Host {self.name}\n    Port {self.port}\n    User {USER}\n{lines}")
        self.assertEqual(self.spawn("ssh", self.name, "echo", "inside").stdout, "inside\n")
        self.assertEqual(self.pushed(), 3)
        pins = (self.folder / "claviger/data/known_instances").read_text().splitlines()
        self.assertEqual([pin.split()[0] for pin in pins], [f"[{self.id}]:{self.port}", f"[{self.name}]:{self.port}"])
        # Where no user is named, it is that of Amazon Linux.
        self.configure("\n".join(line for line in lines.splitlines() if line != f"    User {USER}") + "\n")
        shown = self.spawn("ssh", "-G", self.id).stdout.splitlines()
        self.assertIn("user ec2-user", shown)

    def test_rsync_there_and_back(self):
        sent, back = self.folder / "sent", self.folder / "back"
        (sent / "below").mkdir(parents=True)
        (sent / "below" / "a file").write_text("one\n")
        (sent / "big").write_bytes(os.urandom(1_000_000))
        self.spawn("rsync", "-a", f"{sent}/", f"{self.id}:{self.there}/got/")
        self.assertEqual((self.there / "got/big").read_bytes(), (sent / "big").read_bytes())
        (sent / "below" / "a file").write_text("two\n")
        (sent / "big").unlink()
        self.spawn("rsync", "-a", "--checksum", "--delete", f"{sent}/", f"{USER}@{self.id}:{self.there}/got/")
        self.spawn("rsync", "-a", f"{self.id}:{self.there}/got/", f"{back}/")
        self.assertEqual(sorted(str(path.relative_to(back)) for path in back.rglob("*")), ["below", "below/a file"])
        self.assertEqual((back / "below" / "a file").read_text(), "two\n")
        self.assertEqual((self.pushed(), self.logins()), (3, 3), "one for each run")

    def test_git_clones_pushes_and_fetches(self):
        def git(*words, folder="work"):
            who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"]
            return self.spawn("git", *who, "-C", self.folder / folder, *words).stdout

        git("init", "-q", "--bare", self.there / "repository", folder=".")
        git("clone", "-q", f"{self.id}:{self.there}/repository", "work", folder=".")
        git("commit", "-q", "--allow-empty", "-m", "first")
        git("push", "-q", "origin", "HEAD:main")
        # The other form of an address.
        git("clone", "-q", "-b", "main", f"ssh://{USER}@{self.id}{self.there}/repository", "again", folder=".")
        self.assertEqual(git("log", "--format=%s", folder="again"), "first\n")
        git("commit", "-q", "--allow-empty", "-m", "second", folder="again")
        git("push", "-q", folder="again")
        git("fetch", "-q")
        self.assertEqual(git("log", "--format=%s", "origin/main"), "second\nfirst\n")
        self.assertEqual((self.pushed(), self.logins()), (5, 5), "one for each connection")

    def test_ansible_runs_its_modules(self):
        def ansible(*words):
            ran = self.spawn(rig.VENV / "ansible", "all", *words)
            self.assertIn("SUCCESS" if "ping" in words else "CHANGED", ran.stdout)
            return ran.stdout

        # Its folder there is that of the user in the system's list, which is a person's own here.
        self.env["ANSIBLE_REMOTE_TEMP"] = str(self.there / "tmp")
        # Its ssh stays for a minute, for the next module; it ends here.
        self.addCleanup(self.end_shared)
        self.assertIn('"ping": "pong"', ansible("-i", f"{self.id},", "-m", "ping"))
        (self.folder / "sent").write_text("a file\n")
        target = self.there / "got"
        ansible("-i", f"{self.id},", "-m", "copy", "-a", f"src={self.folder}/sent dest={target}")
        self.assertEqual(target.read_text(), "a file\n")
        # A name in the inventory, for the id.
        (self.folder / "hosts").write_text(f"[web]\nmine ansible_host={self.id} ansible_user={USER}\n")
        said = ansible("-i", self.folder / "hosts", "-m", "command", "-a", "printenv HOME")
        self.assertIn(f"mine | CHANGED | rc=0 >>\n{self.there}", said)
        # How often it logs in, over connections that it shares, is its own affair.
        self.assertGreaterEqual(self.logins(), 2)
        self.assertEqual(self.pushed(), self.logins())

    def end_shared(self):
        for path in (self.folder / ".ansible/cp").iterdir():
            self.spawn("/usr/bin/ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "any")


class Sandbox(Entered, unittest.TestCase):
    double = staticmethod(rig.sandbox)

    def instance(self):
        self.id, self.name, self.private_ip, self.address = "i-0a11ce0000000001a", "web-1", "10.0.1.10", "127.0.0.1"
        self.asks = [str(rig.BIN / "claviger-sandbox"), "pushed-keys", self.cast.url, self.id]

    def pushed(self):
        with urllib.request.urlopen(f"{self.cast.url}/_sandbox/state", timeout=60) as state:
            return json.load(state)["calls"].get("SendSSHPublicKey", {"calls": 0})["calls"]

    def stopped(self):
        return "i-0a11ce0000000002b"


class Moto(Entered, unittest.TestCase):
    double = staticmethod(rig.moto)

    def instance(self):
        """In a network of loopback addresses, which moto lets be and AWS does not: so its private address is true."""
        moto_pushed.record(self.cast.url)
        self.ec2 = rig.client("ec2", self.cast, rig.key_of(self.claviger.process()))
        network = self.ec2.create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=network, CidrBlock="127.0.1.0/24")["Subnet"]["SubnetId"]
        self.name, self.private_ip = "web-1", "127.0.1.10"
        self.id, self.address = self.launch(self.name, self.private_ip), self.private_ip
        self.asks = [sys.executable, str(PUSHED), self.cast.url, self.id]

    def launch(self, name, address):
        image = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
        wanted = {"SubnetId": self.subnet, "PrivateIpAddress": address, "TagSpecifications": tags}
        launched = self.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **wanted)
        return launched["Instances"][0]["InstanceId"]

    def pushed(self):
        return len(moto_pushed.pushes(self.cast.url))

    def stopped(self):
        instance = self.launch("batch-1", "127.0.1.20")
        self.ec2.stop_instances(InstanceIds=[instance])
        return instance


if __name__ == "__main__":
    unittest.main(verbosity=2)
