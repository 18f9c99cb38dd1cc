//! What a pinentry says, under a long run of damaged inputs.

use super::pinentry::{Said, unescape};
use crate::testing::parsers::{Parser, Verdict};

#[test]
fn lines_of_a_pinentry_withstand_damage() {
    let parser = Parser {
        name: "pinentry-line",
        more: [
            "OK Pleased to meet you",
            "ERR 83886179 Operation cancelled <Pinentry>",
            "S BUTTON_INFO close",
            "# x",
            "D 100%25",
        ]
        .map(|line| line.as_bytes().to_vec())
        .to_vec(),
        tokens: &[
            b"OK",
            b"ERR ",
            b"S ",
            b"#",
            b" ",
            b"99",
            b"4294967296",
            b"-1",
            b"+1",
            b"\r",
            b"\0",
            b"\xff",
            b"D ",
            b"%0A",
            b"%",
        ],
        taken: 50,
        refusals: &["no answer"],
        parse: &|input| match Said::read(input) {
            Some(Said::Error(code)) => {
                assert!(code <= 0xffff && input.starts_with(b"ERR "), "not an error");
                Verdict::Accepted
            }
            Some(Said::Ok) => {
                assert!(input == b"OK" || input.starts_with(b"OK "), "a yes that is none");
                Verdict::Accepted
            }
            Some(Said::Data) => {
                let mut typed = Vec::new();
                assert!(input.starts_with(b"D "), "no data");
                match unescape(input, &mut typed) {
                    true => Verdict::Accepted,
                    false => Verdict::none("no answer"),
                }
            }
            Some(Said::Aside) => Verdict::Accepted,
            None => Verdict::none("no answer"),
        },
    };
    parser.withstands_damage();
}
