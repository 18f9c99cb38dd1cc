"""What sshd asks where moto plays AWS: the keys that were pushed for this user to this instance, a line each.

moto says yes to SendSSHPublicKey and keeps nothing, so they come from its recording of requests. None of them ends.

    moto_pushed.py URL INSTANCE USER
"""

import base64
import json
import sys
import urllib.request

ACTION = "AWSEC2InstanceConnectService.SendSSHPublicKey"


def record(url):
    """moto records from now on, in the folder that it was started in."""
    request = urllib.request.Request(f"{url}/moto-api/recorder/start-recording", method="POST")
    urllib.request.urlopen(request, timeout=60).close()


def pushes(url):
    """What each SendSSHPublicKey asked for, in their order."""
    with urllib.request.urlopen(f"{url}/moto-api/recorder/download-recording", timeout=60) as recording:
        entries = [json.loads(line) for line in recording]
    # Names of headers come in the case that the client wrote them in.
    action = lambda entry: {name.lower(): value for name, value in entry["headers"].items()}.get("x-amz-target")
    return [json.loads(base64.b64decode(entry["body"])) for entry in entries if action(entry) == ACTION]


if __name__ == "__main__":
    url, instance, user = sys.argv[1:]
    for push in pushes(url):
        if (push["InstanceId"], push["InstanceOSUser"]) == (instance, user):
            print(push["SSHPublicKey"])
