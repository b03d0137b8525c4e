//! What is wrong with a cluster and with this machine, one line each, with the command that mends it.

use kerolox_client::findings::{Finding, Scope, Severity, judge};

use super::command::{Command, Target, flag, may};
use super::failure::Failure;
use super::options::Given;
use super::session::Session;

pub(super) const DOCTOR: Command = Command {
    name: "doctor",
    about: "Look for what is wrong with name servers, brokers, topics and this machine, and say what mends it",
    options: &[
        may('o', "output", "table, or json for programs; table if not given"),
        flag('r', "remoteOnly", "leave the kernel and the limits of this machine out"),
        flag('s', "skipTopics", "leave the routes of topics out"),
    ],
    target: Target::Free,
    example: "-o json",
    run: |s, g| Box::pin(doctor(s, g)),
};

async fn doctor(s: &Session, given: &Given) -> Result<(), Failure> {
    let json = match given.get('o') {
        None | Some("table") => false,
        Some("json") => true,
        Some(other) => return Err(Failure::Usage(format!("Option -o cannot be [{other}]: table or json"))),
    };
    let scope = Scope { topics: !given.flag('s'), host: !given.flag('r') };
    let facts = s.client.gather(scope).await;
    let findings = judge(&facts);
    if json {
        let text = serde_json::to_string_pretty(&findings).map_err(|why| Failure::failed(why.to_string()))?;
        s.out.line(text);
    } else {
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
    }
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
