#!/usr/bin/env python3
"""Compares the plain AWS cases (`"botocore": true` in given.json) with the chain of roles that botocore would assume.

No network: the fetcher of AssumeRole is replaced by one that remembers what it was made with. A static key
`AKIAdev` in a case stands for the access key `dev` of the vault. Prints one line and exits 0 when every asked profile
agrees or differs as listed in DIFFERENCES; else names them and exits 1. A listed difference that is none any more
counts as a failure too. Needs botocore.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import botocore
import botocore.credentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

CASES = Path(__file__).parent

DIFFERENCES = {
    ("chain-source-with-key-and-role", "b"): "botocore takes static keys of a source profile before its role",
    ("chain-through-a-profile-without-role", "eu"): "botocore knows source_profile only beside role_arn",
    ("chain-through-a-profile-without-role", "prod"): "botocore knows source_profile only beside role_arn",
    ("role-without-source-own-key", "dev"): "an access key of the vault is a source without source_profile",
}


class Chain:
    """Credentials that only know where they come from."""

    def __init__(self, method, refresh_using, time_fetcher):
        self.method = method
        self.chain = refresh_using.chain


def fetcher(client_creator, source_credentials, role_arn, extra_args=None, **_):
    """In place of AssumeRoleCredentialFetcher: the roles so far, and this one."""
    settings = {key: str(value) for key, value in (extra_args or {}).items()}

    def fetch_credentials():
        raise AssertionError("nothing is fetched")

    fetch_credentials.chain = chain_of(source_credentials) + [(role_arn, settings.get("ExternalId"))]
    fetch_credentials.fetch_credentials = fetch_credentials
    fetch_credentials.feature_ids = set()
    return fetch_credentials


def chain_of(credentials):
    if isinstance(credentials, Chain):
        return credentials.chain
    return [credentials.access_key.removeprefix("AKIA")]


def botocore_chain(profile, config, credentials):
    session = Session()
    session.set_config_variable("profile", profile)
    session.set_config_variable("config_file", str(config))
    session.set_config_variable("credentials_file", str(credentials))
    try:
        found = session.get_credentials()
    except BotoCoreError:
        return None
    return chain_of(found) if found else None


def own_chain(text):
    """The chain of a profile's part of expect.txt: access key, then roles; None for a fault."""
    key = re.search(r"^  access key (\S+),", text, flags=re.M)
    if not key:
        return None
    chain = [key.group(1)]
    for role in re.finditer(r"^  \d+ AssumeRole (\S+) .*\n((?:      .*\n)*)", text, flags=re.M):
        external = re.search(r"^      external id (.*)$", role.group(2), flags=re.M)
        chain.append((role.group(1), external.group(1) if external else None))
    return chain


def written(folder, given, name, into):
    file = folder / name
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    for repeat in given.get("repeat", []):
        if repeat["file"] == name:
            for n in range(repeat["from"], repeat["to"] + 1):
                text += repeat["text"].replace("{n}", str(n)).replace("{n+1}", str(n + 1))
    path = into / name
    path.write_text(text, encoding="utf-8")
    return path


def main():
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    botocore.credentials.AssumeRoleCredentialFetcher = fetcher
    botocore.credentials.DeferredRefreshableCredentials = Chain
    botocore.credentials.create_mfa_serial_refresher = lambda refresh: refresh
    failures, compared, refused = 0, 0, 0
    unused = set(DIFFERENCES)
    for folder in sorted(path for path in CASES.iterdir() if (path / "given.json").exists()):
        given = json.loads((folder / "given.json").read_text(encoding="utf-8"))
        if not given.get("botocore"):
            continue
        expect = (folder / "expect.txt").read_text(encoding="utf-8")
        parts = re.split(r"^\[(.*)\]\n", expect, flags=re.M)[1:]
        parts = dict(zip(parts[::2], parts[1::2]))
        with tempfile.TemporaryDirectory() as temporary:
            files = [written(folder, given, name, Path(temporary)) for name in ("config", "credentials")]
            for profile in given["asked"]:
                theirs = botocore_chain(profile, *files)
                # Only the first plan: both have the same chain.
                ours = own_chain(parts[profile].partition("frozen:\n")[0])
                compared += 1
                refused += theirs is None
                listed = (folder.name, profile) in DIFFERENCES
                unused.discard((folder.name, profile))
                if (ours == theirs) == listed:
                    failures += 1
                    print(f"{folder.name} [{profile}]: listed as different: {listed}", file=sys.stderr)
                    print(f"  claviger {ours}\n  botocore {theirs}", file=sys.stderr)
    for name, profile in sorted(unused):
        print(f"{name} [{profile}]: listed as different, and there is no such case", file=sys.stderr)
    if failures or unused or not compared or not refused or refused == compared:
        return 1
    print(
        f"botocore {botocore.__version__}: {compared} profiles compared, {refused} of them refused, "
        f"{len(DIFFERENCES)} differ as listed"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
