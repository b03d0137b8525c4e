//! Requests signed by RocketMQ's own client hook (see `tests/capture/SignedFrames.java`) are accepted here.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::BytesMut;
use kerolox_net::signature::{ACCESS_KEY, Credentials, SIGNATURE, is_signed};
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, take_frame};

fn signed() -> Vec<(&'static str, Frame)> {
    let text = include_str!("../testdata/signed.txt");
    let line = |line: &'static str| {
        let (secret, hex) = line.split_once(' ').unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        (secret, take_frame(&mut BytesMut::from(&bytes[..]), FRAME_SIZE_MAX).unwrap().unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
fn signatures_of_the_java_client_are_accepted() {
    let all = signed();
    assert_eq!(all.len(), 16);
    for (secret, frame) in all {
        assert!(is_signed(&frame, secret), "{frame:?}");
        assert!(!is_signed(&frame, "another secret"), "{frame:?}");
    }
}

#[test]
fn what_is_signed_here_is_what_the_java_client_signs() {
    for (secret, frame) in signed() {
        let theirs = frame.fields.get(SIGNATURE).unwrap().to_owned();
        let mut ours = frame.clone();
        ours.fields = frame.fields.iter().filter(|(name, _)| ![SIGNATURE, ACCESS_KEY].contains(name)).collect();
        Credentials { access_key: "conformanceUser".to_owned(), secret_key: secret.to_owned() }.sign(&mut ours);
        assert_eq!(ours.fields.get(SIGNATURE), Some(theirs.as_str()));
    }
}
