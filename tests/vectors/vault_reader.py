#!/usr/bin/env python3
"""Reads claviger vaults and their state, from docs/reference/vault-format.md alone.

    vault_reader.py VAULT (--passphrase TEXT | --code TEXT | --keyring BASE64 | --device BASE64) [--state FILE]
    vault_reader.py --check FOLDER        the golden files, as FOLDER/expected.json describes them

Prints the names of the items and a digest of the document; no secret. Needs argon2-cffi and cryptography.
"""
import argparse, base64, hashlib, hmac, json, pathlib, struct, sys, unicodedata

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHUNK = 64 * 1024


class Bad(Exception):
    """The file is not a vault of this format, or the proof opens no slot."""


def need(condition, what):
    if not condition:
        raise Bad(what)


def derive(secret, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info.encode()).derive(secret)


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64(text):
    return base64.b64decode(text, validate=True)


def opened(key, nonce, sealed, ad):
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, ad)
    except InvalidTag:
        return None


def code_bits(text):
    letters = "".join(c for c in text.upper() if not c.isspace() and c != "-")
    need(len(letters) == 36, "a code has 36 characters")
    bits = base64.b32decode(letters[:32])
    check = base64.b32encode(hashlib.sha256(b"claviger/v1/recovery-check" + bits).digest())[:4]
    need(check == letters[32:].encode(), "the code's check is wrong")
    return bits


def opener(slot, passphrase, code, keyring, device):
    if slot["kind"] == "piv" and device is not None:
        points = unbase64(slot["ephemeral"]) + unbase64(slot["public"])
        return derive(unbase64(device), points, "claviger/v1/slot/piv")
    salt = unbase64(slot.get("salt", ""))
    if slot["kind"] == "fido2" and device is not None:
        need(slot["verified"] is True, "the secret of a user who was not verified")
        return derive(unbase64(device), salt, "claviger/v1/slot/fido2")
    if slot["kind"] == "passphrase" and passphrase is not None:
        text = unicodedata.normalize("NFC", passphrase).encode()
        stretched = hash_secret_raw(text, salt, slot["passes"], slot["memory_kib"], slot["lanes"], 32, Type.ID, 19)
        return derive(stretched, salt, "claviger/v1/slot/passphrase")
    if slot["kind"] == "recovery" and code is not None:
        return derive(code_bits(code), salt, "claviger/v1/slot/recovery")
    if slot["kind"] == "keyring" and keyring is not None:
        return derive(unbase64(keyring), salt, "claviger/v1/slot/keyring")
    return None


def master_key(header, passphrase, code, keyring, device):
    for slot in header["slots"]:
        key = opener(slot, passphrase, code, keyring, device)
        if key is None:
            continue
        public_part = {k: v for k, v in slot.items() if k not in ("key", "master", "share")}
        ad = b"claviger/v1/slot" + unbase64(header["vault_id"]) + canonical(public_part)
        private = opened(key, bytes(12), unbase64(slot["key"]), ad)
        if private is None:
            continue
        private = X25519PrivateKey.from_private_bytes(private)
        share, public = unbase64(slot["share"]), private.public_key().public_bytes_raw()
        shared = private.exchange(X25519PublicKey.from_public_bytes(share))
        master = opened(derive(shared, share + public, "claviger/v1/slot/master"), bytes(12), unbase64(slot["master"]), ad)
        need(master is not None, "the slot opens, but holds no master key")
        return master
    raise Bad("the proof opens no slot")


def read_vault(file, passphrase=None, code=None, keyring=None, device=None):
    need(len(file) >= 12 and file[:4] == b"CLVG", "no vault")
    _format, min_reader, length = struct.unpack(">HHI", file[4:12])
    need(min_reader <= 1, "needs a newer reader")
    need(length <= 64 * 1024 and len(file) >= 12 + length + 64, "cut off")
    text, end = file[12 : 12 + length], 12 + length
    need(hashlib.sha256(file[:end]).digest() == file[end : end + 32], "the checksum is wrong")
    covered, mac, payload = file[: end + 32], file[end + 32 : end + 64], file[end + 64 :]
    header = json.loads(text)
    need(canonical(header) == text, "the header is not canonical")
    need(header["critical"] == [] and header["payload_algorithm"] == "chacha20poly1305-stream-64k", "newer")
    need(header["payload_length"] == len(payload), "cut off")
    master, salt = master_key(header, passphrase, code, keyring, device), unbase64(header["salt"])
    found = hmac.digest(derive(master, salt, "claviger/v1/header-mac"), covered, "sha256")
    need(hmac.compare_digest(found, mac), "the header MAC is wrong")
    key, plain = derive(master, salt, "claviger/v1/payload"), b""
    chunks = [payload[at : at + CHUNK + 16] for at in range(0, len(payload), CHUNK + 16)]
    for number, chunk in enumerate(chunks):
        nonce = number.to_bytes(11, "big") + bytes([number == len(chunks) - 1])
        part = opened(key, nonce, chunk, mac)
        need(part is not None, "the payload is damaged")
        plain += part
    document = json.loads(plain)
    need(canonical(document) == plain, "the document is not canonical")
    return header, document, hashlib.sha256(plain).hexdigest()


def quarter(a, b, c, d, s):
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        mixed = s[z] ^ s[x]
        s[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha section 2.2."""
    s = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce))
    for _ in range(10):
        for lanes in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(*lanes, s)
        for lanes in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*lanes, s)
    return struct.pack("<8I", *s[:4], *s[12:])


def read_state(file, header, document):
    need(len(file) >= 56 and file[:4] == b"CLVS", "no state")
    need(struct.unpack(">H", file[6:8])[0] <= 1, "needs a newer reader")
    need(file[8:24] == unbase64(header["vault_id"]), "the state of another vault")
    key, records, at = derive(unbase64(document["state_key"]), file[24:56], "claviger/v1/state"), [], 56
    while at < len(file):
        length, inverse = struct.unpack(">II", file[at : at + 8])
        need(length ^ inverse == 0xFFFFFFFF, "a length is damaged")
        sealed = file[at + 8 : at + 8 + length]
        subkey, nonce = hchacha20(key, sealed[:16]), bytes(4) + sealed[16:24]
        text = opened(subkey, nonce, sealed[24:], file[:56] + len(records).to_bytes(8, "big"))
        need(text is not None, "a record is damaged")
        records.append(json.loads(text))
        at += 8 + length
    return records


def agreed(header, number, private):
    """What a card with this private key agrees on."""
    slot = next(slot for slot in header["slots"] if slot["id"] == number)
    key = ec.derive_private_key(int.from_bytes(unbase64(private), "big"), ec.SECP256R1())
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64(slot["ephemeral"]))
    return key.exchange(ec.ECDH(), peer)


def names(document):
    trash = [entry["name"] for entry in document["trash"]]
    more = [list(document.get(kind, {})) for kind in ("oath_authenticators", "enrolments", "rotations", "ssh_keys")]
    return list(document["access_keys"]) + list(document["authenticators"]) + sum(more, []) + trash


def refuses(read):
    try:
        read()
    except Bad:
        return True
    return False


def check(folder):
    expected = json.loads((folder / "expected.json").read_text())
    for name, vault in expected["vaults"].items():
        file = (folder / name).read_bytes()
        proofs = [{"passphrase": p} for p in vault["passphrases"]] + [{"code": c} for c in vault["codes"]]
        proofs += [{"keyring": secret} for secret in vault.get("keyring", {}).values()]
        proofs += [{"device": secret} for secret in vault.get("devices", {}).values()]
        for proof in proofs:
            header, document, digest = read_vault(file, **proof)
            need(digest == vault["digest"], f"{name}: another document")
            need(names(document) == vault["names"], f"{name}: other items")
            need(header["generation"] == vault["generation"], f"{name}: another generation")
        for slot, private in vault.get("piv_private", {}).items():
            shared = agreed(header, int(slot), private)
            need(shared == unbase64(vault["devices"][slot]), f"{name}: the card agrees on something else")
        need(refuses(lambda: read_vault(file, passphrase="wrong")), f"{name}: opens with anything")
        need(refuses(lambda: read_vault(file[:-1] + bytes([file[-1] ^ 1]), **proofs[0])), f"{name}: damage unseen")
        print(f"{name}: {len(proofs)} proofs, generation {vault['generation']}, {', '.join(names(document))}, {digest}")
    for name, state in expected["states"].items():
        vault = expected["vaults"][state["vault"]]
        header, document, _ = read_vault((folder / state["vault"]).read_bytes(), code=vault["codes"][0])
        file = (folder / name).read_bytes()
        records = read_state(file, header, document)
        need(len(records) == state["records"], f"{name}: {len(records)} records")
        need(refuses(lambda: read_state(file[:-1] + bytes([file[-1] ^ 1]), header, document)), f"{name}: damage unseen")
        print(f"{name}: {', '.join(record['type'] for record in records)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vault", nargs="?", type=pathlib.Path)
    parser.add_argument("--passphrase")
    parser.add_argument("--code")
    parser.add_argument("--keyring", metavar="BASE64")
    parser.add_argument("--device", metavar="BASE64")
    parser.add_argument("--state", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path, metavar="FOLDER")
    given = parser.parse_args()
    try:
        if given.check:
            return check(given.check)
        if not given.vault:
            parser.error("name a vault, or --check FOLDER")
        header, document, digest = read_vault(
            given.vault.read_bytes(), given.passphrase, given.code, given.keyring, given.device
        )
        print(f"generation {header['generation']}: {', '.join(names(document))}\n{digest}")
        if given.state:
            print(", ".join(record["type"] for record in read_state(given.state.read_bytes(), header, document)))
    except Bad as bad:
        sys.exit(f"vault_reader: {bad}")


if __name__ == "__main__":
    main()
