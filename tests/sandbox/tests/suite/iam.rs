//! IAM: devices, keys, users, groups, roles, passwords.

use crate::common::{Keys, Rig, demo, rig};
use claviger_sandbox::{PasswordPolicy, Seed, SeedUser, code_at};
use data_encoding::{BASE32_NOPAD, BASE64};
use serde_json::json;

/// prod-admin, which may do everything in IAM.
fn administrator(rig: &Rig) -> Keys {
    let session = rig.session(Some(&rig.code(0)));
    rig.assume(&session, "prod-admin", &[]).ok().keys()
}

/// A new device and its seed.
fn new_device(rig: &Rig, keys: &Keys, name: &str) -> (String, Vec<u8>) {
    let reply = rig.iam(keys, "CreateVirtualMFADevice", &[("VirtualMFADeviceName", name)]).ok();
    let text = BASE64.decode(reply.text("Base32StringSeed").as_bytes()).unwrap();
    assert_eq!(text.len(), 64);
    assert!(BASE64.decode(reply.text("QRCodePNG").as_bytes()).unwrap().starts_with(b"\x89PNG"));
    (reply.text("SerialNumber").to_owned(), BASE32_NOPAD.decode(&text).unwrap())
}

#[test]
fn iam_refuses_sessions_without_mfa() {
    let rig = demo();
    rig.iam(&rig.ada(), "GetUser", &[]).ok();
    rig.iam(&rig.session(None), "GetUser", &[]).refused(
        403,
        "InvalidClientTokenId",
        "The security token included in the request is invalid",
    );
    rig.iam(&rig.session(Some(&rig.code(0))), "GetUser", &[]).ok();
}

#[test]
fn a_device_lives_from_create_to_delete() {
    let rig = demo();
    let ada = rig.ada();
    let (serial, seed) = new_device(&rig, &ada, "spare");
    rig.iam(&ada, "CreateVirtualMFADevice", &[("VirtualMFADeviceName", "spare")]).refused(
        409,
        "EntityAlreadyExists",
        "already exists",
    );
    let code = |seconds: i64| code_at(&seed, rig.now() + seconds * 1000);
    let enable = |first: &str, second: &str| {
        rig.iam(
            &ada,
            "EnableMFADevice",
            &[
                ("UserName", "ada"),
                ("SerialNumber", &serial),
                ("AuthenticationCode1", first),
                ("AuthenticationCode2", second),
            ],
        )
    };
    let session = |code: &str| rig.sts(&ada, "GetSessionToken", &[("SerialNumber", &serial), ("TokenCode", code)]);
    session(&code(0)).refused(403, "AccessDenied", "unable to validate MFA code");
    for (first, second) in [
        (code(0), code(0)),
        (code(0), code(-30)),
        (code(-30), code(30)),
        (code(-120), code(-90)),
        (code(0), "000000".to_owned()),
    ] {
        enable(&first, &second).refused(
            403,
            "InvalidAuthenticationCode",
            "Authentication code for device is not valid.",
        );
    }
    enable("12345", "123456").refused(400, "ValidationError", "'authenticationCode1'");
    let assigned = |status: &str| {
        rig.iam(&ada, "ListVirtualMFADevices", &[("AssignmentStatus", status)]).ok().body.contains(&serial)
    };
    assert!(assigned("Unassigned") && !assigned("Assigned"));
    enable(&code(-30), &code(0)).ok();
    assert!(assigned("Assigned") && !assigned("Unassigned") && assigned("Any"));
    enable(&code(0), &code(30)).refused(409, "EntityAlreadyExists", "in use");
    session(&code(0)).refused(403, "AccessDenied", "invalid MFA");
    session(&code(30)).ok();
    let step = rig.now() / 30_000;
    assert_eq!(rig.sandbox.steps_used(&serial), [step - 1, step, step + 1]);
    assert_eq!(rig.iam(&ada, "ListMFADevices", &[]).ok().body.matches("<SerialNumber>").count(), 2);

    rig.iam(&ada, "DeleteVirtualMFADevice", &[("SerialNumber", &serial)]).refused(409, "DeleteConflict", "deactivate");
    rig.iam(&ada, "DeactivateMFADevice", &[("SerialNumber", &serial), ("UserName", "ada")]).ok();
    rig.wait(60);
    session(&code(0)).refused(403, "AccessDenied", "unable to validate");
    rig.iam(&ada, "DeleteVirtualMFADevice", &[("SerialNumber", &serial)]).ok();
    rig.iam(&ada, "DeleteVirtualMFADevice", &[("SerialNumber", &serial)]).refused(
        404,
        "NoSuchEntity",
        "does not exist",
    );
}

#[test]
fn resync_learns_how_far_a_device_runs_off() {
    let rig = demo();
    let resync = |first: &str, second: &str| {
        rig.iam(
            &rig.ada(),
            "ResyncMFADevice",
            &[
                ("UserName", "ada"),
                ("SerialNumber", &rig.serial()),
                ("AuthenticationCode1", first),
                ("AuthenticationCode2", second),
            ],
        )
    };
    let session =
        |code: &str| rig.sts(&rig.ada(), "GetSessionToken", &[("SerialNumber", &rig.serial()), ("TokenCode", code)]);
    session(&rig.code(600)).refused(403, "AccessDenied", "invalid MFA");
    resync(&rig.code(570), &rig.code(570)).refused(403, "InvalidAuthenticationCode", "");
    resync(&rig.code(570), &rig.code(600)).ok();
    session(&rig.code(600)).refused(403, "AccessDenied", "invalid MFA");
    rig.wait(30);
    session(&rig.code(0)).refused(403, "AccessDenied", "invalid MFA");
    session(&rig.code(600)).ok();
}

#[test]
fn a_user_has_at_most_eight_devices() {
    let mut seed = Seed::demo(3);
    let seven = (1..=7).map(|index| (format!("more-{index}"), "B".repeat(32)));
    for (name, base32) in seven {
        seed.users[0] = seed.users[0].clone().with_mfa_device(&name, &base32);
    }
    let rig = rig(seed);
    let (serial, device) = new_device(&rig, &rig.ada(), "ninth");
    let codes = [code_at(&device, rig.now() - 30_000), code_at(&device, rig.now())];
    let parameters = [
        ("UserName", "ada"),
        ("SerialNumber", &serial),
        ("AuthenticationCode1", &codes[0]),
        ("AuthenticationCode2", &codes[1]),
    ];
    rig.iam(&rig.ada(), "EnableMFADevice", &parameters).refused(409, "LimitExceeded", "MFADevicesPerUser: 8");
    rig.iam(
        &rig.ada(),
        "DeactivateMFADevice",
        &[("UserName", "ada"), ("SerialNumber", &rig.seed.mfa_serial("more-1"))],
    )
    .ok();
    rig.iam(&rig.ada(), "EnableMFADevice", &parameters).ok();
}

#[test]
fn access_keys_rotate_within_the_quota() {
    let rig = demo();
    let ada = rig.ada();
    let made = rig.iam(&ada, "CreateAccessKey", &[]).ok();
    assert!(made.text("AccessKeyId").starts_with("AKIA") && made.text("AccessKeyId").len() == 20);
    let new =
        Keys { id: made.text("AccessKeyId").to_owned(), secret: made.text("SecretAccessKey").to_owned(), token: None };
    rig.iam(&ada, "CreateAccessKey", &[]).refused(409, "LimitExceeded", "AccessKeysPerUser: 2");
    let used = |id: &str| rig.iam(&ada, "GetAccessKeyLastUsed", &[("AccessKeyId", id)]).ok();
    assert_eq!(used(&new.id).text("ServiceName"), "N/A");
    assert_eq!(rig.sts(&new, "GetCallerIdentity", &[]).ok().text("Arn"), "arn:aws:iam::123456789012:user/ada");
    let last = used(&new.id);
    assert_eq!(
        (last.text("ServiceName"), last.text("Region"), last.text("LastUsedDate")),
        ("sts", "us-east-1", "2026-03-01T12:00:10Z")
    );
    rig.iam(&new, "UpdateAccessKey", &[("AccessKeyId", &ada.id), ("Status", "Off")]).refused(
        400,
        "ValidationError",
        "enum value set",
    );
    rig.iam(&new, "UpdateAccessKey", &[("AccessKeyId", &ada.id), ("Status", "Inactive")]).ok();
    rig.sts(&ada, "GetCallerIdentity", &[]).refused(403, "InvalidClientTokenId", "");
    rig.iam(&new, "UpdateAccessKey", &[("AccessKeyId", &ada.id), ("Status", "Active")]).ok();
    rig.sts(&ada, "GetCallerIdentity", &[]).ok();
    rig.iam(&new, "DeleteAccessKey", &[("AccessKeyId", &ada.id)]).ok();
    rig.sts(&ada, "GetCallerIdentity", &[]).refused(403, "InvalidClientTokenId", "");
    rig.iam(&new, "DeleteAccessKey", &[("AccessKeyId", &ada.id)]).refused(404, "NoSuchEntity", "Access Key");
    assert_eq!(rig.iam(&new, "ListAccessKeys", &[]).ok().body.matches("<AccessKeyId>").count(), 1);
}

#[test]
fn users_manage_themselves_and_nobody_else() {
    let mut seed = Seed::demo(7);
    seed.users.push(SeedUser::named("bob").with_access_key("AKIABOBBOBBOBBOBBOB0", "secret-of-nobody"));
    let rig = rig(seed);
    let why = "because no identity-based policy allows the iam:ListAccessKeys action";
    rig.iam(&rig.ada(), "ListAccessKeys", &[("UserName", "bob")]).refused(403, "AccessDenied", why);
    rig.iam(&rig.ada(), "ListAccessKeys", &[("UserName", "ada")]).ok();
    rig.iam(&rig.ada(), "ListUsers", &[]).refused(403, "AccessDenied", "iam:ListUsers");
    rig.iam(&rig.ada(), "DeleteAccessKey", &[("AccessKeyId", "AKIABOBBOBBOBBOBBOB0")]).refused(404, "NoSuchEntity", "");
    let bob = Keys { id: "AKIABOBBOBBOBBOBBOB0".to_owned(), secret: "secret-of-nobody".to_owned(), token: None };
    rig.iam(&bob, "GetUser", &[]).refused(403, "AccessDenied", "iam:GetUser");
    rig.sts(&bob, "GetCallerIdentity", &[]).ok();
}

#[test]
fn an_administrator_makes_users_groups_and_roles() {
    let rig = demo();
    let admin = administrator(&rig);
    assert_eq!(
        rig.iam(&admin, "CreateUser", &[("UserName", "kim"), ("Path", "/team/")]).ok().text("Arn"),
        "arn:aws:iam::123456789012:user/team/kim"
    );
    rig.iam(&admin, "CreateUser", &[("UserName", "eve")]).ok();
    rig.iam(&admin, "CreateUser", &[("UserName", "EVE")]).refused(409, "EntityAlreadyExists", "already exists");
    rig.iam(&admin, "CreateUser", &[("UserName", "a b")]).refused(400, "ValidationError", "'userName'");
    rig.iam(&admin, "GetUser", &[]).refused(400, "ValidationError", "Must specify userName");
    rig.iam(&admin, "GetUser", &[("UserName", "nobody")]).refused(
        404,
        "NoSuchEntity",
        "The user with name nobody cannot be found.",
    );
    let first = rig.iam(&admin, "ListUsers", &[("MaxItems", "1")]).ok();
    assert_eq!((first.text("UserName"), first.text("IsTruncated")), ("ada", "true"));
    let second = rig.iam(&admin, "ListUsers", &[("MaxItems", "1"), ("Marker", first.text("Marker"))]).ok();
    assert_eq!((second.text("UserName"), second.text("IsTruncated")), ("eve", "true"));

    rig.iam(&admin, "CreateGroup", &[("GroupName", "readers")]).ok();
    rig.iam(&admin, "AddUserToGroup", &[("GroupName", "readers"), ("UserName", "eve")]).ok();
    assert_eq!(rig.iam(&admin, "ListGroupsForUser", &[("UserName", "eve")]).ok().text("GroupName"), "readers");
    rig.iam(&admin, "AddUserToGroup", &[("GroupName", "engineers"), ("UserName", "eve")]).ok();
    let made = rig.iam(&admin, "CreateAccessKey", &[("UserName", "eve")]).ok();
    let eve =
        Keys { id: made.text("AccessKeyId").to_owned(), secret: made.text("SecretAccessKey").to_owned(), token: None };
    assert_eq!(rig.iam(&eve, "GetUser", &[]).ok().text("Path"), "/");

    let trust = |principal: &str| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}}).to_string()
    };
    let create = |name: &str, document: &str| {
        rig.iam(&admin, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", document)])
    };
    create("fresh", &trust("arn:aws:iam::123456789012:user/eve")).ok();
    create("ghost", &trust("arn:aws:iam::123456789012:user/ghost")).refused(
        400,
        "MalformedPolicyDocument",
        "Invalid principal in policy",
    );
    create("junk", "{").refused(400, "MalformedPolicyDocument", "invalid Json");
    rig.assume(&eve, "fresh", &[]).ok();
    let document = trust("arn:aws:iam::123456789012:user/ada");
    rig.iam(&admin, "UpdateAssumeRolePolicy", &[("RoleName", "fresh"), ("PolicyDocument", &document)]).ok();
    rig.assume(&eve, "fresh", &[]).refused(403, "AccessDenied", "sts:AssumeRole");
    let shown = rig.iam(&admin, "GetRole", &[("RoleName", "fresh")]).ok();
    assert_eq!(shown.text("MaxSessionDuration"), "3600");
    let decoded = percent_encoding::percent_decode_str(shown.text("AssumeRolePolicyDocument")).decode_utf8().unwrap();
    assert_eq!(decoded, document);
    assert_eq!(rig.iam(&admin, "ListRoles", &[]).ok().body.matches("<RoleName>").count(), 5);
    rig.iam(&admin, "GetRole", &[("RoleName", "ghost")]).refused(404, "NoSuchEntity", "ghost");
}

#[test]
fn passwords_follow_the_accounts_policy() {
    let rig = demo();
    let change =
        |old: &str, new: &str| rig.iam(&rig.ada(), "ChangePassword", &[("OldPassword", old), ("NewPassword", new)]);
    change("wrong", "Longer-Password-8").refused(403, "AccessDenied", "The old password was incorrect.");
    change("Correct-Horse-7", "short").refused(400, "PasswordPolicyViolation", "account password policy");
    change("Correct-Horse-7", "Longer-Password-8").ok();
    change("Correct-Horse-7", "Longer-Password-9").refused(403, "AccessDenied", "old password");
    rig.iam(&rig.ada(), "GetAccountPasswordPolicy", &[]).refused(
        404,
        "NoSuchEntity",
        "The Password Policy with domain name 123456789012 cannot be found.",
    );
    rig.iam(&rig.ada(), "UpdateAccountPasswordPolicy", &[]).refused(
        403,
        "AccessDenied",
        "iam:UpdateAccountPasswordPolicy",
    );
    let admin = administrator(&rig);
    rig.iam(&admin, "ChangePassword", &[("OldPassword", "a"), ("NewPassword", "b")]).refused(
        400,
        "InvalidUserType",
        "Only IAM Users",
    );
    rig.iam(&admin, "UpdateAccountPasswordPolicy", &[("MinimumPasswordLength", "5")]).refused(
        400,
        "ValidationError",
        "'minimumPasswordLength'",
    );
    rig.iam(&admin, "UpdateAccountPasswordPolicy", &[("MinimumPasswordLength", "20"), ("RequireSymbols", "true")]).ok();
    let shown = rig.iam(&rig.ada(), "GetAccountPasswordPolicy", &[]).ok();
    assert_eq!(
        (shown.text("MinimumPasswordLength"), shown.text("RequireSymbols"), shown.text("RequireNumbers")),
        ("20", "true", "false")
    );
    change("Longer-Password-8", "Longer-Password-9").refused(400, "PasswordPolicyViolation", "");
    change("Longer-Password-8", "a-much-longer-password-now").ok();
}

#[test]
fn everyone_may_change_their_password_where_the_account_says_so() {
    let user = |name: &str| SeedUser { password: Some("Old-Password-1".to_owned()), ..SeedUser::named(name) };
    let mut seed =
        Seed::empty("123456789012").with_user(user("bare").with_access_key("AKIABAREBAREBAREBARE", "secret-of-nobody"));
    let change = |rig: &Rig| {
        rig.iam(&rig.ada(), "ChangePassword", &[("OldPassword", "Old-Password-1"), ("NewPassword", "New-Password-2")])
    };
    change(&rig(seed.clone())).refused(403, "AccessDenied", "iam:ChangePassword");
    seed.password_policy = Some(PasswordPolicy { allow_users_to_change: true, ..PasswordPolicy::default() });
    change(&rig(seed)).ok();
}
