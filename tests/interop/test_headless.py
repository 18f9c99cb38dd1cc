"""The whole job on a bare server: no terminal, no D-Bus, and an environment of HOME and PATH alone."""

import pathlib
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
        wrong = self.claviger.run("unlock", passphrase="wrong", check=False)
        self.assertEqual(wrong.returncode, 5, wrong.stderr)
        self.assertIn("vault.wrong_proof", wrong.stderr)
        self.claviger.run("unlock", passphrase=rig.PASSPHRASE)
        self.assertTrue(self.claviger.process()["AccessKeyId"].startswith("ASIA"))

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
        seen = 0
        for path in pathlib.Path(self.claviger.folder).rglob("*"):
            if "claviger" not in path.parts[len(self.claviger.folder.parts):] or ".config" in path.parts:
                continue
            self.assertEqual(path.lstat().st_mode & 0o077, 0, path)
            if path.is_file():
                seen += 1
                content = path.read_bytes()
                for secret in secrets:
                    self.assertNotIn(secret.encode(), content, path)
        self.assertGreaterEqual(seen, 2, "vault and state at least")


if __name__ == "__main__":
    unittest.main(verbosity=2)
