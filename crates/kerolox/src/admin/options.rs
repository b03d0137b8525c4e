//! Reading options the way scripts already write them: `-t x`, `-tx`, `--topic x`, `--topic=x`, `-topic x`, and a
//! long name cut short while it stays unambiguous.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::command::{COMMON, Command, Kind, Opt, Target};
use super::failure::Failure;
use super::output::Format;

/// The options given to one command, checked against its definition.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: BTreeMap<char, String>,
    format: Format,
}

impl Given {
    /// Reads `args` by the definition of `command`.
    pub(super) fn parse(command: &Command, args: &[String]) -> Result<Self, Failure> {
        let mut given = Self::default();
        let mut rest = args.iter().map(String::as_str).peekable();
        while let Some(word) = rest.next() {
            let Some((option, attached)) = given.option_of(command, word)? else {
                return Err(Failure::Usage(format!("Unexpected argument: {word}")));
            };
            let value = match (option.kind, attached) {
                (Kind::Flag, None) => String::new(),
                (Kind::Flag, Some(_)) => return Err(Failure::Usage(format!("Option {word} takes no value"))),
                (_, Some(value)) => value.to_owned(),
                (_, None) => match rest.next_if(|next| !is_option(command, next)) {
                    Some(value) => value.to_owned(),
                    None => return Err(Failure::Usage(format!("Missing argument for option: {}", option.letter))),
                },
            };
            given.put(option, &value);
        }
        if !given.flag('h') {
            given.check(command)?;
        }
        given.check_letter_of_output(command)?;
        given.format = match command.output_option().and_then(|option| given.get(option.letter)) {
            None | Some("table") => Format::Table,
            Some("json") => Format::Json,
            Some(other) => {
                return Err(Failure::Usage(format!("Option --output cannot be [{other}]: table or json")));
            }
        };
        Ok(given)
    }

    /// Where RocketMQ gave `-o` another meaning, a format behind it is a mistake that would pass unseen.
    fn check_letter_of_output(&self, command: &Command) -> Result<(), Failure> {
        let is_taken = command.options.iter().find(|option| option.letter == 'o');
        match (is_taken, self.get('o')) {
            (Some(option), Some(format @ ("json" | "table"))) => Err(Failure::Usage(format!(
                "Option -o cannot be [{format}]: here it is {} ({}); write --output {format} where it is shown",
                option.long, option.about
            ))),
            _ => Ok(()),
        }
    }

    /// How the results are to be shown.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The option that `word` names and the value that hangs on it. Switches that share a word are put on the way.
    fn option_of<'w>(
        &mut self,
        command: &Command,
        word: &'w str,
    ) -> Result<Option<(&'static Opt, Option<&'w str>)>, Failure> {
        let unknown = || Failure::Usage(format!("Unrecognized option: {word}"));
        if let Some(name) = word.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            return long_option(command, name)?.map(|option| Some((option, value))).ok_or_else(unknown);
        }
        let Some(mut letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Ok(None);
        };
        if let Some(option) = command.all_options().find(|o| o.long == letters) {
            return Ok(Some((option, None)));
        }
        loop {
            let letter = letters.chars().next().ok_or_else(unknown)?;
            let after = &letters[letter.len_utf8()..];
            let option = command.all_options().find(|o| o.letter == letter).ok_or_else(unknown)?;
            match (option.kind, after.is_empty()) {
                (_, true) => return Ok(Some((option, None))),
                (Kind::Flag, false) => {
                    self.put(option, "");
                    letters = after;
                }
                (_, false) => return Ok(Some((option, Some(after)))),
            }
        }
    }

    /// The first of two equal options counts, as it does in the Java tool.
    fn put(&mut self, option: &Opt, value: &str) {
        self.values.entry(option.letter).or_insert_with(|| value.trim().to_owned());
    }

    fn check(&self, command: &Command) -> Result<(), Failure> {
        let missing: Vec<String> = command
            .options
            .iter()
            .filter(|o| o.kind == Kind::Required && !self.values.contains_key(&o.letter))
            .map(|o| format!("-{} ({})", o.letter, o.long))
            .collect();
        if !missing.is_empty() {
            return Err(Failure::Usage(format!("Missing required option: {}", missing.join(", "))));
        }
        match (command.target, self.flag('b'), self.flag('c')) {
            (Target::Either | Target::OneOf, false, false) => {
                Err(Failure::Usage("Say where: -b for one broker or -c for a cluster".to_owned()))
            }
            (Target::OneOf, true, true) => Err(Failure::Usage("Give -b or -c, not both".to_owned())),
            _ => Ok(()),
        }
    }

    /// Whether the option was given.
    pub(super) fn flag(&self, letter: char) -> bool {
        self.values.contains_key(&letter)
    }

    /// Its value, without blanks at the ends.
    pub(super) fn get(&self, letter: char) -> Option<&str> {
        self.values.get(&letter).map(String::as_str)
    }

    /// The value of an option that must be there.
    pub(super) fn required(&self, letter: char) -> Result<&str, Failure> {
        self.get(letter).ok_or_else(|| Failure::Usage(format!("Missing required option: -{letter}")))
    }

    /// The value of a required option as a number or a name.
    pub(super) fn parsed<T: FromStr>(&self, letter: char) -> Result<T, Failure>
    where
        T::Err: Display,
    {
        parse(letter, self.required(letter)?)
    }

    /// The value as a number, if the option was given.
    pub(super) fn maybe<T: FromStr>(&self, letter: char) -> Result<Option<T>, Failure>
    where
        T::Err: Display,
    {
        self.get(letter).map(|text| parse(letter, text)).transpose()
    }

    /// Whether the value reads `true`; anything else is false, as in the Java tool.
    pub(super) fn truth(&self, letter: char) -> Option<bool> {
        self.get(letter).map(|text| text.eq_ignore_ascii_case("true"))
    }
}

fn parse<T: FromStr>(letter: char, text: &str) -> Result<T, Failure>
where
    T::Err: Display,
{
    text.parse().map_err(|why: T::Err| Failure::Usage(format!("Option -{letter} cannot be [{text}]: {why}")))
}

fn long_option(command: &Command, name: &str) -> Result<Option<&'static Opt>, Failure> {
    if let Some(option) = command.all_options().find(|o| o.long == name) {
        return Ok(Some(option));
    }
    let starts = |option: &&Opt| !name.is_empty() && option.long.starts_with(name);
    let mut close = command.options.iter().chain(COMMON).filter(starts);
    match (close.next(), close.next()) {
        (Some(one), Some(other)) => Err(Failure::Usage(format!("--{name} may be --{} or --{}", one.long, other.long))),
        // Ours does not make short forms of RocketMQ's own names ambiguous.
        (None, _) => Ok(command.output_option().filter(starts)),
        (found, _) => Ok(found),
    }
}

/// A word that looks like an option but is none (`-1`) may be a value.
fn is_option(command: &Command, word: &str) -> bool {
    let Some(name) = word.strip_prefix('-').map(|rest| rest.strip_prefix('-').unwrap_or(rest)) else {
        return false;
    };
    command.all_options().any(|o| o.long == name || (name.chars().count() == 1 && name.starts_with(o.letter)))
}

#[cfg(test)]
mod tests {
    use super::super::command::find;
    use super::*;

    fn read(name: &str, args: &[&str]) -> Result<Given, Failure> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        Given::parse(find(name).expect("a command of the table"), &args)
    }

    fn refused(name: &str, args: &[&str]) -> String {
        match read(name, args) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_spellings_of_an_option_mean_the_same() {
        for args in [&["-t", "x"][..], &["-tx"], &["--topic", "x"], &["--topic=x"], &["-topic", "x"], &["--top", " x "]]
        {
            assert_eq!(read("topicRoute", args).unwrap().get('t'), Some("x"), "{args:?}");
        }
    }

    #[test]
    fn a_negative_number_is_a_value_and_an_option_is_not() {
        let given = read("resetOffsetByTime", &["-g", "g", "-t", "t", "-s", "-1"]).unwrap();
        assert_eq!(given.get('s'), Some("-1"));
        assert_eq!(refused("resetOffsetByTime", &["-g", "-t", "t", "-s", "1"]), "Missing argument for option: g");
        assert_eq!(refused("topicRoute", &["-t"]), "Missing argument for option: t");
    }

    #[test]
    fn switches_may_share_a_word() {
        let given = read("statsAll", &["-at", "x"]).unwrap();
        assert!(given.flag('a'));
        assert_eq!(given.get('t'), Some("x"));
        assert!(read("clusterList", &["-m"]).unwrap().flag('m'));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert_eq!(refused("topicRoute", &[]), "Missing required option: -t (topic)");
        assert_eq!(refused("topicRoute", &["-t", "x", "-z"]), "Unrecognized option: -z");
        assert_eq!(refused("topicRoute", &["-t", "x", "y"]), "Unexpected argument: y");
        assert!(
            refused("updateSubGroup", &["-b", "x", "-g", "g", "--consume", "true"]).starts_with("--consume may be")
        );
        assert!(refused("updateTopic", &["-t", "x", "-b", "a", "-c", "b"]).contains("not both"));
        assert!(refused("brokerStatus", &[]).contains("-b for one broker"));
        let given = read("updateTopic", &["-c", "c", "-t", "x", "-r", "many"]).unwrap();
        assert!(given.maybe::<u32>('r').is_err());
    }

    #[test]
    fn json_is_asked_for_with_the_letter_only_where_it_is_free() {
        for args in [&["-t", "x", "-o", "json"][..], &["-t", "x", "--output=json"], &["-t", "x", "--out", "json"]] {
            assert_eq!(read("topicStatus", args).unwrap().format(), Format::Json, "{args:?}");
        }
        let given = read("consumeMessage", &["-t", "x", "-o", "7", "--output", "json"]).unwrap();
        assert_eq!((given.get('o'), given.format()), (Some("7"), Format::Json));
        let given = read("brokerConsumeStats", &["-b", "x", "--o", "true"]).unwrap();
        assert_eq!((given.truth('o'), given.format()), (Some(true), Format::Table));
        assert!(refused("consumeMessage", &["-t", "x", "-o", "json"]).contains("--output json"));
        assert!(refused("topicStatus", &["-t", "x", "-o", "xml"]).contains("[xml]"));
        assert!(refused("deleteTopic", &["-t", "x", "-c", "c", "-o", "json"]).contains("Unrecognized"));
    }

    #[test]
    fn help_needs_no_other_option() {
        assert!(read("updateTopic", &["-h"]).unwrap().flag('h'));
    }

    #[test]
    fn the_first_of_two_counts_and_truth_is_a_word() {
        assert_eq!(read("topicRoute", &["-t", "a", "-t", "b"]).unwrap().get('t'), Some("a"));
        let given = read("updateTopic", &["-c", "c", "-t", "x", "-o", "TRUE", "-u", "yes"]).unwrap();
        assert_eq!((given.truth('o'), given.truth('u'), given.truth('s')), (Some(true), Some(false), None));
    }
}
