"""The example of docs/PROTOCOL.md works as printed, and the promises about bad lines hold from a foreign client."""

import json
import pathlib
import socket
import unittest

import rig

EXAMPLE = pathlib.Path(__file__).parents[2] / "docs/examples/status.py"


class Protocol(unittest.TestCase):
    def setUp(self):
        self.claviger = self.enterContext(rig.Claviger(self.enterContext(rig.sandbox())))
        self.claviger.run("agent", "start")
        self.socket = self.claviger.folder / "claviger/run/agent.sock"

    def connect(self):
        agent = self.enterContext(socket.socket(socket.AF_UNIX))
        agent.settimeout(30)
        agent.connect(str(self.socket))
        lines = self.enterContext(agent.makefile())
        say = lambda *messages: agent.sendall(b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages))
        return say, lambda: json.loads(lines.readline())

    def test_the_example_prints_a_status(self):
        ran = self.claviger.spawn([rig.sys.executable, EXAMPLE, self.socket])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(json.loads(ran.stdout)["status"]["vault"], "absent")

    def test_a_bad_line_is_a_fault_that_repeats_nothing_and_the_connection_stays(self):
        say, hear = self.connect()
        say({"id": 1, "hello": {"protocol": 1, "client": "test/1"}}, b'{"id": 7, hunter2\n')
        self.assertEqual(hear()["hello"]["protocol"], 1)
        fault = hear()
        self.assertEqual(fault["fault"]["code"], "wire.bad_line")
        self.assertNotIn("hunter2", json.dumps(fault))
        say({"id": 8, "request": {"status": {}}})
        self.assertEqual(hear()["id"], 8)

    def test_a_line_over_the_cap_is_a_fault_and_the_end(self):
        say, hear = self.connect()
        say({"id": 1, "hello": {"protocol": 1, "client": "test/1"}})
        self.assertIn("hello", hear())
        try:
            say(b"x" * (256 * 1024 + 1))
        except BrokenPipeError:
            pass  # The agent may close before it has read everything.
        self.assertEqual(hear()["fault"]["code"], "wire.too_long")

    def test_an_unknown_protocol_is_a_fault_with_the_way_out(self):
        say, hear = self.connect()
        say({"id": 1, "hello": {"protocol": 99, "client": "test/1"}})
        fault = hear()["fault"]
        self.assertEqual((fault["code"], fault["hint"]), ("wire.protocol", "claviger agent restart"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
