//! Whatever is done to the files of a record is found, and the first bad line named. Untouched they verify.

use super::{Bench, Head, Wrong, bad, record_files, served, verify};

type Files = Vec<(String, Vec<u8>)>;

/// Two files of four lines each, and their head.
fn record(seed: u64) -> (Files, Head) {
    let mut bench = Bench::new();
    let sized = Bench::new();
    let journal = sized.opened();
    journal.note(served(seed));
    // A file is full after four lines, so the fifth begins the next.
    bench.limits.file_bytes = 3 * record_files(&sized.disk.files())[0].1.len() as u64 + 1;
    let journal = bench.opened();
    (0..8).for_each(|number| journal.note(served(seed + number)));
    journal.flush(true);
    let files = record_files(&bench.disk.files());
    assert_eq!(files.iter().map(|(_, bytes)| lines(bytes).len()).collect::<Vec<_>>(), [4, 4]);
    (files, bench.head().unwrap())
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The record with the lines of a file changed.
fn with(files: &Files, file: usize, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    let mut files = files.clone();
    let mut changed = lines(&files[file].1);
    change(&mut changed);
    files[file].1 = changed.concat();
    files
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64
}

#[test]
fn an_untouched_record_verifies() {
    let (files, head) = record(1);
    let verdict = verify(&files, Some(7), Some(head));
    assert_eq!((verdict.bad, verdict.records, verdict.files, verdict.last), (None, 8, 2, head));
    assert!(verdict.sealed);
    let structure = verify(&files, None, Some(head));
    assert_eq!((structure.bad, structure.records, structure.sealed), (None, 8, false));
}

#[test]
fn every_flipped_bit_is_found_in_its_line() {
    let (files, head) = record(1);
    let mut flips = 0;
    for file in 0..2 {
        for at in 0..files[file].1.len() {
            for bit in 0..8 {
                let mut flipped = files.clone();
                flipped[file].1[at] ^= 1 << bit;
                let found = verify(&flipped, Some(7), Some(head)).bad.unwrap_or_else(|| panic!("byte {at} bit {bit}"));
                assert_eq!(
                    (&found.file, found.line),
                    (&files[file].0, line_of(&files[file].1, at)),
                    "byte {at} bit {bit}"
                );
                flips += 1;
            }
        }
    }
    assert!(flips > 20_000, "{flips}");
}

#[test]
fn every_deleted_line_is_found() {
    let (files, head) = record(1);
    for seq in 1..=8_u64 {
        let (file, line) = ((seq - 1) / 4, (seq - 1) % 4);
        let cut = with(&files, file as usize, |lines| drop(lines.remove(line as usize)));
        let missing = Wrong::Missing { from: seq, through: seq };
        let wanted = match seq {
            4 => bad(2, 1, missing),
            8 => bad(2, 4, Wrong::Cut { from: 8, through: 8 }),
            _ => bad(file + 1, line + 1, missing),
        };
        assert_eq!(verify(&cut, Some(7), Some(head)).bad, wanted, "record {seq}");
        assert!(verify(&cut, None, Some(head)).bad.is_some(), "order alone shows it");
    }
}

#[test]
fn every_repeated_or_moved_line_is_found() {
    let (files, head) = record(1);
    for file in 0..2 {
        for line in 0..4 {
            let twice = with(&files, file, |lines| lines.insert(line, lines[line].clone()));
            assert_eq!(verify(&twice, Some(7), Some(head)).bad, bad(file as u64 + 1, line as u64 + 2, Wrong::Order));
            for other in line + 1..4 {
                let swapped = with(&files, file, |lines| lines.swap(line, other));
                let found = verify(&swapped, Some(7), Some(head)).bad.unwrap();
                // The very first line may say any number: what is wrong shows in the second, or as a late beginning.
                let first = (file, line) == (0, 0);
                assert!(first || (found.file == files[file].0 && found.line == line as u64 + 1), "{found:?}");
            }
        }
    }
}

#[test]
fn every_truncation_is_found_by_the_head_and_not_without_it() {
    let (files, head) = record(1);
    let mut unnoticed = 0;
    for file in 0..2 {
        for length in 0..files[file].1.len() {
            let mut cut = files[..=file].to_vec();
            cut[file].1.truncate(length);
            let whole = cut[file].1.iter().filter(|byte| **byte == b'\n').count() as u64;
            let from = file as u64 * 4 + whole + 1;
            let found = verify(&cut, Some(7), Some(head));
            assert_eq!(found.bad, bad(file as u64 + 1, whole + 1, Wrong::Cut { from, through: 8 }), "{length}");
            unnoticed += usize::from(verify(&cut, Some(7), None).bad.is_none());
        }
    }
    // The control: a verifier without the head sees nothing but a record that is shorter, or a torn last line.
    assert!(unnoticed > 1000, "{unnoticed}");
    let last = with(&files, 0, |lines| lines.truncate(3));
    assert_eq!(verify(&last, Some(7), Some(head)).bad, bad(2, 1, Wrong::Missing { from: 4, through: 4 }), "in between");
    let torn = with(&files, 0, |lines| lines[3].truncate(10));
    assert_eq!(verify(&torn, Some(7), Some(head)).bad, bad(1, 4, Wrong::NoRecord), "torn, but not at the end");
}

#[test]
fn a_missing_file_is_found() {
    let (files, head) = record(1);
    assert_eq!(verify(&files[1..], Some(7), Some(head)).bad, bad(2, 1, Wrong::Missing { from: 1, through: 4 }));
    assert_eq!(verify(&files[..1], Some(7), Some(head)).bad, bad(1, 5, Wrong::Cut { from: 5, through: 8 }));
    assert_eq!(verify(&[], Some(7), Some(head)).bad, bad(1, 1, Wrong::Cut { from: 1, through: 8 }));
}

#[test]
fn swapped_files_are_found() {
    let (mut files, head) = record(1);
    let first = std::mem::take(&mut files[0].1);
    files[0].1 = std::mem::replace(&mut files[1].1, first);
    assert_eq!(verify(&files, Some(7), Some(head)).bad, bad(2, 1, Wrong::Order));
}

#[test]
fn a_splice_of_two_records_is_found() {
    let (files, head) = record(1);
    // Of another vault: the key is another.
    let foreign = Bench::new();
    let journal = foreign.journal();
    journal.open(foreign.access(8));
    (0..8).for_each(|number| journal.note(served(number)));
    let foreign = lines(&record_files(&foreign.disk.files())[0].1);
    for line in 0..4 {
        let spliced = with(&files, 0, |lines| lines[line] = foreign[line].clone());
        assert_eq!(verify(&spliced, Some(7), Some(head)).bad, bad(1, line as u64 + 1, Wrong::Altered));
        assert!(verify(&spliced, None, Some(head)).bad.is_some(), "order alone shows it");
    }
    // Of the same key, as two copies of one vault would have written it.
    let (twin, _) = record(100);
    let twin = lines(&twin[0].1);
    for line in 1..4 {
        let spliced = with(&files, 0, |lines| lines[line] = twin[line].clone());
        assert_eq!(verify(&spliced, Some(7), Some(head)).bad, bad(1, line as u64 + 1, Wrong::Splice));
    }
    let (twin, twin_head) = record(100);
    assert_eq!(verify(&twin, Some(7), Some(twin_head)).bad, None, "by itself it is good");
    assert_eq!(verify(&twin, Some(7), Some(head)).bad, bad(2, 4, Wrong::Splice), "but it is not the one known");
}

#[test]
fn a_record_sealed_anew_with_another_key_is_found() {
    let (files, head) = record(1);
    let other = Bench::new();
    let journal = other.journal();
    journal.open(other.access(9));
    (0..8).for_each(|number| journal.note(served(1 + number)));
    let resealed = record_files(&other.disk.files());
    assert_eq!(verify(&resealed, Some(9), None).bad, None, "good under its own key");
    assert_eq!(verify(&resealed, Some(7), None).bad, bad(1, 1, Wrong::Altered));
    assert_eq!(verify(&files, Some(9), Some(head)).bad, bad(1, 1, Wrong::Altered));
}

#[test]
fn junk_is_no_record_and_no_panic() {
    for junk in [&b"\n"[..], b"{}\n", b"\0\0\0\0\n", b"{\"seq\":1}\n", "é\n".as_bytes(), &[0xff; 5000], &[b'\n'; 50]] {
        let files = vec![("audit-000001.jsonl".to_owned(), junk.to_vec())];
        let verdict = verify(&files, Some(7), None);
        assert_eq!(verdict.bad.is_some(), junk.contains(&b'\n'), "{junk:?}");
    }
    // A line that claims a number, with everything a record has but a seal.
    let (files, _) = record(1);
    let line = String::from_utf8(lines(&files[0].1)[0].clone()).unwrap();
    for (from, to) in
        [("\"seq\":1", "\"seq\":0"), ("\"seq\":1", "\"seq\":-1"), ("\"seq\":1", "\"seq\":99999999999999999999")]
    {
        let forged = vec![("audit-000001.jsonl".to_owned(), line.replacen(from, to, 1).into_bytes())];
        assert!(verify(&forged, None, None).bad.is_some(), "{to}");
    }
}
