"""Yubico's library on the one key that is plugged in: what its command line does not show, and the RFCs' vectors."""

import datetime
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from smartcard.scard import (
    SCARD_PROTOCOL_T1,
    SCARD_S_SUCCESS,
    SCARD_SCOPE_USER,
    SCARD_SHARE_SHARED,
    SCardConnect,
    SCardEstablishContext,
    SCardGetErrorMessage,
    SCardListReaders,
    SCardTransmit,
)
from ykman.pcsc import list_devices
from ykman.piv import generate_self_signed_certificate
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession
from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY, InvalidPinError, PivSession

MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
PIN = "123456"


def refused(status, call):
    """The call ends in this status word."""
    try:
        call()
    except ApduError as error:
        assert error.sw == status, hex(error.sw)
    else:
        raise AssertionError("it was allowed")


def oath(connection):
    session = OathSession(connection)
    # RFC 6238 appendix B: the seed of each hash, and the codes of two times.
    digits = b"12345678901234567890" * 4
    for name, algorithm, length, codes in (
        ("one", HASH_ALGORITHM.SHA1, 20, {59: "94287082", 1111111109: "07081804"}),
        ("two", HASH_ALGORITHM.SHA256, 32, {59: "46119246", 1111111109: "68084774"}),
        ("three", HASH_ALGORITHM.SHA512, 64, {59: "90693936", 1111111109: "25091201"}),
    ):
        data = CredentialData(name, OATH_TYPE.TOTP, algorithm, digits[:length], digits=8)
        credential = session.put_credential(data)
        for time, code in codes.items():
            assert session.calculate_code(credential, time).value == code, (name, time)
    # RFC 4226 appendix D.
    counter = session.put_credential(CredentialData("count", OATH_TYPE.HOTP, HASH_ALGORITHM.SHA1, digits[:20]))
    assert [session.calculate_code(counter).value for _ in range(3)] == ["755224", "287082", "359152"]
    # A list that does not fit into one answer.
    for number in range(28):
        session.put_credential(CredentialData(f"account-{number:02}-" + "x" * 40, OATH_TYPE.TOTP, HASH_ALGORITHM.SHA1, b"k" * 20))
    assert len(session.list_credentials()) == len(session.calculate_all()) == 32
    more = CredentialData("one too many", OATH_TYPE.TOTP, HASH_ALGORITHM.SHA1, b"k" * 20)
    if session.version < (5, 7, 0):
        refused(0x6A84, lambda: session.put_credential(more))
    # What another applet is selected for, the validation of this one is gone.
    session.set_key(session.derive_key("pw"))
    PivSession(connection)
    session = OathSession(connection)
    assert session.locked
    refused(0x6982, session.list_credentials)
    session.validate(session.derive_key("pw"))
    assert len(session.list_credentials()) == 32
    session.reset()
    assert not OathSession(connection).locked


def piv(connection):
    session = PivSession(connection)
    new = session.version >= (5, 7, 0)
    assert session.get_pin_attempts() == 3
    refused(0x6982, lambda: session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256))
    session.authenticate(MANAGEMENT_KEY)
    for key_type in (KEY_TYPE.RSA1024, KEY_TYPE.RSA2048, KEY_TYPE.ECCP256, KEY_TYPE.ECCP384):
        sign(session, key_type, session.generate_key(SLOT.AUTHENTICATION, key_type))
    imported = rsa.generate_private_key(65537, 2048)
    session.put_key(SLOT.AUTHENTICATION, imported)
    sign(session, KEY_TYPE.RSA2048, imported.public_key())
    refused(0x6A80, lambda: session.attest_key(SLOT.AUTHENTICATION))
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        imported, other = ec.generate_private_key(curve), ec.generate_private_key(curve)
        session.put_key(SLOT.KEY_MANAGEMENT, imported)
        session.verify_pin(PIN)
        secret = session.calculate_secret(SLOT.KEY_MANAGEMENT, other.public_key())
        assert secret == imported.exchange(ec.ECDH(), other.public_key())
    if new:
        # 3072 and 4096 bits of RSA: brought along, because making them takes long.
        for key_type, size in ((KEY_TYPE.RSA3072, 3072), (KEY_TYPE.RSA4096, 4096)):
            imported = rsa.generate_private_key(65537, size)
            session.put_key(SLOT.AUTHENTICATION, imported)
            sign(session, key_type, imported.public_key())
        sign(session, KEY_TYPE.ED25519, session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ED25519))
        imported, other = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
        session.put_key(SLOT.RETIRED1, imported)
        session.verify_pin(PIN)
        session.move_key(SLOT.RETIRED1, SLOT.RETIRED2)
        secret = session.calculate_secret(SLOT.RETIRED2, other.public_key())
        assert secret == imported.exchange(other.public_key())
        session.delete_key(SLOT.RETIRED2)
        refused(0x6A88, lambda: session.get_slot_metadata(SLOT.RETIRED2))
    policies(session)
    kind = MANAGEMENT_KEY_TYPE.AES256
    session.set_management_key(kind, bytes(range(32)))
    session = PivSession(connection)
    session.authenticate(bytes(range(32)))
    assert session.get_management_key_metadata().key_type == kind
    pins(session)


def sign(session, key_type, public):
    session.verify_pin(PIN)
    message = b"message" * 100
    def made(*more):
        return session.sign(SLOT.AUTHENTICATION, key_type, message, *more)
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(made(hashes.SHA256(), padding.PKCS1v15()), message, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(made(hashes.SHA256()), message)
    else:
        public.verify(made(hashes.SHA384()), message, ec.ECDSA(hashes.SHA384()))
    told = session.get_slot_metadata(SLOT.AUTHENTICATION)
    assert (told.key_type, told.public_key) == (key_type, public)


def policies(session):
    """A PIN for each use, or for none."""
    def made():
        return session.sign(SLOT.SIGNATURE, KEY_TYPE.ECCP256, b"x", hashes.SHA256())
    session.generate_key(SLOT.SIGNATURE, KEY_TYPE.ECCP256)
    told = session.get_slot_metadata(SLOT.SIGNATURE)
    assert (told.pin_policy, told.touch_policy, told.generated) == (PIN_POLICY.ALWAYS, TOUCH_POLICY.NEVER, True)
    session.verify_pin(PIN)
    made()
    refused(0x6982, made)
    session.generate_key(SLOT.SIGNATURE, KEY_TYPE.ECCP256, PIN_POLICY.NEVER, TOUCH_POLICY.CACHED)
    made()
    told = session.get_slot_metadata(SLOT.SIGNATURE)
    assert (told.pin_policy, told.touch_policy) == (PIN_POLICY.NEVER, TOUCH_POLICY.CACHED)


def pins(session):
    """Tries are counted, the PUK brings back a blocked PIN."""
    session.verify_pin(PIN)
    session.set_pin_attempts(2, 4)
    assert session.get_puk_metadata().total_attempts == 4
    for left in (1, 0, 0):
        try:
            session.verify_pin("654321")
        except InvalidPinError as error:
            assert error.attempts_remaining == left
        else:
            raise AssertionError("a wrong PIN was right")
    try:
        session.verify_pin(PIN)
    except InvalidPinError as error:
        assert error.attempts_remaining == 0
    else:
        raise AssertionError("a blocked PIN was right")
    session.unblock_pin("12345678", "222222")
    session.change_pin("222222", PIN)
    session.verify_pin(PIN)
    assert session.get_pin_metadata().attempts_remaining == 2
    session.reset()
    assert session.get_pin_metadata().default_value


def nitrokey(connection):
    """A key and a certificate in 9A; the public key goes to a file."""
    session = PivSession(connection)
    session.authenticate(MANAGEMENT_KEY)
    for wrong, left in (("999999", 2), (PIN, 3)):
        try:
            session.verify_pin(wrong)
        except InvalidPinError as error:
            assert error.attempts_remaining == left
    public = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.verify_pin(PIN)
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    later = day.replace(year=2046)
    certificate = generate_self_signed_certificate(session, SLOT.AUTHENTICATION, public, "CN=alice", day, later)
    session.put_certificate(SLOT.AUTHENTICATION, certificate)
    assert session.get_certificate(SLOT.AUTHENTICATION).public_key() == public
    with open("9a.pem", "wb") as file:
        file.write(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def apdus(commands):
    """Status words, one a line, until pcscd refuses. It holds no transaction: a client that does, and connects again to a
    reader that was pulled in that moment, is never answered by pcscd (1.9.9)."""
    _, context = SCardEstablishContext(SCARD_SCOPE_USER)
    _, names = SCardListReaders(context, [])
    result, card, protocol = SCardConnect(context, names[0], SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1)
    for command in commands:
        if result == SCARD_S_SUCCESS:
            result, answer = SCardTransmit(card, protocol, list(bytes.fromhex(command)))
        if result != SCARD_S_SUCCESS:
            print(SCardGetErrorMessage(result))
            sys.exit(1)
        print(bytes(answer)[-2:].hex(), flush=True)


def main():
    if sys.argv[1] == "apdus":
        return apdus(sys.argv[2:])
    [device] = list_devices("key")
    with device.open_connection(SmartCardConnection) as connection:
        {"oath": oath, "piv": piv, "nitrokey": nitrokey}[sys.argv[1]](connection)
    print("good")


main()
