"""fakecloud checks codes against the device's seed: ours are accepted, wrong ones refused."""

import unittest

import rig
from botocore.exceptions import ClientError

OTHER_SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


class Fakecloud(unittest.TestCase):
    def setUp(self):
        self.cast = self.enterContext(rig.fakecloud())
        self.claviger = self.enterContext(rig.Claviger(self.cast))

    def test_the_double_itself_refuses_a_wrong_code(self):
        """Positive control: a double that takes any code would prove nothing."""
        sts = rig.client("sts", self.cast, self.cast.key)
        sts.get_session_token(SerialNumber=self.cast.serial, TokenCode=rig.totp(self.cast.seed))
        with self.assertRaises(ClientError):
            sts.get_session_token(SerialNumber=self.cast.serial, TokenCode=rig.totp(OTHER_SEED))

    def test_a_wrong_seed_is_refused_before_it_is_stored(self):
        self.claviger.init()
        ran = self.claviger.add(seed=OTHER_SEED, check=False)
        self.assertEqual(ran.returncode, 5, ran.stderr)
        self.assertIn("AWS refused the code", ran.stderr)
        self.assertNotIn(OTHER_SEED, ran.stderr)
        self.assertEqual(rig.json.loads(self.claviger.run("mfa", "list", "--json").stdout), [])

    def test_the_session_of_our_code_counts_as_mfa(self):
        self.claviger.ready()
        with self.assertRaises(ClientError):
            rig.client("iam", self.cast, self.cast.key).list_users()
        session = rig.key_of(self.claviger.process("dev"))
        names = [user["UserName"] for user in rig.client("iam", self.cast, session).list_users()["Users"]]
        self.assertEqual(names, ["ada"])
        role = rig.client("sts", self.cast, rig.key_of(self.claviger.process("prod"))).get_caller_identity()["Arn"]
        self.assertIn(":assumed-role/prod/", role)


if __name__ == "__main__":
    unittest.main(verbosity=2)
