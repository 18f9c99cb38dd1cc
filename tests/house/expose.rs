//! Every place where a secret leaves its type, counted: a new one is a line in a diff that someone looks at.

use crate::tree::{code, committed, product, shipped};

#[test]
fn each_exposure_is_on_the_list() {
    let lines: Vec<String> = product()
        .iter()
        .map(|file| (count(&shipped(&file.text)), &file.path))
        .filter(|(count, _)| *count > 0)
        .map(|(count, path)| format!("{count:>3} {path}\n"))
        .collect();
    committed("tests/house/expose.txt", &lines.concat());
}

fn count(text: &str) -> usize {
    text.lines().map(|line| code(line).matches(".expose()").count()).sum()
}

#[test]
fn exposures_are_counted_and_comments_are_not() {
    assert_eq!(count("a.expose();\nb(c.expose(), d.expose()) // .expose()\n/// `.expose()`\n"), 3);
}
