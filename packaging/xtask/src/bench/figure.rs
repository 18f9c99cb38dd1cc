//! Pairs of times or rates, their ratios, single figures, and what must hold of them.

use crate::run::{Failure, Outcome, timed};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What was found out.
pub(super) enum Finding {
    /// One of ours against one of others, in pairs.
    Ratio(Ratio),
    /// Something counted or weighed, alone.
    Single(Single),
}

impl Finding {
    /// Its name in the table.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ratio(ratio) => &ratio.name,
            Self::Single(single) => &single.name,
        }
    }

    /// Whether it is as it must be.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Ratio(ratio) => ratio.gate.holds(ratio.spread().median),
            Self::Single(single) => single.gate.holds(single.value),
        }
    }
}

/// Interleaved pairs of one measure.
pub(super) struct Ratio {
    pub(super) name: String,
    pub(super) against: String,
    pub(super) unit: &'static str,
    pub(super) pairs: Vec<(f64, f64)>,
    pub(super) gate: Gate,
}

impl Ratio {
    /// The ratios, each made within its pair.
    pub(super) fn spread(&self) -> Spread {
        Spread::of(self.pairs.iter().map(|(this, other)| this / other).collect())
    }

    /// A row of the table.
    pub(super) fn markdown(&self) -> String {
        let ratio = self.spread();
        let median = |pick: fn(&(f64, f64)) -> f64| figure(Spread::of(self.pairs.iter().map(pick).collect()).median);
        format!(
            "| {} | {} | **{}** | {}–{} | {} | {} {} | {} {} | {} |",
            self.name,
            self.against,
            figure(ratio.median),
            figure(ratio.least),
            figure(ratio.most),
            self.pairs.len(),
            median(|pair| pair.0),
            self.unit,
            median(|pair| pair.1),
            self.unit,
            self.gate.told(ratio.median),
        )
    }
}

/// One figure.
pub(super) struct Single {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) gate: Gate,
}

impl Single {
    /// A row of the table.
    pub(super) fn markdown(&self) -> String {
        format!("| {} | **{}** {} | {} |", self.name, figure(self.value), self.unit, self.gate.told(self.value))
    }
}

/// Three digits or so: more would be noise.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// What must hold.
#[derive(Clone, Copy)]
pub(super) enum Gate {
    None,
    AtLeast(f64),
    AtMost(f64),
}

impl Gate {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn told(self, value: f64) -> String {
        let verdict = if self.holds(value) { "met" } else { "**missed**" };
        match self {
            Self::None => String::new(),
            Self::AtLeast(bound) => format!("at least {bound}: {verdict}"),
            Self::AtMost(bound) => format!("at most {bound}: {verdict}"),
        }
    }
}

/// Where values lie.
#[derive(Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) };
        Self { least: at(0), median, most: at(values.len().wrapping_sub(1)) }
    }
}

/// Measures both, taking turns at going first; the first round warms up and is dropped.
pub(super) fn pairs(
    count: usize,
    this: impl Fn() -> Outcome<f64>,
    other: impl Fn() -> Outcome<f64>,
) -> Outcome<Vec<(f64, f64)>> {
    let mut pairs = Vec::with_capacity(count);
    for round in 0..=count {
        let pair = if round.is_multiple_of(2) {
            let first = this()?;
            (first, other()?)
        } else {
            let first = other()?;
            (this()?, first)
        };
        pairs.push(pair);
    }
    pairs.remove(0);
    Ok(pairs)
}

/// Milliseconds of one process, from spawn to its end, without output. An exit code other than 0 is a failure: it
/// measures nothing.
pub(super) fn whole(command: &mut Command) -> Outcome<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, time) = timed(|| command.status());
    let line = format!("{:?}", command.get_program());
    let status = status.map_err(Failure::from(&line))?;
    if status.success() { Ok(millis(time)) } else { Err(Failure::new(format!("{line}: {status}"))) }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::{Finding, Gate, Ratio, Single, Spread, pairs, whole};
    use std::process::Command;

    #[test]
    fn the_median_is_of_the_ratios() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { least: 1.0, median: 2.0, most: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    #[test]
    fn a_gate_can_be_missed() {
        let ratio =
            |gate| Ratio { name: "x".to_owned(), against: "y".to_owned(), unit: "ms", pairs: vec![(30.0, 10.0)], gate };
        let passes = |gate| Finding::Ratio(ratio(gate)).passes();
        assert!(passes(Gate::AtMost(3.1)) && !passes(Gate::AtMost(2.9)));
        assert!(passes(Gate::AtLeast(2.9)) && !passes(Gate::AtLeast(3.1)));
        assert_eq!(
            ratio(Gate::AtLeast(3.1)).markdown(),
            "| x | y | **3.00** | 3.00–3.00 | 1 | 30.00 ms | 10.00 ms | at least 3.1: **missed** |"
        );
        let nothing = || Single { name: "x".to_owned(), value: 0.0, unit: "a minute", gate: Gate::AtMost(0.0) };
        assert!(Finding::Single(nothing()).passes());
        assert_eq!(nothing().markdown(), "| x | **0** a minute | at most 0: met |");
        assert!(!Finding::Single(Single { value: 1.0, ..nothing() }).passes());
        // Nothing was measured.
        assert!(!Finding::Ratio(Ratio { pairs: Vec::new(), ..ratio(Gate::AtMost(1.0)) }).passes());
    }

    #[test]
    fn a_process_that_fails_measures_nothing() {
        assert!(whole(&mut Command::new("false")).is_err());
        let truth = || whole(&mut Command::new("true"));
        assert_eq!(pairs(3, truth, truth).expect("pairs").len(), 3);
    }
}
