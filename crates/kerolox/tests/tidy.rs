//! The repository itself: who may know whom, sizes, names, and documents whose links and lists are true.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

const DIRECT_DEPENDENCIES_MAX: usize = 40;
const LOCKED_CRATES_MAX: usize = 350;
const FILE_LINES_MAX: usize = 1_000;
const MEDIAN_FILE_LINES_MAX: usize = 250;
const ARCHITECTURE_LINES_MAX: usize = 250;
const VAGUE_TYPES_MAX_PERCENT: usize = 3;

/// What each crate may use of ours.
const MAY_USE: &[(&str, &[&str])] = &[
    ("kerolox-wire", &[]),
    ("kerolox-store", &["kerolox-wire"]),
    ("kerolox-net", &["kerolox-wire"]),
    ("kerolox-namesrv", &["kerolox-wire", "kerolox-net"]),
    ("kerolox-broker", &["kerolox-wire", "kerolox-store", "kerolox-net"]),
    ("kerolox-client", &["kerolox-wire", "kerolox-net"]),
    ("kerolox-console", &["kerolox-wire", "kerolox-client"]),
];
/// Crates that must stay free of sockets and tasks.
const WITHOUT_RUNTIME: &[&str] = &["kerolox-wire", "kerolox-store"];
/// Ends of type names that say nothing.
const VAGUE: &[&str] = &["Manager", "Service", "Helper", "Util", "Utils", "Impl", "Handler", "Context"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file of the repository with one of these ends, but what builds and runs leave behind.
fn files(ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                let ours =
                    !name.starts_with('.') && !["target", "node_modules", "kerolox-data", "book"].contains(&name);
                if ours {
                    folders.push(path);
                }
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The crates of the workspace as cargo sees them.
fn packages() -> Vec<Value> {
    let out = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let whole: Value = serde_json::from_slice(&out.stdout).unwrap();
    whole["packages"].as_array().unwrap().clone()
}

fn dependencies(package: &Value) -> impl Iterator<Item = (&str, bool)> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.map(|one| (one["name"].as_str().unwrap(), one["kind"] == "dev"))
}

#[test]
fn crates_use_only_what_they_may() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let used = dependencies(&package).filter(|(_, dev)| !dev).map(|(name, _)| name);
        let (ours, others): (Vec<_>, Vec<_>) = used.partition(|name| name.starts_with("kerolox"));
        if let Some((_, may)) = MAY_USE.iter().find(|(known, _)| *known == name) {
            for used in ours {
                assert!(may.contains(&used), "{name} must not know {used}");
            }
        } else {
            assert_eq!(name, "kerolox", "a new crate: say in MAY_USE what it may use");
        }
        if WITHOUT_RUNTIME.contains(&name) {
            assert!(!others.iter().any(|other| other.starts_with("tokio")), "{name} must not know a runtime");
        }
    }
}

#[test]
fn every_dependency_is_explained_and_used() {
    let page = text(&root().join("docs/dependencies.md"));
    let explained: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let packages = packages();
    let named: BTreeSet<&str> = packages
        .iter()
        .flat_map(dependencies)
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("kerolox"))
        .collect();
    assert_eq!(explained, named, "left: docs/dependencies.md, right: the manifests");
    let shipped: BTreeSet<&str> =
        packages.iter().flat_map(dependencies).filter(|(_, dev)| !dev).map(|(name, _)| name).collect();
    let shipped = shipped.intersection(&named).count();
    assert!(shipped <= DIRECT_DEPENDENCIES_MAX, "{shipped} direct dependencies");

    let manifest = text(&root().join("Cargo.toml"));
    let offered = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in offered.lines().filter(|line| !line.is_empty()) {
        let name = line.split(' ').next().unwrap();
        assert!(name.starts_with("kerolox") || named.contains(name), "no crate uses {name} of the workspace's list");
    }
    let locked = text(&root().join("Cargo.lock")).matches("[[package]]").count();
    assert!(locked <= LOCKED_CRATES_MAX, "{locked} crates in the lock file");
}

#[test]
fn files_and_names_are_of_a_size_to_be_read() {
    let sources = files(&[".rs"]);
    let mut lengths: Vec<usize> = sources
        .iter()
        .map(|path| {
            let lines = text(path).lines().count();
            assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines, {FILE_LINES_MAX} are allowed", shown(path));
            lines
        })
        .collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_FILE_LINES_MAX, "half of the files have more than {median} lines");
    let architecture = text(&root().join("ARCHITECTURE.md")).lines().count();
    assert!(architecture <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {architecture} lines");

    let mut types = 0;
    let mut vague = Vec::new();
    for path in sources.iter().filter(|path| shown(path).contains("/src/")) {
        for line in text(path).lines() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            if !words.any(|word| ["struct", "enum", "trait"].contains(&word)) || line.trim_start().starts_with("//") {
                continue;
            }
            let Some(name) = words.next() else { continue };
            types += 1;
            if VAGUE.iter().any(|end| name.ends_with(end)) {
                vague.push(name.to_owned());
            }
        }
    }
    assert!(vague.len() * 100 <= types * VAGUE_TYPES_MAX_PERCENT, "of {types} types these say nothing: {vague:?}");
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for page in files(&[".md"]) {
        for link in links(&text(&page)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, at)| (path, Some(at)));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let there = target.exists()
                && anchor.is_none_or(|at| {
                    target.extension().is_some_and(|end| end == "md") && anchors(&text(&target)).contains(at)
                });
            if !there {
                broken.push(format!("{}: {link}", shown(&page)));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing:\n{}", broken.join("\n"));
}

/// Targets of `[text](target)`, outside of code.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(page) {
        // what stands between single backquotes is no link
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap();
            found.push(target.to_owned());
        }
    }
    found
}

fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !fence && !code
    })
}

/// What headings can be linked by, as code hosts and mdBook make it of them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn the_guides_say_the_same_in_both_languages_and_name_every_example() {
    let guide = root().join("docs/guide");
    let mut named = BTreeSet::new();
    for path in files(&[".md"]).iter().filter(|path| path.starts_with(guide.join("en"))) {
        let other = guide.join("zh").join(path.file_name().unwrap());
        let (english, chinese) = (text(path), text(&other));
        let shape = |page: &str| -> BTreeMap<&'static str, usize> {
            ["\n#", "\n| ", "\n- ", "\n```"].into_iter().map(|mark| (mark, page.matches(mark).count())).collect()
        };
        assert_eq!(shape(&english), shape(&chinese), "headings, rows, points and blocks of {}", shown(path));
        let programs =
            |page: &str| -> Vec<String> { links(page).into_iter().filter(|link| link.contains("examples/")).collect() };
        assert_eq!(programs(&english), programs(&chinese), "programs of {}", shown(path));
        named.extend(
            programs(&english).into_iter().map(|link| path.parent().unwrap().join(link).canonicalize().unwrap()),
        );
    }
    let examples = root().join("examples");
    for path in files(&[".java", "main.go"]).iter().filter(|path| path.starts_with(&examples)) {
        let helper = path.ends_with("Inbox.java");
        assert!(helper || named.contains(path), "no guide names {}", shown(path));
    }
}

#[test]
fn every_page_is_in_the_book_and_its_programs_are_real() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let listed: BTreeSet<PathBuf> = links(&text(&summary)).iter().map(|link| docs.join(link)).collect();
    let pages = files(&[".md"]).into_iter().filter(|path| path.starts_with(&docs) && *path != summary);
    for page in pages {
        assert!(listed.contains(&page), "docs/SUMMARY.md lacks {}", shown(&page));
    }
    // each line of a program in the quickstart stands in one of the programs that it links to
    let page = text(&docs.join("quickstart.md"));
    let programs = links(&page).into_iter().filter(|link| link.contains("examples/"));
    let programs: String = programs.map(|link| text(&docs.join(link))).collect();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line.len() > "```".len();
        } else if inside {
            assert!(programs.contains(line.trim()), "quickstart.md has a line that is in no program: {line}");
        }
    }
}

#[test]
fn commands_of_mqadmin_in_the_documents_are_there() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_kerolox")).arg("admin").output().unwrap();
    let list = String::from_utf8(out.stdout).unwrap();
    let known: BTreeSet<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(known.contains("updateTopic"), "{list}");
    for page in files(&[".md"]) {
        let text = text(&page);
        for after in text.split("mqadmin ").skip(1) {
            let word = after.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
            // other words are the sentence's own
            let command = word.starts_with(char::is_lowercase) && word.contains(char::is_uppercase);
            assert!(!command || known.contains(word), "{}: mqadmin has no {word}", shown(&page));
        }
    }
}

#[test]
fn nothing_names_the_folder_that_it_was_written_in() {
    let here = format!("{}/", root().display());
    // a checkout right below the root has a name that may stand anywhere, such as /src/
    if root().components().count() <= 2 {
        return;
    }
    for path in files(&[""]) {
        // what is no text has no paths to be read
        let Ok(text) = fs::read_to_string(&path) else { continue };
        assert!(!text.contains(&here), "{} names {here}", shown(&path));
    }
}
