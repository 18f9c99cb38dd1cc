//! `doctor`: what the agent sees from where it stands.

use crate::jobs::doctor::Tools;
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::fault;
use crate::session::{Delivery, Error};
use crate::vault::VaultState;
use claviger::wire::{Fault, Finding, Level, Reply};
use std::collections::BTreeSet;
use std::sync::Arc;

/// More than this is no clock that AWS accepts for long: signatures are refused at 5 minutes, codes at one.
const SKEW_WARNED_SECONDS: i64 = 30;

impl Server {
    pub(super) async fn doctor(
        self: &Arc<Self>,
        profile: Option<String>,
        variables: Vec<String>,
        live: bool,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let variables: BTreeSet<String> = variables.into_iter().collect();
        let mut found = self.diagnose_self(conversation);
        let plan = profile.as_ref().map(|profile| self.diagnose_plan(profile, conversation));
        match self.files.as_tools_see() {
            Err(error) => found.push(problem("files", fault::files(error))),
            Ok(profiles) => {
                let config = self.config();
                let tools = Tools {
                    profiles: &profiles,
                    variables: &variables,
                    config_file: &config.aws_config_file,
                    credentials_file: &config.aws_credentials_file,
                };
                found.extend(tools.files());
                if let Some(profile) = &profile {
                    let served = plan.as_ref().is_none_or(|(served, _)| *served);
                    found.extend(tools.profile(profile, served));
                }
            }
        }
        found.extend(self.diagnose_network(&variables));
        found.extend(self.diagnose_devices().await);
        found.extend(plan.map(|(_, finding)| finding));
        if let Some(profile) = profile.filter(|_| live) {
            found.extend(self.diagnose_live(&profile, conversation).await);
        }
        Ok(Reply::Findings(found))
    }

    fn diagnose_self(&self, conversation: &Conversation) -> Vec<Finding> {
        let mut found = Vec::new();
        found.push(match self.custody.state() {
            VaultState::Absent => Finding::new("vault", Level::Problem, "there is no vault yet").hint("claviger init"),
            VaultState::Locked(_) => Finding::new("vault", Level::Note, "the vault is locked").hint("claviger unlock"),
            VaultState::Unlocked => Finding::new("vault", Level::Ok, "the vault is open"),
        });
        let status = self.status(conversation.aws_config_file.as_deref());
        found.extend(status.warnings.iter().map(String::as_str).map(warned));
        found.push(match self.office.clock_skew() {
            None => {
                Finding::new("clock", Level::Note, "not compared with AWS's yet").hint("claviger doctor PROFILE --live")
            }
            Some(skew) if skew.abs() > SKEW_WARNED_SECONDS => {
                let side = if skew > 0 { "behind" } else { "ahead of" };
                let text = format!("this machine's clock is {} s {side} AWS's; claviger corrects for it", skew.abs());
                Finding::new("clock", Level::Warning, text).hint("timedatectl status")
            }
            Some(_) => Finding::new("clock", Level::Ok, "agrees with AWS's"),
        });
        found
    }

    /// What the caller's shell says about the way to AWS, and config.toml does not.
    fn diagnose_network(&self, variables: &BTreeSet<String>) -> Vec<Finding> {
        let accepted = self.settings.in_force();
        let config = self.config();
        let network = accepted.as_ref().map_or(&config.security.network, |accepted| &accepted.security.network);
        let set = |names: &[&'static str]| names.iter().copied().find(|name| variables.contains(*name));
        let warn = |text: String, line: String| Finding::new("network", Level::Warning, text).hint(line);
        let proxy = set(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]).filter(|_| network.proxy.is_none());
        let mut found: Vec<Finding> = proxy
            .map(|name| {
                let text = format!("{name} is set here, but claviger uses no proxy: config.toml has none");
                warn(text, format!("[network] proxy = \"${name}\""))
            })
            .into_iter()
            .collect();
        if network.ca_bundle.is_none() && variables.contains("AWS_CA_BUNDLE") {
            let text = "AWS_CA_BUNDLE is set here, but claviger trusts the system's certificates alone";
            found.push(warn(text.to_owned(), "[network] ca_bundle = \"$AWS_CA_BUNDLE\"".to_owned()));
        }
        if found.is_empty() {
            let way = if network.proxy.is_some() { "by the proxy of config.toml" } else { "directly" };
            found.push(Finding::new("network", Level::Ok, format!("AWS is called {way}")));
        }
        found
    }

    /// What claviger would do for the profile, and whether it can.
    fn diagnose_plan(&self, profile: &str, conversation: &Conversation) -> (bool, Finding) {
        let subject = self.subject(profile, conversation);
        let planned = self.files.load().map_err(fault::files).and_then(|profiles| {
            let refused = |error| fault::session_of(&error, &subject, &profiles);
            let plan = self.office.plan(&profiles, profile, Delivery::Refreshing).map_err(refused)?;
            let change = self.office.changed_profile(&profiles, profile).map_err(refused)?;
            Ok((plan, change.map(|change| refused(Error::ProfileChanged(Box::new(change))))))
        });
        let finding = match planned {
            Ok((_, Some(changed))) => problem("claviger", changed),
            Ok((plan, None)) => {
                let calls =
                    if plan.steps.len() == 1 { "one call".to_owned() } else { format!("{} calls", plan.steps.len()) };
                Finding::new("claviger", Level::Ok, format!("serves it by {calls} of STS"))
            }
            // While the vault has never been open, nothing is known of what it holds.
            Err(_) if self.custody.never_opened() && self.custody.state() != VaultState::Absent => {
                let text = "what claviger would do is known once the vault has been open";
                Finding::new("claviger", Level::Note, text).hint("claviger unlock")
            }
            Err(fault) => return (false, problem("claviger", fault)),
        };
        (true, finding)
    }

    /// Obtains the credentials and asks STS who they are.
    async fn diagnose_live(self: &Arc<Self>, profile: &str, conversation: &mut Conversation) -> Vec<Finding> {
        let who = match self.whoami(profile, None, conversation).await {
            Ok(Reply::Whoami(who)) => who,
            Ok(_) => return Vec::new(),
            Err(fault) => return vec![problem("live", fault)],
        };
        let mut found = vec![Finding::new("live", Level::Ok, format!("STS knows the credentials as {}", who.arn))];
        if let Some(skew) = self.office.clock_skew() {
            found.push(Finding::new("live", Level::Ok, format!("STS's clock less this machine's: {skew} s")));
        }
        found
    }
}

/// A warning of the status, with what it says to type as the hint.
fn warned(warning: &str) -> Finding {
    let (text, verb) = warning.rsplit_once(": claviger ").unwrap_or((warning, ""));
    let finding = Finding::new("agent", Level::Warning, text);
    if verb.is_empty() { finding } else { finding.hint(format!("claviger {verb}")) }
}

pub(super) fn problem(topic: &str, fault: Fault) -> Finding {
    Finding { topic: topic.to_owned(), level: Level::Problem, text: fault.message, hint: fault.hint }
}
