//! What is wrong with a cluster and with this machine, one line each, with the command that mends it.

use kerolox_client::findings::{Finding, Scope, Severity, judge};

use super::command::{Command, Target, flag};
use super::failure::Failure;
use super::options::Given;
use super::session::Session;

pub(super) const DOCTOR: Command = Command {
    name: "doctor",
    about: "Look for what is wrong with name servers, brokers, topics and this machine, and say what mends it",
    options: &[
        flag('r', "remoteOnly", "leave the kernel and the limits of this machine out"),
        flag('s', "skipTopics", "leave the routes of topics out"),
    ],
    target: Target::Free,
    shows: true,
    example: "-o json",
    run: |s, g| Box::pin(doctor(s, g)),
};

async fn doctor(s: &Session, given: &Given) -> Result<(), Failure> {
    let scope = Scope { topics: !given.flag('s'), host: !given.flag('r') };
    let facts = s.client.gather(scope).await;
    let findings = judge(&facts);
    for finding in &findings {
        s.out.line(line(finding));
    }
    s.out.line(format_args!(
        "looked at {} name servers, {} brokers, {} topics: {}",
        facts.name_servers.len(),
        facts.brokers.len(),
        facts.topics.len(),
        summary(&findings)
    ));
    s.out.json(&findings);
    match count(&findings, Severity::Error) {
        0 => Ok(()),
        errors => Err(Failure::failed(format!("{errors} errors"))),
    }
}

fn line(finding: &Finding) -> String {
    let Finding { severity, subject, what, remedy } = finding;
    format!("{:<8} {subject}: {what} -> {remedy}", severity.as_str())
}

fn summary(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "nothing is wrong".to_owned();
    }
    let parts = [(Severity::Error, "errors"), (Severity::Warning, "warnings"), (Severity::Note, "notes")];
    parts.map(|(severity, word)| format!("{} {word}", count(findings, severity))).join(", ")
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}
