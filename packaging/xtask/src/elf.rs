//! The few facts of an ELF file that a release depends on (System V ABI, chapters 4 and 5).

/// What `dist` asks of a binary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// Names a dynamic loader (PT_INTERP): not static.
    pub(crate) interpreter: bool,
    /// Loads at any address (ET_DYN): ASLR applies.
    pub(crate) position_independent: bool,
    /// Has a symbol table (SHT_SYMTAB): not stripped.
    pub(crate) symbols: bool,
}

const ET_DYN: u64 = 3;
const PT_INTERP: u64 = 3;
const SHT_SYMTAB: u64 = 2;

/// Reads a 64-bit little-endian ELF file; None for anything else and for one cut short.
pub(crate) fn read(file: &[u8]) -> Option<Elf> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let programs = table(file, 0x20, 0x36)?;
    let sections = table(file, 0x28, 0x3a)?;
    let mut interpreter = false;
    for header in programs {
        interpreter |= number(file, header, 4)? == PT_INTERP;
    }
    let mut symbols = false;
    for header in sections {
        symbols |= number(file, header.checked_add(4)?, 4)? == SHT_SYMTAB;
    }
    Some(Elf { interpreter, position_independent: number(file, 0x10, 2)? == ET_DYN, symbols })
}

/// Where the entries of a header table start: its offset stands at `offset`, entry size and count at `entry`.
fn table(file: &[u8], offset: u64, entry: u64) -> Option<Vec<u64>> {
    let start = number(file, offset, 8)?;
    let (size, count) = (number(file, entry, 2)?, number(file, entry.checked_add(2)?, 2)?);
    (0..count).map(|index| start.checked_add(index.checked_mul(size)?)).collect()
}

fn number(file: &[u8], at: u64, width: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = file.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::{Elf, read};

    /// A file with one program header and one section header of these types.
    fn file(kind: u8, program: u8, section: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 + 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x10] = kind;
        (file[0x20], file[0x36], file[0x38], file[64]) = (64, 56, 1, program);
        (file[0x28], file[0x3a], file[0x3c], file[120 + 4]) = (120, 64, 1, section);
        file
    }

    #[test]
    fn tells_a_static_stripped_pie_from_the_rest() {
        let good = Elf { interpreter: false, position_independent: true, symbols: false };
        assert_eq!(read(&file(3, 1, 1)), Some(good));
        assert!(read(&file(3, 3, 1)).expect("elf").interpreter);
        assert!(!read(&file(2, 1, 1)).expect("elf").position_independent);
        assert!(read(&file(3, 1, 2)).expect("elf").symbols);
    }

    #[test]
    fn a_cut_or_foreign_file_is_none() {
        let whole = file(3, 3, 2);
        assert!((0..125).all(|length| read(&whole[..length]).is_none()), "cut");
        assert_eq!(read(b"#!/bin/sh\n"), None);
    }

    #[test]
    fn this_test_program_is_dynamic_or_static_as_the_system_says() {
        let own = std::fs::read(std::env::current_exe().expect("path")).expect("file");
        assert!(read(&own).is_some_and(|elf| elf.symbols), "a debug build has symbols");
    }
}
