//! Virtual MFA devices.

use super::{new_name, page, user};
use crate::call::{Call, Outcome};
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::time;
use crate::totp;
use crate::world::Device;
use data_encoding::{BASE32_NOPAD, BASE64};

/// MFA devices a user may have.
const QUOTA: usize = 8;
/// A picture of one white dot. It is a PNG, but no QR code: clients take the seed.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let (name, path) = new_name(call, "VirtualMFADeviceName", 226)?;
    let serial = call.world.arn("iam", &format!("mfa{path}{name}"));
    call.authorize("iam:CreateVirtualMFADevice", &serial)?;
    if call.world.devices.contains_key(&serial) {
        return Err(Refusal::already_exists("MFADevice entity at the same path and name already exists."));
    }
    let seed = call.entropy.mfa_seed();
    let mut xml = Xml::default();
    xml.nest("VirtualMFADevice", |xml| {
        xml.text("SerialNumber", &serial)
            // A blob whose bytes are the base32 text (IAM API, VirtualMFADevice).
            .text("Base32StringSeed", BASE64.encode(BASE32_NOPAD.encode(&seed).as_bytes()))
            .text("QRCodePNG", PICTURE);
    });
    let unsettled = call.world.unsettled(call.now);
    let device = Device { serial: serial.clone(), seed, enabled: None, drift: 0, last_used: None, unsettled };
    call.world.devices.insert(serial, device);
    Ok(Some(xml))
}

pub(super) fn enable(call: &mut Call<'_>) -> Outcome {
    let (name, serial, codes) = two_codes(call, "iam:EnableMFADevice")?;
    if call.world.devices.values().filter(|device| owns(device, &name)).count() >= QUOTA {
        return Err(Refusal::limit_exceeded(format!("Cannot exceed quota for MFADevicesPerUser: {QUOTA}")));
    }
    let (now, unsettled) = (call.now, call.world.unsettled(call.now));
    let device = call.world.devices.get_mut(&serial).ok_or_else(|| unknown(&serial))?;
    if !device.unsettled.settles(now) {
        return Err(unknown(&serial));
    }
    if device.enabled.is_some() {
        return Err(Refusal::already_exists("MFA Device is already in use."));
    }
    let first = totp::accept_pair(&device.seed, &codes.0, &codes.1, totp::step_at(now), device.last_used)
        .ok_or_else(bad_code)?;
    device.enabled = Some((name, now));
    device.unsettled = unsettled;
    device.last_used = Some(first + 1);
    call.world.steps.entry(serial).or_default().extend([first, first + 1]);
    Ok(None)
}

pub(super) fn resync(call: &mut Call<'_>) -> Outcome {
    let (name, serial, codes) = two_codes(call, "iam:ResyncMFADevice")?;
    let now = totp::step_at(call.now);
    let device =
        call.world.devices.get_mut(&serial).filter(|device| owns(device, &name)).ok_or_else(|| unknown(&serial))?;
    let first = totp::accept_drifted(&device.seed, &codes.0, &codes.1, now, device.last_used).ok_or_else(bad_code)?;
    device.drift = first + 1 - now;
    device.last_used = Some(first + 1);
    call.world.steps.entry(serial).or_default().extend([first, first + 1]);
    Ok(None)
}

pub(super) fn deactivate(call: &mut Call<'_>) -> Outcome {
    let serial = serial_number(call)?;
    let name = call.user_name()?;
    call.authorize("iam:DeactivateMFADevice", &user::resource(call.world, &name))?;
    call.world.user(&name)?;
    let device =
        call.world.devices.get_mut(serial).filter(|device| owns(device, &name)).ok_or_else(|| unknown(serial))?;
    device.enabled = None;
    device.drift = 0;
    Ok(None)
}

pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let serial = serial_number(call)?;
    call.authorize("iam:DeleteVirtualMFADevice", serial)?;
    let device = call.world.devices.get(serial).ok_or_else(|| unknown(serial))?;
    if device.enabled.is_some() {
        return Err(Refusal::new(409, "DeleteConflict", "MFA VirtualDevice in use. Must deactivate first."));
    }
    call.world.devices.remove(serial);
    Ok(None)
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let name = call.user_name()?;
    call.authorize("iam:ListMFADevices", &user::resource(call.world, &name))?;
    call.world.user(&name)?;
    let devices: Vec<_> = call.world.devices.values().filter(|device| owns(device, &name)).collect();
    let xml = page::write(call.parameters, "MFADevices", &devices, |xml, device| {
        xml.text("UserName", &name).text("SerialNumber", &device.serial);
        if let Some((_, since)) = &device.enabled {
            xml.text("EnableDate", time::iso8601(*since));
        }
    })?;
    Ok(Some(xml))
}

pub(super) fn list_virtual(call: &mut Call<'_>) -> Outcome {
    let status = call.parameters.text("AssignmentStatus").unwrap_or("Any");
    let mut shape = Shape::default();
    if !["Any", "Assigned", "Unassigned"].contains(&status) {
        shape.fails("AssignmentStatus", status, "Member must satisfy enum value set: [Assigned, Unassigned, Any]");
    }
    shape.verdict()?;
    call.authorize("iam:ListVirtualMFADevices", &call.world.arn("iam", "mfa/"))?;
    let wanted = |device: &&Device| status == "Any" || device.enabled.is_some() == (status == "Assigned");
    let devices: Vec<_> = call.world.devices.values().filter(wanted).collect();
    let xml = page::write(call.parameters, "VirtualMFADevices", &devices, |xml, device| {
        xml.text("SerialNumber", &device.serial);
        let Some((owner, since)) = &device.enabled else { return };
        xml.text("EnableDate", time::iso8601(*since));
        if let Some(user) = call.world.users.get(owner) {
            xml.nest("User", |xml| {
                xml.text("Path", &user.path)
                    .text("UserName", &user.name)
                    .text("UserId", &user.id)
                    .text("Arn", call.world.user_arn(user))
                    .text("CreateDate", time::iso8601(user.created));
            });
        }
    })?;
    Ok(Some(xml))
}

/// The user, the serial and both codes of EnableMFADevice and ResyncMFADevice.
fn two_codes(call: &Call<'_>, action: &str) -> Result<(String, String, (String, String)), Refusal> {
    let parameters = call.parameters;
    let (first, second) = (parameters.text("AuthenticationCode1"), parameters.text("AuthenticationCode2"));
    let mut shape = Shape::default();
    for (field, code) in [("AuthenticationCode1", first), ("AuthenticationCode2", second)] {
        shape.required(field, code);
        shape.length(field, code, 6, 6);
        shape.digits(field, code);
    }
    shape.required("UserName", parameters.text("UserName"));
    shape.required("SerialNumber", parameters.text("SerialNumber"));
    serial_shape(&mut shape, parameters.text("SerialNumber"));
    shape.verdict()?;
    let name = call.user_name()?;
    call.authorize(action, &user::resource(call.world, &name))?;
    call.world.user(&name)?;
    let serial = parameters.text("SerialNumber").unwrap_or_default().to_owned();
    if !call.world.devices.contains_key(&serial) {
        return Err(unknown(&serial));
    }
    Ok((name, serial, (first.unwrap_or_default().to_owned(), second.unwrap_or_default().to_owned())))
}

fn serial_number<'a>(call: &Call<'a>) -> Result<&'a str, Refusal> {
    let serial = call.parameters.required("SerialNumber")?;
    let mut shape = Shape::default();
    serial_shape(&mut shape, Some(serial));
    shape.verdict()?;
    Ok(serial)
}

fn serial_shape(shape: &mut Shape, serial: Option<&str>) {
    shape.length("SerialNumber", serial, 9, 256);
    shape.characters("SerialNumber", serial, "+=/:,.@-");
}

fn owns(device: &Device, user: &str) -> bool {
    device.enabled.as_ref().is_some_and(|(owner, _)| owner == user)
}

fn bad_code() -> Refusal {
    Refusal::new(403, "InvalidAuthenticationCode", "Authentication code for device is not valid.")
}

fn unknown(serial: &str) -> Refusal {
    Refusal::no_such_entity(format!("VirtualMFADevice with serial number {serial} does not exist."))
}
