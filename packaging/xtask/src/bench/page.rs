//! The page of figures.

use super::figure::Finding;
use crate::run::{Job, Outcome};

/// Everything on one page, with what is needed to judge and repeat it.
pub(super) fn page(findings: &[Finding], versions: &[String]) -> Outcome<String> {
    let date = Job::new(["date", "-u", "+%Y-%m-%d"]).stdout()?;
    let kernel = Job::new(["uname", "-sr"]).stdout()?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let ratios = findings.iter().filter_map(|finding| match finding {
        Finding::Ratio(ratio) => Some(ratio.markdown()),
        Finding::Single(_) => None,
    });
    let singles = findings.iter().filter_map(|finding| match finding {
        Finding::Ratio(_) => None,
        Finding::Single(single) => Some(single.markdown()),
    });
    Ok(format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; repeat with the same command. {date}, {kernel}, {cores} cores, load {load};\n\
         since its start the hypervisor has taken {stolen} of the machine's time.\n\
         Against: {versions}.\n\n\
         Times are of a whole process, spawned and waited for by a small parent, in the same environment for both. Pairs\n\
         are interleaved and take turns at going first; the ratio is made within a pair. Absolute figures are medians;\n\
         trust the ratios.\n\n\
         | this | against | ratio, median | least–most | pairs | this | against | gate |\n\
         |---|---|---|---|---|---|---|---|\n{ratios}\n\n\
         | the agent | figure | gate |\n|---|---|---|\n{singles}\n\n\
         The peers do the cheapest work they have: the aws CLI exports static keys from a file, elhaz answers from its\n\
         daemon's memory, awsume from its cache. claviger answers for an assumed role behind MFA from its agent's memory,\n\
         and records each answer. The SSH agents are asked by the same client over their sockets. The card is the virtual\n\
         YubiKey of the tests, whose own time is in both: a bare PC/SC client sends it SELECT, GET METADATA and GENERAL\n\
         AUTHENTICATE, or SELECT and CALCULATE. Memory is VmRSS, with what is shared; a wake-up is a voluntary context\n\
         switch of any thread.\n",
        date = date.trim(),
        kernel = kernel.trim(),
        load = load(),
        stolen = stolen(),
        versions = versions.join(", "),
        ratios = ratios.collect::<Vec<_>>().join("\n"),
        singles = singles.collect::<Vec<_>>().join("\n"),
    ))
}

/// What other guests of the same host took: the eighth figure of proc_stat(5), in per cent of the time that was wanted.
fn stolen() -> String {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let times: Vec<f64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    match times.as_slice() {
        [user, nice, system, _, _, irq, softirq, steal, ..] => {
            let wanted = user + nice + system + irq + softirq + steal;
            format!("{:.0} %", 100.0 * steal / wanted.max(1.0))
        }
        _ => "an unknown part".to_owned(),
    }
}

/// What else the machine was doing: the mean of the last minute and of the last quarter of an hour.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        [minute, _, quarter, ..] => format!("{minute} (a minute), {quarter} (15 minutes)"),
        _ => "unknown".to_owned(),
    }
}
