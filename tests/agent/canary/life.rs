//! What an IAM user has at AWS, made, changed and taken away: to good ends, to bad ones, and with answers that are damaged.

use super::drive::{Drive, fresh};
use super::record::Class;

/// Milliseconds: more steps than have been spent.
const LATER: i64 = 1_200_000;

/// Devices, access keys and passwords of the user that `dev` is of.
pub(super) fn of_keys(drive: &Drive) {
    let malformed = || {
        let secret = fresh(20);
        drive.record.learn(Class::Malformed, &secret);
        secret
    };
    // Answers that a secret stands in, and that are none.
    let cut =
        "<CreateVirtualMFADeviceResponse><CreateVirtualMFADeviceResult><VirtualMFADevice><Base32StringSeed>SECRET";
    drive.tap.answer("CreateVirtualMFADevice", "200 OK", &cut.replace("SECRET", &malformed()));
    drive.run(&["mfa", "enroll", "dev", "--name", "tablet"], "").bad();
    let whole = format!(
        "{cut}</Base32StringSeed><SerialNumber>SECRET</SerialNumber></VirtualMFADevice></CreateVirtualMFADeviceResult>\
         </CreateVirtualMFADeviceResponse>"
    );
    drive.tap.answer("CreateVirtualMFADevice", "200 OK", &whole.replace("SECRET", &malformed()));
    drive.run(&["mfa", "enroll", "dev"], "").bad();
    drive.run(&["mfa", "enroll", "nobody"], "").bad();
    drive.run(&["mfa", "enroll", "dev", "--name", "tablet"], "").good();
    assert!(drive.tap.is_idle(), "the answers were fetched");

    drive.sandbox.set_offset(LATER);
    drive.run(&["whoami", "prod"], "").good();
    drive.run(&["mfa", "resync", "tablet"], "").good();
    drive.run(&["mfa", "resync", "nobody"], "").bad();
    drive.run(&["mfa", "deactivate", "nobody"], "").bad();
    drive.run(&["mfa", "deactivate", "tablet"], "").good();

    let cut = "<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><SecretAccessKey>SECRET";
    drive.tap.answer("CreateAccessKey", "200 OK", &cut.replace("SECRET", &malformed()));
    drive.run(&["access-key", "rotate", "dev"], "").bad();
    drive.run(&["access-key", "rotate", "nobody"], "").bad();
    drive.run(&["access-key", "rotate", "dev"], "").good();
    assert!(drive.tap.is_idle(), "the answers were fetched");
    drive.proven(&["access-key", "export", "dev"]).good();

    let change = ["password", "change", "dev", "--old-fd", "3", "--new-fd", "4"];
    let password = |text: String| {
        drive.record.learn(Class::Password, &text);
        text
    };
    let before = password(drive.sandbox.text("password").to_owned());
    let (wrong, next, weak) = (password(fresh(10)), password(format!("{}-A1", fresh(10))), password(fresh(10)));
    drive.given(&change, &[&wrong, &next]).bad();
    drive.given(&change, &[&before, &weak]).bad();
    drive.given(&change, &[&before, &next]).good();
    let made = ["password", "change", "dev", "--old-fd", "3", "--generate"];
    let made = drive.given(&made, &[&next]).good();
    password(made.trim_end().to_owned());
}
