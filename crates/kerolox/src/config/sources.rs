//! Values outside of files: environment variables, and `-D` options meant for a Java machine.

use std::path::PathBuf;

use super::table::Role;
use super::values::Source;

/// Variables that hold options of a Java machine, those that win later.
const JVM_VARIABLES: [&str; 5] = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPT", "JAVA_OPT_EXT", "_JAVA_OPTIONS"];
/// The system property that says where the folders are which RocketMQ puts below the home folder.
const USER_HOME: &str = "user.home";
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

/// The home folder that options of a Java machine name, as images of RocketMQ do for their volume.
pub(crate) fn user_home(variables: &[(String, String)]) -> Option<PathBuf> {
    let given = JVM_VARIABLES.iter().flat_map(|name| variables.iter().filter(move |(key, _)| key == name));
    let options = given.flat_map(|(_, text)| text.split_whitespace());
    let mut homes = options.filter_map(|option| property(option).filter(|(name, _)| *name == USER_HOME));
    homes.next_back().map(|(_, home)| home).filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The name and the value of `-Dname=value`.
fn property(option: &str) -> Option<(&str, &str)> {
    let (name, value) = option.strip_prefix("-D").map(|rest| rest.split_once('=').unwrap_or((rest, "")))?;
    Some((name, value.trim_matches(['"', '\''])))
}

/// Takes `-Dkey=value` for keys, and names everything else.
fn jvm_options(role: Role, variable: &'static str, text: &str, found: &mut Vec<Raw>, warnings: &mut Vec<String>) {
    let mut others = Vec::new();
    for option in text.split_whitespace() {
        match property(option) {
            Some((USER_HOME, _)) => {}
            Some((name, value)) if role.key(name).is_some() => {
                found.push(raw(name, value, Source::JvmOption(variable)));
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
    fn the_home_folder_is_what_java_would_be_told() {
        let of = |variables: &[(&str, &str)]| {
            let variables: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            user_home(&variables)
        };
        assert_eq!(of(&[("JAVA_OPT", "-Xms1g -Xmx1g")]), None);
        assert_eq!(of(&[("JAVA_OPT", "-Duser.home=\"/opt\" -Xms1g")]), Some(PathBuf::from("/opt")));
        let both = [("JAVA_OPT_EXT", "-Duser.home=/b"), ("JAVA_TOOL_OPTIONS", "-Duser.home=/a")];
        assert_eq!(of(&both), Some(PathBuf::from("/b")));
        assert_eq!(read(&both).1, Vec::<String>::new());
    }

    #[test]
    fn a_variable_of_the_other_role_is_no_mistake_and_an_unknown_one_is() {
        let (found, warnings) = read(&[("KEROLOX_KV_CONFIG_PATH", "/x"), ("KEROLOX_BROKER_NAMES", "x")]);
        assert_eq!(found, []);
        assert_eq!(warnings, ["environment variable KEROLOX_BROKER_NAMES is unknown and has no effect"]);
    }
}
