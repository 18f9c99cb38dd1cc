"""The whole job on a bare server: no terminal, no D-Bus, and an environment of HOME and PATH alone."""

import base64
import re
import unittest

import rig


class Headless(unittest.TestCase):
    def setUp(self):
        self.cast = self.enterContext(rig.sandbox())
        self.claviger = self.enterContext(rig.Claviger(self.cast))
        # The paths that HOME alone gives: no CLAVIGER_HOME, no AWS_CONFIG_FILE.
        home = self.claviger.folder
        self.claviger.env = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        (home / ".config").mkdir(mode=0o700)
        (home / "claviger" / "config").rename(home / ".config" / "claviger")
        (home / "claviger").rmdir()
        (home / ".aws").mkdir()
        self.claviger.aws_config.rename(home / ".aws" / "config")
        config = home / ".config" / "claviger" / "config.toml"
        config.write_text(re.sub(r"\[aws\]\n.*\n", "", config.read_text()))

    def test_init_add_login_process_unlock(self):
        recovery = self.claviger.init()
        self.assertRegex(recovery, r"^[A-Z2-7-]{32,}$")
        self.claviger.add()
        self.claviger.run("login", "prod")
        self.assertTrue(self.claviger.process()["AccessKeyId"].startswith("ASIA"))

        self.claviger.run("lock")
        self.claviger.run("unlock", passphrase=rig.PASSPHRASE)
        self.assertTrue(self.claviger.process()["AccessKeyId"].startswith("ASIA"))

        # Last, because the next guess after a wrong one has to wait.
        self.claviger.run("lock")
        wrong = self.claviger.run("unlock", passphrase="wrong", check=False)
        self.assertEqual(wrong.returncode, 5, wrong.stderr)
        self.assertIn("opens no slot", wrong.stderr)
        self.assertEqual(self.claviger.run("process", "prod", check=False).returncode, 3)

    def test_nothing_that_would_need_a_person_hangs(self):
        """With no descriptor and no terminal each question is a fault that says what to give instead."""
        for words in (["init"], ["unlock"], ["access-key", "add", "dev"]):
            ran = self.claviger.run(*words, check=False)
            self.assertNotEqual(ran.returncode, 0, words)
            self.assertTrue(ran.stderr.strip(), words)

    def test_files_are_private_and_hold_no_secret(self):
        self.claviger.ready()
        secrets = [self.cast.key[1], self.cast.seed, rig.PASSPHRASE]
        secrets += rig.key_of(self.claviger.process())[1:]
        home = self.claviger.folder
        self.assertTrue(self.holding(self.cast.key[1], home / ".aws", plant=True), "positive control")
        made = [path for path in home.rglob("*") if "claviger" in path.relative_to(home).parts and ".config" not in path.parts]
        self.assertIn("vault", [path.name for path in made])
        for path in made:
            self.assertEqual(path.lstat().st_mode & 0o077, 0, path)
        for secret in secrets:
            self.assertEqual(self.holding(secret, home), [])

    def holding(self, secret, folder, plant=False):
        """The files under a folder that hold a secret, also in hexadecimal or base64; `plant` puts it in one first."""
        text = secret.encode()
        if plant:
            (folder / "planted").write_bytes(b"x" + base64.b64encode(text))
        forms = [text, text.hex().encode(), *(base64.b64encode(b"x" * skip + text)[4:-4] for skip in range(3))]
        files = [path for path in folder.rglob("*") if path.is_file()]
        found = [path for path in files if any(form in path.read_bytes() for form in forms)]
        if plant:
            (folder / "planted").unlink()
        return found


if __name__ == "__main__":
    unittest.main(verbosity=2)
