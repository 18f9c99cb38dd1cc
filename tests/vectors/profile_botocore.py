#!/usr/bin/env python3
"""Compares the case files of tests/vectors/profile with what botocore reads from the same files.

Prints one line and exits 0 when every case agrees or differs as listed in DIFFERENCES; else names the cases and exits 1.
A listed difference that is none any more counts as a failure too. Needs botocore.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import botocore
import botocore.configloader
from botocore.exceptions import BotoCoreError
from botocore.session import Session

CASES = Path(__file__).parent / "profile"

STRICT = "botocore refuses duplicate sections and keys in one file; the SDKs merge them"
COMMENT = "botocore keeps an inline comment as a part of the value"
NAME = "botocore takes any name; the SDKs ignore one with other signs"
KEY = "botocore keeps keys that the SDKs ignore"
OUTER = "botocore does not trim the name within the brackets"
CREDENTIALS = "botocore takes every section of the credentials file for a profile"
BRACKET = "botocore takes the last bracket of the line for the section's end, also in a comment"
PREFIX = "botocore compares only the beginning of the word before a name"
MARK = "botocore does not know the byte order mark"
DEFAULTS = "Python copies [DEFAULT] into every section"
EARLIER = "botocore lets a later section replace an earlier one of the same name in another form"
LENIENT = "botocore reads on where that would lose what the line was meant for"
LIMIT = "botocore has no limits"

DIFFERENCES = {
    "byte-order-mark": MARK,
    "comments-empty": COMMENT,
    "comments-in-key": KEY,
    "comments-in-quotes": COMMENT,
    "comments-in-section-name": NAME,
    "comments-in-value-place": COMMENT,
    "comments-mixed": COMMENT,
    "comments-pound": COMMENT,
    "comments-semicolon": COMMENT,
    "comments-with-bracket": BRACKET,
    "credentials-outer-space": OUTER,
    "credentials-with-sso-session": CREDENTIALS,
    "credentials-with-word": CREDENTIALS,
    "default-in-capitals": DEFAULTS,
    "default-outer-space": OUTER,
    "default-with-word-and-credentials": STRICT,
    "default-with-word-first": EARLIER,
    "default-with-word-twice": STRICT,
    "duplicate-key": STRICT,
    "duplicate-key-across-sections": STRICT,
    "duplicate-key-other-case": STRICT,
    "duplicate-section": STRICT,
    "duplicate-section-other-form": EARLIER,
    "line-too-long": LIMIT,
    "line-too-long-comment": LIMIT,
    "name-characters": NAME,
    "name-quoted-badly": NAME,
    "name-unicode": NAME,
    "name-unicode-invisible": NAME,
    "name-with-bracket": NAME,
    "name-with-outer-spaces": OUTER,
    "nested-after-comment": COMMENT,
    "nested-empty-key": LENIENT,
    "nested-replaced": STRICT,
    "nul-in-comment": LENIENT,
    "nul-in-section": LENIENT,
    "nul-in-value": LENIENT,
    "property-with-bad-key": KEY,
    "property-with-bad-key-continued": KEY,
    "property-zero-width": KEY,
    "section-not-closed-with-equals": LENIENT,
    "section-with-blank-name": LENIENT,
    "section-with-text-behind": LENIENT,
    "section-word-longer": PREFIX,
    "sso-session-duplicate": STRICT,
    "sso-session-invalid-name": NAME,
    "too-many-continuations": LIMIT,
}


def unescaped(text):
    plain = {"r": "\r", "n": "\n", "t": "\t", "s": " ", "0": "\0", "\\": "\\", "\n": ""}

    def replacement(match):
        whole, code, fill, count = match.group(1, 2, 3, 4)
        if code:
            return chr(int(code, 16))
        if fill:
            return unescaped(fill) * int(count)
        return plain[whole]

    return re.sub(r"\\(u\{([0-9a-f]+)\}|\{([^}*]*)\*(\d+)\}|.|\n)", replacement, text)


def read_case(path):
    head, *parts = re.split(r"^--- (\w+)\n", path.read_text(encoding="utf-8"), flags=re.M)
    parts = dict(zip(parts[::2], parts[1::2]))
    expect = re.search(r"^expect: (\w+)$", head, flags=re.M).group(1)
    return expect, {name: text if name == "result" else unescaped(text) for name, text in parts.items()}


def expected(result):
    """The result part as botocore's dictionaries, without lines and without what was ignored."""
    found = {"profile": {}, "sso-session": {}, "services": {}}
    section = {}
    for line in result.splitlines():
        rest = line.split(" ", 1)[1]
        header = re.fullmatch(r"\[(profile|sso-session|services) (.*)\]", rest)
        if header:
            section = found[header.group(1)][header.group(2)] = {}
        elif re.fullmatch(r"[A-Z]\w+", rest):
            continue
        else:
            key, value = re.fullmatch(r"(.*?) =(?: (.*))?", rest).groups()
            outer, nested, inner = key.partition(" > ")
            if nested:
                if not isinstance(section[outer], dict):
                    section[outer] = {}
                section[outer][inner] = unescaped(value or "")
            else:
                section[key] = unescaped(value or "")
    return found


def botocore_reads(parts, folder):
    paths = {name: folder / name for name in ("config", "credentials")}
    for name, path in paths.items():
        path.unlink(missing_ok=True)
        if name in parts:
            path.write_bytes(parts[name].encode("utf-8"))
    session = Session()
    session.set_config_variable("config_file", str(paths["config"]))
    session.set_config_variable("credentials_file", str(paths["credentials"]))
    config = session.full_config
    return {
        "profile": config.get("profiles", {}),
        "sso-session": config.get("sso_sessions", {}),
        "services": config.get("services", {}),
    }


def main():
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    failures, compared, own = [], 0, 0
    unused = set(DIFFERENCES)
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(CASES.glob("*.case")):
            expect, parts = read_case(path)
            if "own" in parts:
                own += 1
                continue
            compared += 1
            try:
                actual = botocore_reads(parts, Path(folder))
            except BotoCoreError:
                actual = None
            wanted = expected(parts["result"]) if expect == "ok" else None
            unused.discard(path.stem)
            if (actual == wanted) == (path.stem in DIFFERENCES):
                failures.append(path.stem)
                print(f"{path.stem}: listed as different: {path.stem in DIFFERENCES}", file=sys.stderr)
                print(f"  case     {str(wanted)[:500]}\n  botocore {str(actual)[:500]}", file=sys.stderr)
    for name in sorted(unused):
        print(f"{name}: listed as different, and there is no such case", file=sys.stderr)
    if failures or unused or not compared:
        return 1
    print(
        f"botocore {botocore.__version__}: {compared} cases compared, {len(DIFFERENCES)} differ as listed, "
        f"{own} hold claviger's own file"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
