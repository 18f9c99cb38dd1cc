//! A QR code on the terminal, for a phone to read, and gone again.

use super::exit::Outcome;
use super::terminal::Terminal;
use crate::wire::{Code, Fault};
use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

/// Light modules around the code (ISO/IEC 18004 section 9.1).
const QUIET: i32 = 4;

/// Shows it until Return is pressed, and takes it from the screen.
pub(super) fn show(terminal: &mut Terminal, text: &str) -> Outcome {
    let code = QrCode::encode_text(text, QrCodeEcc::Low)
        .map_err(|_| Fault::new(Code::Internal, "the seed does not fit into a QR code"))?;
    let drawn = drawn(&code);
    terminal.show("Read this with the phone's authenticator. It is not shown again.\n\n")?;
    terminal.show(&drawn)?;
    terminal.ask("\nReturn takes it from the screen: ")?;
    // Up over what was shown, and clear to the end of the screen; what scrolled away goes as well, where it can.
    let lines = drawn.lines().count().saturating_add(4);
    terminal.show(&format!("\x1b[{lines}A\r\x1b[J\x1b[3J"))?;
    Ok(())
}

/// Two rows of modules a line, dark on light whatever the terminal's colours are.
fn drawn(code: &QrCode) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    let (from, to) = (-QUIET, code.size() + QUIET);
    for row in (from..to).step_by(2) {
        text.push_str("\x1b[30;47m");
        for column in from..to {
            text.push(match (code.get_module(column, row), code.get_module(column, row + 1)) {
                (false, false) => ' ',
                (true, false) => '▀',
                (false, true) => '▄',
                (true, true) => '█',
            });
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::drawn;
    use qrcodegen::{QrCode, QrCodeEcc};

    #[test]
    fn each_module_is_half_a_character_with_the_quiet_zone_around() {
        let code = QrCode::encode_text("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP", QrCodeEcc::Low).expect("it fits");
        let drawn = drawn(&code);
        let rows: Vec<Vec<char>> = drawn
            .lines()
            .map(|line| line.trim_start_matches("\x1b[30;47m").trim_end_matches("\x1b[0m").chars().collect())
            .collect();
        let size = usize::try_from(code.size() + 8).unwrap();
        assert_eq!((rows.len(), rows[0].len()), (size.div_ceil(2), size));
        let dark = |x: usize, y: usize| {
            let character = rows[y / 2][x];
            character == '█' || character == if y.is_multiple_of(2) { '▀' } else { '▄' }
        };
        for y in 0..size {
            for x in 0..size {
                let (column, row) = (i32::try_from(x).unwrap() - 4, i32::try_from(y).unwrap() - 4);
                assert_eq!(dark(x, y), code.get_module(column, row), "{x},{y}");
            }
        }
    }
}
