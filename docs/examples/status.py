"""Asks the agent for its status: the protocol in ten lines. Usage: status.py SOCKET"""
import json, socket, sys

agent = socket.socket(socket.AF_UNIX)
agent.connect(sys.argv[1])
hello = {"id": 1, "hello": {"protocol": 1, "client": "status.py/1"}}
request = {"id": 2, "request": {"status": {}}}
agent.sendall("".join(json.dumps(line) + "\n" for line in (hello, request)).encode())
for line in agent.makefile():
    message = json.loads(line)
    if message["id"] == 2:
        sys.exit(print(json.dumps(message.get("reply") or message.get("fault"), indent=2)))
