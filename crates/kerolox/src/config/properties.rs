//! Java `.properties` files: reading them, and changing single lines so that comments and all else stay.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use java_properties::{LineContent, PropertiesIter};

/// What some editors put before a text in UTF-8.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One `key=value` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Key.
    pub(crate) key: String,
    /// Value without the blanks around it. RocketMQ keeps trailing blanks, and then takes `true ` for false.
    pub(crate) value: String,
    /// Line on which it begins, the first being 1.
    pub(crate) line: usize,
}

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its number, the first being 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) why: String,
}

/// Reads all pairs, and names all lines that cannot be read.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Pair>, Vec<BadLine>) {
    let lines: Vec<&[u8]> = natural_lines(bytes).collect();
    let (mut pairs, mut bad) = (Vec::new(), Vec::new());
    // The reader takes the first bytes for a mark of another encoding, and panics where that encoding ends early: so the
    // text begins on its second line. A backslash before the end of the text would hide its last line.
    let text = [b"\n", bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes), b"\n\n"].concat();
    for line in PropertiesIter::new(text.as_slice()) {
        match line {
            Ok(line) => {
                let number = line.line_number().saturating_sub(1);
                if let LineContent::KVPair(key, value) = line.consume_content() {
                    pairs.push(Pair { key: key.trim().to_owned(), value: value.trim().to_owned(), line: number });
                }
            }
            Err(error) => {
                let number = error.line_number().unwrap_or(0).saturating_sub(1);
                // Java does not look at escapes in comments.
                let text = lines.get(number.saturating_sub(1)).copied().unwrap_or_default().trim_ascii_start();
                if !text.starts_with(b"#") && !text.starts_with(b"!") {
                    bad.push(BadLine { line: number, why: without_line(&error.to_string()) });
                }
                if number == 0 {
                    break;
                }
            }
        }
    }
    (pairs, bad)
}

/// The reader's sentence without its own count of lines.
fn without_line(why: &str) -> String {
    why.split(" (line_number").next().unwrap_or_default().to_owned()
}

/// Writes `key=value` so that a reader of `.properties` gets the same value back, whatever encoding it assumes.
pub(crate) fn line(key: &str, value: &str) -> String {
    let mut out = format!("{key}=");
    for (at, c) in value.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' ' if at == 0 => out.push_str("\\ "),
            ' '..='~' => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

/// Sets keys in a file: the lines that set them are replaced, missing ones appended, everything else stays as it is.
/// The text before is kept beside it with `.bak` at its end.
///
/// # Errors
/// When the file cannot be read or replaced; then it is as it was.
pub(crate) fn set_in_file(path: &Path, changes: &[(String, String)]) -> io::Result<()> {
    // Written through a link, so that the link stays.
    let path = fs::canonicalize(path)?;
    let before = fs::read(&path)?;
    let after = edited(&before, changes);
    let with_end = |end: &str| {
        let mut name = path.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    replace(&with_end(".bak"), &before, &path)?;
    replace(&path, &after, &path)
}

/// Writes a file as a whole or not at all, with the permissions of `like`.
fn replace(path: &Path, bytes: &[u8], like: &Path) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = fs::File::create(&temporary)?;
    file.set_permissions(fs::metadata(like)?.permissions())?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}

fn edited(before: &[u8], changes: &[(String, String)]) -> Vec<u8> {
    let (pairs, _) = parse(before);
    let mut lines: Vec<Option<Vec<u8>>> = natural_lines(before).map(|line| Some(line.to_vec())).collect();
    for (key, value) in changes {
        let new = line(key, value).into_bytes();
        // The last line counts, as it does when the file is read.
        let Some(found) = pairs.iter().rfind(|pair| pair.key == *key) else {
            lines.push(Some(new));
            continue;
        };
        let mut at = found.line - 1;
        while let Some(text) = lines.get_mut(at) {
            let goes_on =
                text.as_ref().is_some_and(|text| text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1);
            *text = (at == found.line - 1).then(|| new.clone());
            if !goes_on {
                break;
            }
            at += 1;
        }
    }
    let mut out = Vec::with_capacity(before.len() + 64);
    for text in lines.iter().flatten() {
        out.extend_from_slice(text);
        out.push(b'\n');
    }
    out
}

/// Lines as the reader counts them, without their ends.
fn natural_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        let skip = if after.starts_with(b"\r\n") { 2 } else { after.len().min(1) };
        rest = after.get(skip..).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        let (pairs, bad) = parse(text.as_bytes());
        assert_eq!(bad, [], "{text:?}");
        pairs.into_iter().map(|pair| (pair.key, pair.value, pair.line)).collect()
    }

    #[test]
    fn all_spellings_of_a_pair_are_read() {
        let text = "a=1\nb : 2\nc 3\n d\t=\t4  \n# e=5\n! f=6\ng=\nh=one \\\n   two\ni=\\u0041\\\\\nj";
        let found = pairs(text);
        let short: Vec<(&str, &str, usize)> = found.iter().map(|(k, v, n)| (k.as_str(), v.as_str(), *n)).collect();
        assert_eq!(
            short,
            [
                ("a", "1", 1),
                ("b", "2", 2),
                ("c", "3", 3),
                ("d", "4", 4),
                ("g", "", 7),
                ("h", "one two", 8),
                ("i", "A\\", 10),
                ("j", "", 11),
            ]
        );
    }

    #[test]
    fn line_ends_of_all_systems_are_read() {
        assert_eq!(
            pairs("a=1\r\nb=2\rc=3"),
            [("a", "1", 1), ("b", "2", 2), ("c", "3", 3)].map(|(k, v, n)| (k.into(), v.into(), n))
        );
    }

    #[test]
    fn a_comment_may_hold_anything_and_a_bad_escape_is_named_with_its_line() {
        assert_eq!(pairs("# C:\\users\\u\na=1").len(), 1);
        let (found, bad) = parse(b"a=1\nb=\\uZZZZ\nc=3\n");
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2]);
        assert_eq!(found.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn marks_of_other_encodings_are_no_marks() {
        for text in [&b"\xEF"[..], b"\xEF\xBB", b"\xFF\xFE\xFF", b"\xFE\xFF\0", b"\xFF\xFEa=1\n\xD8"] {
            assert_eq!(parse(text).1, [], "{text:?}");
        }
        assert_eq!(parse(b"\xEF\xBB\xBFa=1").0, [Pair { key: "a".into(), value: "1".into(), line: 1 }]);
    }

    #[test]
    fn a_backslash_at_the_very_end_hides_nothing() {
        assert_eq!(pairs("a=1\nb=2\\"), [("a".to_owned(), "1".to_owned(), 1), ("b".to_owned(), "2".to_owned(), 2)]);
    }

    #[test]
    fn written_values_read_back_the_same() {
        for value in ["plain", " leading", "back\\slash", "line\nbreak=evil", "ü€😀", "a=b:c #!", ""] {
            let text = line("k", value);
            assert!(text.is_ascii() && !text.contains('\n'), "{text}");
            let read = java_properties::read(text.as_bytes());
            // The reader knows no pairs of surrogates.
            if value.contains('😀') {
                continue;
            }
            assert_eq!(read.unwrap().get("k").map(String::as_str), Some(value));
        }
    }

    #[test]
    fn changing_a_file_keeps_comments_and_unknown_lines() {
        let before = "# mine\nbrokerPermission = 6\nunknown=x\ntraceOn=\\\n  true\nlast=1";
        let changes = [("brokerPermission", "4"), ("traceOn", "false"), ("longPollingEnable", "false")];
        let changes = changes.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let after = String::from_utf8(edited(before.as_bytes(), &changes)).unwrap();
        assert_eq!(after, "# mine\nbrokerPermission=4\nunknown=x\ntraceOn=false\nlast=1\nlongPollingEnable=false\n");
    }

    #[test]
    fn a_changed_file_leaves_the_text_before_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.conf");
        fs::write(&path, "a=1\n").unwrap();
        set_in_file(&path, &[("a".to_owned(), "2".to_owned())]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a=2\n");
        assert_eq!(fs::read_to_string(dir.path().join("broker.conf.bak")).unwrap(), "a=1\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(set_in_file(&dir.path().join("none"), &[]).is_err());
    }
}
