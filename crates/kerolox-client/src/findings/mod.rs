//! What is wrong with a cluster, and what mends it.
//!
//! [`Client::gather`](crate::Client::gather) asks all nodes for facts; [`judge`] turns facts into findings and asks
//! nobody, so each rule can be tested with made-up facts, and whoever shows a cluster shares the same rules.

mod broker;
mod client;
mod facts;
mod gather;
mod host;
mod name_server;
#[cfg(test)]
mod tests;
mod topic;

use serde::Serialize;

pub use self::facts::{BrokerFacts, Facts, Figures, GroupFacts, HostFacts, NameServerFacts, TopicFacts};
pub use self::gather::Scope;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Clients fail, or soon will.
    Error,
    /// It works, but not as well or as safely as it should.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for people and machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `name server 10.0.0.1:9876`, `broker broker-a/0`, `topic orders`, `this machine`.
    pub subject: String,
    /// What is wrong, with the value met and the value wanted.
    pub what: String,
    /// The command that mends it, or what to do where no command can.
    pub remedy: String,
}

/// All that is wrong by these facts, the worst first.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    name_server::judge(facts, &mut findings);
    broker::judge(facts, &mut findings);
    topic::judge(facts, &mut findings);
    client::judge(facts, &mut findings);
    if let Some(host) = &facts.host {
        host::judge(host, &mut findings);
    }
    findings.0.sort();
    findings.0.dedup();
    findings.0
}

/// Where the rules put what they find.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, subject: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.put(Severity::Error, subject, what.into(), remedy.into());
    }

    fn warning(&mut self, subject: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.put(Severity::Warning, subject, what.into(), remedy.into());
    }

    fn note(&mut self, subject: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.put(Severity::Note, subject, what.into(), remedy.into());
    }

    fn put(&mut self, severity: Severity, subject: &str, what: String, remedy: String) {
        self.0.push(Finding { severity, subject: subject.to_owned(), what, remedy });
    }
}
