//! `.properties` files, and the settings in them.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use kerolox_namesrv::settings::Settings;

use crate::config::host::Host;
use crate::config::load::{Given, load};
use crate::config::properties;
use crate::config::table::Role;

/// The file that a run reads; each process has its own.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("kerolox-fuzz-{}.conf", std::process::id())));

static HOST: LazyLock<Host> =
    LazyLock::new(|| Host { home: PathBuf::from("/home/user"), name: "node".to_owned(), cores: 2, address: None });

/// A `-c` file: `role | text`. It is taken in, or all that is wrong with it is told.
pub fn conf(data: &[u8]) {
    let Some((role, text)) = data.split_first() else { return };
    fs::write(&*FILE, text).expect("the folder for temporary files takes one");
    let given = Given {
        role: Role::ALL[usize::from(*role) % Role::ALL.len()],
        host: HOST.clone(),
        presets: vec![("tls.config.file", "/nonexistent/tls.properties".to_owned())],
        variables: Vec::new(),
        file: Some(FILE.clone()),
        flags: Vec::new(),
    };
    if let Err(problems) = load(&given) {
        assert!(!problems.to_string().is_empty());
    }
}

/// Lines of a `.properties` file. A pair that was read is written so that it reads back the same.
pub fn lines(data: &[u8]) {
    let (pairs, bad) = properties::parse(data);
    assert!(bad.iter().all(|bad| !bad.why.is_empty()));
    let ends = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    for pair in pairs {
        assert!(pair.line > 0 && pair.line <= ends + 3, "line {} of {ends}", pair.line);
        let (again, bad) = properties::parse(properties::line("key", &pair.value).as_bytes());
        assert!(bad.is_empty(), "{bad:?}");
        let values: Vec<&str> = again.iter().map(|pair| pair.value.as_str()).collect();
        assert_eq!(values, [pair.value.as_str()]);
    }
}

/// The body of a request to change a name server's settings: all of it counts, or nothing does.
pub fn namesrv_settings(data: &[u8]) {
    let settings = Settings::new(&[], false, None);
    let before = settings.text();
    if let Err(why) = settings.change(data) {
        assert!(!why.to_string().is_empty());
        assert_eq!(settings.text(), before);
    }
}
