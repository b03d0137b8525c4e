//! Values outside of files: environment variables, and `-D` options meant for a Java machine.

use super::table::Role;
use super::values::Source;

/// Variables that hold options of a Java machine, those that win later.
const JVM_VARIABLES: [&str; 2] = ["JAVA_OPT", "JAVA_OPT_EXT"];
/// Further variables that only a Java machine reads.
const JAVA_ONLY: [&str; 3] = ["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"];
/// Variables of ours that are no keys.
const OWN: [&str; 3] = ["KEROLOX_LOG", "KEROLOX_BIN", "KEROLOX_RUN_DIR"];

/// A value before it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// Name as it was given.
    pub(crate) name: String,
    /// Trimmed value.
    pub(crate) value: String,
    /// Where it stood.
    pub(crate) source: Source,
}

/// What the environment says, the later wins, and what an operator should know about it.
pub(crate) fn environment(role: Role, variables: &[(String, String)]) -> (Vec<Raw>, Vec<String>) {
    let variable = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    for key in role.keys() {
        let Some((env, value)) = key.env.and_then(|env| Some((env, variable(env)?))) else { continue };
        found.push(raw(key.name, value, Source::Env(env.to_owned())));
    }
    for name in JVM_VARIABLES {
        jvm_options(role, name, variable(name).unwrap_or(""), &mut found, &mut warnings);
    }
    for name in JAVA_ONLY.iter().filter(|name| variable(name).is_some_and(|value| !value.is_empty())) {
        warnings.push(format!("{name} is set and has no meaning: this is a native program, not a Java one"));
    }
    let mut own: Vec<&(String, String)> = variables.iter().filter(|(name, _)| name.starts_with("KEROLOX_")).collect();
    own.sort();
    for (name, value) in own.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let key = role.keys().find(|key| key.own_env() == *name);
        match key {
            Some(key) => found.push(raw(key.name, value.trim(), Source::Env(name.clone()))),
            None if Role::ALL.iter().any(|other| other.keys().any(|key| key.own_env() == *name)) => {}
            None => warnings.push(format!("environment variable {name} is unknown and has no effect")),
        }
    }
    (found, warnings)
}

/// Takes `-Dkey=value` for keys, and names everything else.
fn jvm_options(role: Role, variable: &'static str, text: &str, found: &mut Vec<Raw>, warnings: &mut Vec<String>) {
    let mut others = Vec::new();
    for option in text.split_whitespace() {
        let property = option.strip_prefix("-D").map(|rest| rest.split_once('=').unwrap_or((rest, "")));
        match property {
            Some((name, value)) if role.key(name).is_some() => {
                found.push(raw(name, value.trim_matches(['"', '\'']), Source::JvmOption(variable)));
            }
            Some((name, _)) if Role::ALL.iter().any(|other| other.key(name).is_some()) => {}
            _ => others.push(option),
        }
    }
    if !others.is_empty() {
        warnings.push(format!(
            "{variable} holds {}, which has no meaning: this is a native program that sizes its memory by what it \
             needs, there is no Java machine to tune",
            others.join(" ")
        ));
    }
}

fn raw(name: &str, value: &str, source: Source) -> Raw {
    Raw { name: name.to_owned(), value: value.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (found, warnings) = environment(Role::Broker, &variables);
        (found.into_iter().map(|raw| (raw.name, raw.value)).collect(), warnings)
    }

    #[test]
    fn own_variables_win_over_java_options_and_these_over_rocketmq_variables() {
        let (found, warnings) = read(&[
            ("KEROLOX_NAMESRV_ADDR", "c:1"),
            ("JAVA_OPT_EXT", "-Drocketmq.namesrv.addr=b:1"),
            ("NAMESRV_ADDR", " a:1 "),
            ("KEROLOX_LOG", "debug"),
        ]);
        let values: Vec<&str> = found.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["a:1", "b:1", "c:1"]);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn options_of_a_java_machine_are_named_once() {
        let (found, warnings) = read(&[("JAVA_OPT_EXT", "-Xms1g -Xmx1g -Dtls.server.mode=disabled -XX:+UseG1GC")]);
        assert_eq!(found, [("tls.server.mode".to_owned(), "disabled".to_owned())]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("JAVA_OPT_EXT holds -Xms1g -Xmx1g -XX:+UseG1GC, which has no"), "{warnings:?}");
    }

    #[test]
    fn a_variable_of_the_other_role_is_no_mistake_and_an_unknown_one_is() {
        let (found, warnings) = read(&[("KEROLOX_KV_CONFIG_PATH", "/x"), ("KEROLOX_BROKER_NAMES", "x")]);
        assert_eq!(found, []);
        assert_eq!(warnings, ["environment variable KEROLOX_BROKER_NAMES is unknown and has no effect"]);
    }
}
