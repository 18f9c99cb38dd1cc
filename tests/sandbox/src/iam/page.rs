//! Lists in pages: MaxItems and Marker.

use crate::query::{Parameters, Shape};
use crate::reply::{Refusal, Xml};

/// Writes one page of a list into the element `name`, with what AWS says about the rest.
pub(super) fn write<T>(
    parameters: &Parameters,
    name: &str,
    items: &[T],
    write: impl Fn(&mut Xml, &T),
) -> Result<Xml, Refusal> {
    let most = parameters.number("MaxItems")?;
    let mut shape = Shape::default();
    shape.range("MaxItems", most, 1, 1000);
    shape.verdict()?;
    let start = match parameters.text("Marker") {
        None => 0,
        Some(marker) => marker
            .strip_prefix("page-")
            .and_then(|from| from.parse().ok())
            .ok_or_else(|| Refusal::validation("Invalid Marker"))?,
    };
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(100);
    let end = items.len().min(start + most);
    let mut xml = Xml::default();
    xml.nest(name, |xml| {
        for item in items.get(start..end).unwrap_or_default() {
            xml.nest("member", |xml| write(xml, item));
        }
    });
    xml.text("IsTruncated", (end < items.len()).to_string());
    if end < items.len() {
        xml.text("Marker", format!("page-{end}"));
    }
    Ok(xml)
}
