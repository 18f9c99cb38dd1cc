//! Files that are not what was written: a typed error, and the file as it was.

use super::{Bench, NOW, PHRASE, add_key, confirmed, keys, passphrase, path, recovery, variant};
use crate::testing::MemoryDisk;
use crate::vault::envelope::Envelope;
use crate::vault::folder;
use sha2::{Digest, Sha256};

/// Opens these bytes as a vault, by the code; the disk must be left as it was.
fn open(bench: &Bench, file: Vec<u8>) -> String {
    let disk = MemoryDisk::with([(path("vault"), file)].into());
    let before = disk.files();
    let outcome = variant(Bench::on(disk.clone(), 1, bench.code.clone()).open());
    assert_eq!(disk.files(), before);
    outcome
}

/// The file with this text in the header replaced, and the checksum made to fit: what an attacker would do.
fn forged(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = u32::from_be_bytes(file[8..12].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&file[12..12 + length]).unwrap();
    assert!(header.contains(from), "{from}");
    let header = header.replace(from, to);
    let mut forged = [&file[..8], &(header.len() as u32).to_be_bytes(), header.as_bytes()].concat();
    let checksum = Sha256::digest(&forged);
    forged.extend_from_slice(&checksum);
    forged.extend_from_slice(&file[12 + length + 32..]);
    forged
}

#[test]
fn every_bit_flip_and_every_truncation_is_found() {
    let bench = Bench::with_vault(20);
    let file = bench.file();
    assert_eq!(open(&bench, file.clone()), "ok", "the control");
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = open(&bench, flipped);
        // The least reader is 1: every other flip of it but the one to 0 asks for more.
        let newer = (6..8).contains(&(bit / 8)) && bit != 56;
        assert_eq!(outcome, if newer { "Newer" } else { "Damaged" }, "bit {bit}");
    }
    for length in 0..file.len() {
        assert_eq!(open(&bench, file[..length].to_vec()), "Damaged", "length {length}");
    }
    assert_eq!(open(&bench, [file.as_slice(), b"x"].concat()), "Damaged");
}

#[test]
fn a_file_that_needs_a_newer_reader_is_refused_as_such() {
    let bench = Bench::with_vault(21);
    let mut newer = bench.file();
    newer[7] = 2;
    assert_eq!(open(&bench, newer), "Newer");
    assert_eq!(open(&bench, forged(&bench.file(), r#""critical":[]"#, r#""critical":["padlock"]"#)), "Newer");
    assert_eq!(open(&bench, forged(&bench.file(), "chacha20poly1305-stream-64k", "aes-256-gcm-stream-64k")), "Newer");
}

#[test]
fn a_forged_header_with_a_fitting_checksum_is_found_by_its_mac() {
    let bench = Bench::with_vault(22);
    let file = bench.file();
    assert_eq!(open(&bench, forged(&file, r#""generation":2"#, r#""generation":2"#)), "ok", "the control");
    assert_eq!(open(&bench, forged(&file, r#""generation":2"#, r#""generation":9"#)), "Damaged");
    assert_eq!(open(&bench, forged(&file, r#""critical":[]"#, r#""critical": []"#)), "Damaged");
    assert_eq!(open(&bench, forged(&file, r#""critical":[]"#, r#""critical":[],"critical":[]"#)), "Damaged");
    assert_eq!(open(&bench, forged(&file, r#"{"created""#, r#"{"a":1,"created""#)), "Damaged");
    assert_eq!(open(&bench, forged(&file, r#""id":1,"#, r#""id":2,"#)), "Damaged", "two slots of one id");
    // The slot's own parameters are bound to its wrap.
    assert_eq!(open(&bench, forged(&file, r#""id":2,"#, r#""id":3,"#)), "WrongProof");
}

#[test]
fn hostile_costs_are_refused_before_any_memory_is_taken() {
    let bench = Bench::with_vault(23);
    for (from, to) in [
        (r#""memory_kib":65536"#, r#""memory_kib":4294967295"#),
        (r#""memory_kib":65536"#, r#""memory_kib":1048577"#),
        (r#""memory_kib":65536"#, r#""memory_kib":-1"#),
        (r#""memory_kib":65536"#, r#""memory_kib":31"#),
        (r#""passes":3"#, r#""passes":17"#),
        (r#""passes":3"#, r#""passes":0"#),
        (r#""lanes":4"#, r#""lanes":17"#),
        (r#""lanes":4"#, r#""lanes":0"#),
    ] {
        let disk = MemoryDisk::with([(path("vault"), forged(&bench.file(), from, to))].into());
        assert_eq!(variant(Bench::on(disk, 1, String::new()).folder.open(&passphrase(PHRASE))), "Damaged", "{to}");
    }
}

#[test]
fn slots_and_headers_do_not_move_between_vaults() {
    let ours = Bench::with_vault(24);
    let mut theirs = Bench::bare(99);
    let mut vault = theirs.create();
    add_key(&mut vault, "theirs", NOW).expect("a save");
    let (our_file, their_file) = (ours.file(), theirs.file());
    let split = |file: &[u8]| 12 + u32::from_be_bytes(file[8..12].try_into().unwrap()) as usize + 64;
    let swapped = [&their_file[..split(&their_file)], &our_file[split(&our_file)..]].concat();
    assert_eq!(
        variant(Bench::on(MemoryDisk::with([(path("vault"), swapped)].into()), 1, theirs.code.clone()).open()),
        "Damaged"
    );
    // Their recovery slot in place of ours, checksum made to fit: the code that opens it there opens nothing here.
    let slot = |file: &[u8]| {
        let header = String::from_utf8(file[12..split(file) - 64].to_vec()).unwrap();
        header[header.rfind(r#"{"added""#).unwrap()..header.rfind(r#"],"vault_id""#).unwrap()].to_owned()
    };
    let moved = forged(&our_file, &slot(&our_file), &slot(&their_file));
    let moved = Bench::on(MemoryDisk::with([(path("vault"), moved)].into()), 1, theirs.code.clone());
    assert_eq!(variant(moved.open()), "WrongProof");
    assert_eq!(keys(&theirs.vault()), ["theirs"], "the control");
}

#[test]
fn payloads_of_several_chunks_cannot_be_cut_or_mixed() {
    let bench = Bench::with_vault(25);
    let mut vault = bench.vault();
    for index in 0..400 {
        vault
            .edit(NOW, |items| {
                for part in 0..100 {
                    items
                        .access_keys
                        .insert(super::name(&format!("key-{index}-{part}")), super::access_key(&"s".repeat(40)));
                }
                Ok::<_, crate::vault::Error>(())
            })
            .expect("a save");
        if index == 9 {
            break;
        }
    }
    let file = bench.file();
    assert_eq!(keys(&bench.vault()).len(), 1001);
    let split = Envelope::split(&file).expect("a vault");
    let payload = file.len() - split.header.payload_length as usize;
    assert!(split.header.payload_length > 2 * 65552);
    let (_, _, master) = folder::find(&split.header, &split.header.slots, &recovery(&bench.code)).expect("opens");
    assert!(split.open(&master).is_ok());
    let chunk = |number: usize| &file[payload + number * 65552..payload + (number + 1) * 65552];
    let swapped = [&file[..payload], chunk(1), chunk(0), &file[payload + 2 * 65552..]].concat();
    assert_eq!(open(&bench, swapped), "Damaged");
    // A last chunk cut off with a header that agrees: the MAC speaks first; and without it the last flag would.
    assert!(crate::vault::crypto::open_stream(&master, &split.mac, &file[payload..payload + 65552]).is_err());
}

#[test]
fn what_would_be_too_large_is_refused_and_the_old_vault_stands() {
    let bench = Bench::with_vault(26);
    let mut vault = bench.vault();
    let before = bench.disk.files();
    let failed = vault.edit(NOW, |items| {
        items.access_keys.insert(super::name("big"), super::access_key(&"s".repeat(17 * 1024 * 1024)));
        Ok(())
    });
    assert_eq!((variant(failed), bench.disk.files()), ("TooLarge".to_owned(), before));
    let (code, _) = confirmed(&bench.world);
    assert!(vault.add_recovery(&bench.proof(), &code, NOW).is_ok());
}
