"""Processes around an endpoint.

usage: endpoint.py open SOCKET PROFILE KIND LINGER    open one, print the reply, hold it until stdin ends
       endpoint.py get URL NAME:VALUE…                print status and body of a GET, as JSON
"""

import http.client
import json
import socket
import sys
import urllib.parse


def open_endpoint(path, profile, kind, linger):
    agent = socket.socket(socket.AF_UNIX)
    agent.connect(path)
    asked = {"profile": profile, "kind": kind, "wait": 60, "linger": int(linger)}
    lines = {"id": 1, "hello": {"protocol": 1, "client": "test/0"}}, {"id": 2, "request": {"endpoint_open": asked}}
    agent.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
    for line in agent.makefile():
        message = json.loads(line)
        if message["id"] == 2 and "event" not in message:
            print(json.dumps(message.get("reply") or message), flush=True)
            break
    agent.close()
    sys.stdin.read()


def get(url, *headers):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", parts.path, headers=dict(header.split(":", 1) for header in headers))
    answer = connection.getresponse()
    print(json.dumps([answer.status, answer.read().decode()]))


{"open": open_endpoint, "get": get}[sys.argv[1]](*sys.argv[2:])
