//! `soak`: the full figures. Tests that repeat do so many more times, and the figures they tell go to a page with date
//! and command. By hand: hours on two cores.

use crate::run::{Failure, Job, Outcome, root, say, timed, write};

const PAGE: &str = "docs/reference/reliability.md";
/// What stands before the figures of a test (`claviger_agent::testing::figure`).
const FIGURE: &str = "figure: ";
/// The lines between which the page holds what this task writes.
const BEGIN: &str = "<!-- figures, written by cargo xtask soak -->";
const END: &str = "<!-- end of figures -->";

/// What is run, by name: the words after `cargo test --profile soak`.
const STEPS: &[(&str, &str)] = &[
    ("power loss", "-p claviger-agent --features test-seams --lib crash"),
    ("system calls", "-p claviger --test agent inject"),
    ("full disk", "-p claviger --test agent full_disk"),
    ("anchors", "-p claviger-agent --features test-seams --lib anchors"),
    ("damage", "-p claviger --test agent rollback"),
    ("single flight", "-p claviger --test session crowd"),
    ("a thousand connections", "-p claviger --test agent load::a_thousand"),
    ("simultaneous starts", "-p claviger --test agent once::"),
    ("soak", "-p claviger --test agent soak::"),
    ("stuck clients", "-p claviger --test agent load::a_hundred"),
    ("half-open connections", "-p claviger --test agent load::half_open"),
    ("bad network", "-p claviger --test session chaos"),
    ("bad network, built", "-p claviger --test agent chaos"),
    ("clocks", "-p claviger --test session clock"),
    ("parsers of the agent", "-p claviger-agent --features test-seams --lib withstand"),
    ("parsers of the client", "-p claviger --lib withstand"),
    ("ssh keys", "-p claviger-agent --features test-seams --lib ssh::key::tests::signatures"),
    ("ssh frames", "-p claviger --test ssh frames"),
    ("ssh connections", "-p claviger --test ssh memory"),
    ("attackers", "-p claviger --test agent attack"),
    ("memory", "-p claviger --test agent memory::"),
    ("canaries", "-p claviger --test agent canary"),
];

/// Builds the programs that tests run, then runs the steps whose name contains `only`.
/// `percent` of their rounds.
pub(crate) fn run(only: Option<&str>, percent: &str) -> Outcome {
    if !percent.parse().is_ok_and(|percent: usize| (1..=100).contains(&percent)) {
        return Err(Failure::new("--percent is 1 to 100"));
    }
    let steps: Vec<_> = STEPS.iter().filter(|(name, _)| only.is_none_or(|word| name.contains(word))).collect();
    if steps.is_empty() {
        return Err(Failure::new(format!("no step is called {}", only.unwrap_or_default())));
    }
    for programs in
        ["-p claviger-agent --features weak --bin claviger-agent-weak", "-p claviger-agent -p claviger-sandbox"]
    {
        Job::cargo(&format!("build --quiet --locked --profile soak {programs}")).run()?;
    }
    for (name, words) in steps {
        let (targets, filter) = words.rsplit_once(' ').unwrap_or((words, ""));
        let build = format!("test --quiet --locked --profile soak {targets}");
        // The time told is the test's own.
        Job::cargo(&format!("{build} --no-run")).run()?;
        let job = Job::cargo(&format!("{build} {filter} -- --nocapture --test-threads=2"));
        let (told, time) = timed(|| job.with("CLAVIGER_SOAK", percent).shown());
        let date = Job::new(["date", "-u", "+%Y-%m-%d"]).stdout()?;
        let part = if percent == "100" { String::new() } else { format!(", {percent} % of its rounds") };
        let figures = figures(name, &told?, date.trim(), &format!("{:.0} s{part}", time.as_secs_f64()));
        if figures.is_empty() {
            return Err(Failure::new(format!("{name} told no figure")));
        }
        let path = root().join(PAGE);
        let page = std::fs::read_to_string(&path).map_err(Failure::from(format!("cannot read {PAGE}")))?;
        let page =
            renewed(&page, name, &figures).ok_or_else(|| Failure::new(format!("{PAGE} has no place for figures")))?;
        write(&path, &page)?;
        say(&figures.join("\n"));
    }
    Ok(())
}

/// The rows of a step.
fn figures(name: &str, told: &str, date: &str, time: &str) -> Vec<String> {
    // A test that runs beside others begins in the middle of their line.
    let told =
        told.lines().filter_map(|line| line.split_once(FIGURE)).filter_map(|(_, figure)| figure.split_once(": "));
    told.map(|(what, value)| format!("| {name} | {what} | {value} | {date} | {time} |")).collect()
}

/// The page with these rows in place of the step's old ones; rows stay in the order of their steps.
fn renewed(page: &str, name: &str, rows: &[String]) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| step ");
    let old = table.lines().filter(is_row).filter(|row| !row.starts_with(&format!("| {name} |"))).map(str::to_owned);
    let mut all: Vec<String> = old.chain(rows.iter().cloned()).collect();
    let place = |row: &String| STEPS.iter().position(|(name, _)| row.starts_with(&format!("| {name} |")));
    all.sort_by_key(place);
    let head = "| step | figure | value | date | whole step |\n|---|---|---|---|---|";
    Some(format!("{before}{BEGIN}\n{head}\n{}\n{END}{after}", all.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, figures, renewed};

    #[test]
    fn rows_are_replaced_and_the_rest_of_the_page_stays() {
        let told = "running 1 test\nfigure: states: 100000\ntest x ... figure: worst: 3 ms\nok\n";
        let rows = figures("crash", told, "2026-01-01", "9 s");
        assert_eq!(rows[0], "| crash | states | 100000 | 2026-01-01 | 9 s |");
        assert_eq!(rows.len(), 2);
        let page = format!(
            "# Page\n\n{BEGIN}\n| step | figure |\n|---|---|\n| crash | old | 1 |\n| other | kept | 1 |\n{END}\nend\n"
        );
        let page = renewed(&page, "crash", &rows).expect("a page");
        assert!(page.starts_with("# Page\n") && page.ends_with(&format!("{END}\nend\n")), "{page}");
        assert!(
            page.contains("| other | kept | 1 |") && page.contains("100000") && !page.contains("| old |"),
            "{page}"
        );
        assert!(renewed("no place", "crash", &rows).is_none());
    }
}
