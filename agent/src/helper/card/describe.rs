//! What a card is: serial number, firmware, applets and the tries that are left. None of it costs a try.

use super::link::{Apdu, Link, Status, fields, unexpected};
use super::oath;
use super::piv::{self, MORE};
use crate::device::Error;
use crate::device::protocol::{CardInfo, PivInfo};
use claviger::model::Firmware;

/// Yubico OTP: the serial number of firmware 4, whose PIV applet does not tell it.
const OTP: [u8; 7] = [0xa0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];

pub(super) fn describe(link: &mut dyn Link) -> Result<CardInfo, Error> {
    let mut card = CardInfo { serial: None, firmware: None, piv: None, oath: None };
    if let Some(oath) = oath::select(link)? {
        card.firmware = Some(oath.version);
        card.oath = Some(oath.info());
    }
    if select(link, &piv::NAME)?.is_some() {
        let piv = describe_piv(link)?;
        card.serial = number(link, &Apdu::new(0xf8, 0, 0))?;
        card.firmware = Some(piv.version);
        card.piv = Some(piv);
    }
    if card.serial.is_none() && select(link, &OTP)?.is_some() {
        card.serial = number(link, &Apdu::new(0x01, 0x10, 0))?;
    }
    Ok(card)
}

/// Selects an applet; None where the card has none of that name.
fn select(link: &mut dyn Link, name: &[u8]) -> Result<Option<()>, Error> {
    match Apdu::select(name).exchange(link, MORE)?.1 {
        Status::OK => Ok(Some(())),
        Status::NOT_FOUND | Status::WRONG_DATA | Status::INSTRUCTION | Status::CONDITIONS => Ok(None),
        other => Err(unexpected(other)),
    }
}

fn describe_piv(link: &mut dyn Link) -> Result<PivInfo, Error> {
    // Not of YubiKeys alone: others have no such instruction.
    let version = match Apdu::new(0xfd, 0, 0).exchange(link, MORE)? {
        (answer, Status::OK) => match answer.as_slice() {
            [major, minor, patch] => Firmware(*major, *minor, *patch),
            _ => return Err(Error::BadAnswer("a version of another length".to_owned())),
        },
        _ => Firmware(0, 0, 0),
    };
    Ok(PivInfo { version, pin_tries: pin_tries(link)?, puk_tries: metadata_tries(link, 0x81)? })
}

/// By the metadata, else by a VERIFY without a PIN (NIST SP 800-73-4 part 2, section 3.2.1): of firmware 5.3.1 that
/// forgets a verified PIN.
fn pin_tries(link: &mut dyn Link) -> Result<Option<u8>, Error> {
    if let Some(tries) = metadata_tries(link, 0x80)? {
        return Ok(Some(tries));
    }
    Ok(match Apdu::new(0x20, 0, 0x80).exchange(link, MORE)?.1 {
        Status(word) if word & 0xfff0 == 0x63c0 => u8::try_from(word & 0x000f).ok(),
        // Blocked (ISO 7816-4).
        Status(0x6983) => Some(0),
        _ => None,
    })
}

/// Of the PIN (80) or the PUK (81), by GET METADATA (firmware 5.3): field 6, tries in all and tries left.
fn metadata_tries(link: &mut dyn Link, reference: u8) -> Result<Option<u8>, Error> {
    let (answer, Status::OK) = Apdu::new(0xf7, 0, reference).exchange(link, MORE)? else { return Ok(None) };
    let fields = fields(&answer)?;
    Ok(fields.iter().find_map(|(tag, value)| match (tag, value) {
        (6, [_, left]) => Some(*left),
        _ => None,
    }))
}

/// Four bytes, big end first; None where the card does not tell.
fn number(link: &mut dyn Link, apdu: &Apdu) -> Result<Option<u32>, Error> {
    let (answer, status) = apdu.exchange(link, MORE)?;
    Ok(answer.first_chunk::<4>().filter(|_| status == Status::OK).map(|bytes| u32::from_be_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::link::script::ScriptedLink;
    use super::describe;
    use crate::device::Error;
    use claviger::model::Firmware;

    const NO_OATH: &str = "> 00 a4 04 00 07 a0 00 00 05 27 21 01\n< 6a 82\n";
    const PIV: &str = "> 00 a4 04 00 0b a0 00 00 03 08 00 00 10 00 01 00\n< 61 11 4f 06 90 00\n";

    #[test]
    fn a_card_of_firmware_5_tells_its_serial_and_both_tries() {
        let script = "
            > 00 a4 04 00 07 a0 00 00 05 27 21 01
            < 79 03 05 07 01 71 08 01 02 03 04 05 06 07 08 74 08 11 11 11 11 11 11 11 11 7b 01 01 90 00
            > 00 a4 04 00 0b a0 00 00 03 08 00 00 10 00 01 00
            < 90 00
            > 00 fd 00 00
            < 05 07 01 90 00
            > 00 f7 00 80
            < 01 01 ff 05 01 01 06 02 03 02 90 00
            > 00 f7 00 81
            < 01 01 ff 05 01 01 06 02 03 00 90 00
            > 00 f8 00 00
            < 00 bc 61 4e 90 00";
        let card = describe(&mut ScriptedLink::new(script)).unwrap();
        assert_eq!((card.serial, card.firmware), (Some(12_345_678), Some(Firmware(5, 7, 1))));
        let piv = card.piv.unwrap();
        assert_eq!((piv.pin_tries, piv.puk_tries), (Some(2), Some(0)));
        let oath = card.oath.unwrap();
        assert!(oath.locked && oath.id.0 == [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn an_older_one_is_asked_otherwise() {
        let script = format!(
            "{NO_OATH}> 00 a4 04 00 0b a0 00 00 03 08 00 00 10 00 01 00\n< 90 00
            > 00 fd 00 00\n< 04 03 07 90 00\n> 00 f7 00 80\n< 6d 00\n> 00 20 00 80\n< 63 c3\n> 00 f7 00 81\n< 6d 00
            > 00 f8 00 00\n< 6d 00\n> 00 a4 04 00 07 a0 00 00 05 27 20 01\n< 04 03 07 90 00\n> 00 01 10 00\n< 00 00 00 07 90 00"
        );
        let card = describe(&mut ScriptedLink::new(&script)).unwrap();
        assert_eq!((card.serial, card.piv.unwrap().pin_tries), (Some(7), Some(3)));
        assert_eq!(card.oath, None);
    }

    #[test]
    fn garbage_and_a_card_pulled_out_are_errors() {
        let endless = format!("{NO_OATH}{PIV}{}", "> 00 c0 00 00\n< 61 00\n".repeat(0));
        assert!(describe(&mut ScriptedLink::new(&format!("{endless}> 00 fd 00 00\n< gone"))).is_err());
        let garbage =
            format!("{NO_OATH}> 00 a4 04 00 0b a0 00 00 03 08 00 00 10 00 01 00\n< 90 00\n> 00 fd 00 00\n< 05 90 00");
        assert!(matches!(describe(&mut ScriptedLink::new(&garbage)), Err(Error::BadAnswer(_))));
    }
}
