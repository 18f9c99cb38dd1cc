//! What rotation, enrolment and a change of password meet: shapes, who is meant, delays of IAM, and errors on demand.

use crate::common::{Keys, Rig, demo, form, read, rig, signed};
use claviger_sandbox::{Consistency, Fault, FaultKind, PasswordPolicy, Seed, code_at};
use data_encoding::{BASE32_NOPAD, BASE64};

fn new_key(rig: &Rig) -> Keys {
    let made = rig.iam(&rig.ada(), "CreateAccessKey", &[]).ok();
    Keys { id: made.text("AccessKeyId").to_owned(), secret: made.text("SecretAccessKey").to_owned(), token: None }
}

#[test]
fn a_rotation_from_two_keys_and_back() {
    let rig = demo();
    let (old, new) = (rig.ada(), new_key(&rig));
    rig.iam(&old, "CreateAccessKey", &[]).refused(409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2");
    rig.sts(&new, "GetCallerIdentity", &[]).ok();
    let with = |keys: &Keys, action: &str, more: &[(&str, &str)]| {
        rig.iam(keys, action, &[&[("UserName", "ada"), ("AccessKeyId", &old.id)], more].concat())
    };
    with(&new, "UpdateAccessKey", &[("Status", "Inactive")]).ok();
    rig.sts(&old, "GetCallerIdentity", &[]).refused(403, "InvalidClientTokenId", "");
    // An inactive key counts as one of two.
    rig.iam(&new, "CreateAccessKey", &[]).refused(409, "LimitExceeded", "");
    with(&new, "UpdateAccessKey", &[("Status", "Active")]).ok();
    rig.sts(&old, "GetCallerIdentity", &[]).ok();
    with(&new, "UpdateAccessKey", &[("Status", "Expired")]).refused(400, "ValidationError", "enum value set");
    with(&new, "DeleteAccessKey", &[]).ok();
    with(&new, "DeleteAccessKey", &[]).refused(404, "NoSuchEntity", &old.id);
    with(&new, "UpdateAccessKey", &[("Status", "Active")]).refused(404, "NoSuchEntity", &old.id);
    rig.iam(&new, "CreateAccessKey", &[]).ok();
    let first = rig.iam(&new, "ListAccessKeys", &[("MaxItems", "1")]).ok();
    let second = rig.iam(&new, "ListAccessKeys", &[("MaxItems", "1"), ("Marker", first.text("Marker"))]).ok();
    assert_eq!((first.text("IsTruncated"), second.text("IsTruncated")), ("true", "false"));
    assert_ne!(first.text("AccessKeyId"), second.text("AccessKeyId"));
}

#[test]
fn ids_and_serials_have_their_shape() {
    let rig = demo();
    for id in ["AKIA", "AKIA-not-a-word-character", &"A".repeat(129)] {
        for action in ["DeleteAccessKey", "GetAccessKeyLastUsed"] {
            rig.iam(&rig.ada(), action, &[("AccessKeyId", id)]).refused(400, "ValidationError", "'accessKeyId'");
        }
    }
    rig.iam(&rig.ada(), "DeleteAccessKey", &[("AccessKeyId", "AKIAAAAAAAAAAAAAAAAA")]).refused(404, "NoSuchEntity", "");
    for serial in ["short", "arn:aws:iam::123456789012:mfa/a b", &"s".repeat(257)] {
        for action in ["DeactivateMFADevice", "DeleteVirtualMFADevice"] {
            rig.iam(&rig.ada(), action, &[("SerialNumber", serial)]).refused(400, "ValidationError", "'serialNumber'");
        }
    }
    rig.iam(&rig.ada(), "DeactivateMFADevice", &[("SerialNumber", &rig.serial())]).ok();
}

#[test]
fn a_session_says_whose_keys_it_means() {
    let rig = demo();
    let session = rig.session(Some(&rig.code(0)));
    let id = rig.ada().id;
    let update = [("AccessKeyId", id.as_str()), ("Status", "Active")];
    for (action, parameters) in [("ListAccessKeys", &[][..]), ("UpdateAccessKey", &update)] {
        rig.iam(&session, action, parameters).refused(400, "ValidationError", "Must specify userName");
        rig.iam(&session, action, &[parameters, &[("UserName", "ada")]].concat()).ok();
        rig.iam(&rig.ada(), action, parameters).ok();
    }
}

#[test]
fn a_new_key_is_not_known_at_once() {
    let rig = demo();
    rig.sandbox.set_consistency(Consistency { calls: 2, millis: 0 });
    let new = new_key(&rig);
    let ask = || rig.sts(&new, "GetCallerIdentity", &[]);
    for _ in 0..2 {
        ask().refused(403, "InvalidClientTokenId", "The security token included in the request is invalid.");
    }
    ask().ok();
    rig.sts(&rig.ada(), "GetCallerIdentity", &[]).ok();
    rig.iam(&rig.ada(), "DeleteAccessKey", &[("AccessKeyId", &new.id)]).ok();

    rig.sandbox.set_consistency(Consistency { calls: 0, millis: 10_000 });
    let new = new_key(&rig);
    let ask = || rig.sts(&new, "GetCallerIdentity", &[]);
    ask().refused(403, "InvalidClientTokenId", "");
    rig.ec2(&new, "us-east-1", "DescribeRegions", &[]).refused(401, "AuthFailure", "");
    rig.wait(9);
    ask().refused(403, "InvalidClientTokenId", "");
    rig.wait(1);
    ask().ok();
}

#[test]
fn a_new_device_is_not_known_at_once() {
    let mut seed = Seed::demo(7);
    seed.consistency = Consistency { calls: 1, millis: 0 };
    let rig = rig(seed);
    let ada = rig.ada();
    rig.sts(&ada, "GetCallerIdentity", &[]).ok();
    let made = rig.iam(&ada, "CreateVirtualMFADevice", &[("VirtualMFADeviceName", "spare")]).ok();
    let base32 = BASE64.decode(made.text("Base32StringSeed").as_bytes()).unwrap();
    let secret = BASE32_NOPAD.decode(&base32).unwrap();
    let serial = made.text("SerialNumber");
    let code = |seconds: i64| code_at(&secret, rig.now() + seconds * 1000);
    let (first, second) = (code(-30), code(0));
    let enable = || {
        let codes = [("AuthenticationCode1", first.as_str()), ("AuthenticationCode2", &second)];
        rig.iam(&ada, "EnableMFADevice", &[&[("UserName", "ada"), ("SerialNumber", serial)][..], &codes].concat())
    };
    enable().refused(404, "NoSuchEntity", serial);
    enable().ok();
    let session = || rig.sts(&ada, "GetSessionToken", &[("SerialNumber", serial), ("TokenCode", &code(30))]);
    session().refused(403, "AccessDenied", "unable to validate MFA code");
    // The code was not burned by that.
    session().ok();
}

#[test]
fn earlier_passwords_are_remembered_as_the_policy_says() {
    let mut seed = Seed::demo(7);
    seed.password_policy = Some(PasswordPolicy { reuse_prevention: Some(2), ..PasswordPolicy::default() });
    let rig = rig(seed);
    let change =
        |old: &str, new: &str| rig.iam(&rig.ada(), "ChangePassword", &[("OldPassword", old), ("NewPassword", new)]);
    change("Correct-Horse-7", "Correct-Horse-7").refused(400, "PasswordPolicyViolation", "account password policy");
    change("Correct-Horse-7", "second-one").ok();
    change("second-one", "Correct-Horse-7").refused(400, "PasswordPolicyViolation", "");
    change("second-one", "third-one").ok();
    change("third-one", "Correct-Horse-7").ok();
    for bad in [&"x".repeat(129), "", "snow\u{2603}man"] {
        let refused = change("Correct-Horse-7", bad);
        refused.refused(400, "ValidationError", "'newPassword'");
        assert!(bad.is_empty() || !refused.body.contains(bad), "{}", refused.body);
    }
    change("Correct-Horse-7", "üml\u{e4}ut and space").ok();
}

#[test]
fn any_error_on_demand_in_the_services_shape() {
    let rig = demo();
    let refuse = |action: &str, status: u16, code: &str| {
        let (code, message) = (code.to_owned(), "Try again in several minutes.".to_owned());
        rig.sandbox.inject(Fault::next(action, FaultKind::Refuse { status, code, message }));
    };
    for (code, action) in [
        ("EntityTemporarilyUnmodifiable", "EnableMFADevice"),
        ("ConcurrentModification", "DeactivateMFADevice"),
        ("LimitExceeded", "ChangePassword"),
    ] {
        refuse(action, 409, code);
        rig.iam(&rig.ada(), action, &[]).refused(409, code, "several minutes");
    }
    refuse("CreateAccessKey", 500, "ServiceFailure");
    rig.iam(&rig.ada(), "CreateAccessKey", &[]).refused(500, "ServiceFailure", "");
    let keys = rig.iam(&rig.ada(), "ListAccessKeys", &[]).ok();
    assert_eq!(keys.body.matches("<AccessKeyId>").count(), 1);
    refuse("DescribeKeyPairs", 500, "InternalError");
    let reply = rig.ec2(&rig.ada(), "us-east-1", "DescribeKeyPairs", &[]);
    reply.refused(500, "InternalError", "");
    assert!(reply.body.contains("<Response><Errors>"), "{}", reply.body);
}

/// What a client does not learn of happened all the same, whatever the service.
#[test]
fn an_action_may_be_done_and_its_reply_lost() {
    let rig = demo();
    let lose = |service: &str, action: &str, parameters: &[(&str, &str)]| {
        rig.sandbox.inject(Fault::next(action, FaultKind::Reset { done: true }));
        let request = signed(&rig.ada(), service, "us-east-1", rig.now(), form(service, action, parameters));
        assert_eq!(read(rig.sandbox.handle(request)).status, 500);
    };
    lose("iam", "CreateAccessKey", &[]);
    let keys = rig.iam(&rig.ada(), "ListAccessKeys", &[]).ok().body.matches("<AccessKeyId>").count();
    lose("iam", "CreateVirtualMFADevice", &[("VirtualMFADeviceName", "spare")]);
    let devices = rig.iam(&rig.ada(), "ListVirtualMFADevices", &[]).ok().body.matches("<SerialNumber>").count();
    assert_eq!((keys, devices), (2, 2));
    lose("iam", "DeactivateMFADevice", &[("SerialNumber", &rig.serial())]);
    assert!(!rig.iam(&rig.ada(), "ListMFADevices", &[]).ok().body.contains("<SerialNumber>"));
    lose("ec2", "CreateKeyPair", &[("KeyName", "lost"), ("KeyType", "ed25519")]);
    rig.ec2(&rig.ada(), "us-east-1", "DescribeKeyPairs", &[("KeyName.1", "lost")]).ok();
    lose("ec2", "DeleteKeyPair", &[("KeyName", "lost")]);
    rig.ec2(&rig.ada(), "us-east-1", "DescribeKeyPairs", &[("KeyName.1", "lost")]).refused(
        400,
        "InvalidKeyPair.NotFound",
        "",
    );
}
