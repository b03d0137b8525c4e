//! Frames over real sockets: whole, split, many at once, and bytes that are none.

mod common;

use std::time::Duration;

use bytes::BytesMut;
use common::{ECHO, LATE, LONG, PANIC, Raw, SILENT, config, request, response, serve, until};
use kerolox_wire::frame::Frame;
use proptest::prelude::{Strategy, any, proptest};
use proptest::test_runner::Config;

#[tokio::test]
async fn a_frame_may_arrive_split_at_any_byte() {
    let (serving, _) = serve(config());
    let mut raw = Raw::to(&serving).await;
    let bytes = request(ECHO, 7, b"hello").to_bytes();
    for at in 0..=bytes.len() {
        raw.send(&bytes[..at]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        raw.send(&bytes[at..]).await;
        let reply = raw.frame().await.unwrap();
        assert_eq!((reply.opaque, &reply.body[..]), (7, &b"hello"[..]), "split at {at}");
    }
}

#[tokio::test]
async fn frames_that_come_together_are_served_together_and_in_order() {
    let (serving, echo) = serve(config());
    let mut raw = Raw::to(&serving).await;
    let mut bytes = BytesMut::new();
    for opaque in 0..100 {
        request(ECHO, opaque, &[0; 10]).encode(&mut bytes);
    }
    raw.send(&bytes).await;
    for opaque in 0..100 {
        assert_eq!(raw.frame().await.unwrap().opaque, opaque);
    }
    assert!(echo.groups.lock().len() < 10, "{:?}", echo.groups.lock());
}

#[tokio::test]
async fn large_frames_pass_both_ways() {
    let (serving, _) = serve(config());
    let mut raw = Raw::to(&serving).await;
    for size in [60_000, 64 * 1024, 100_000, 128 * 1024, 1_000_000, 15 * 1024 * 1024] {
        let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let reply = raw.ask(&request(ECHO, size, &body)).await.unwrap();
        assert_eq!(reply.opaque, size);
        assert!(reply.body == body, "{size}");
        // A small one directly behind shows that nothing was left over.
        assert_eq!(raw.ask(&request(ECHO, 1, b"x")).await.unwrap().opaque, 1);
    }
}

#[tokio::test]
async fn a_peer_that_sends_without_reading_is_not_read_further_and_loses_nothing() {
    let (serving, echo) = serve(config());
    let mut raw = Raw::to(&serving).await;
    let (mut reader, mut writer) = tokio::io::split(raw.stream);
    let sending = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        for opaque in 0..400 {
            writer.write_all(&request(ECHO, opaque, &vec![1; 100_000]).to_bytes()).await.unwrap();
        }
        writer
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let served: usize = echo.groups.lock().iter().sum();
    assert!(served < 300, "{served} of 400 served although nobody reads");
    let mut got = 0_usize;
    let mut buf = vec![0; 1 << 20];
    while got < 400 * 100_000 {
        use tokio::io::AsyncReadExt;
        got += tokio::time::timeout(LONG, reader.read(&mut buf)).await.unwrap().unwrap();
    }
    raw = Raw::to(&serving).await;
    assert!(raw.ask(&request(ECHO, 1, b"")).await.is_some());
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn what_is_no_frame_closes_the_connection_and_only_that() {
    let huge = (17 * 1024 * 1024_i32).to_be_bytes();
    let long_header = [0, 0, 0, 8, 0, 0, 0, 5, b'{', b'}', 0, 0];
    let unknown_kind = [0, 0, 0, 6, 9, 0, 0, 2, b'{', b'}'];
    let no_json = [0, 0, 0, 6, 0, 0, 0, 2, b'{', b'{'];
    let (serving, _) = serve(config());
    let mut good = Raw::to(&serving).await;
    let cases: [&[u8]; 8] = [
        &huge,
        &(-1_i32).to_be_bytes(),
        &i32::MIN.to_be_bytes(),
        &[0, 0, 0, 0],
        &long_header,
        &unknown_kind,
        &no_json,
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for (n, bytes) in cases.iter().enumerate() {
        let mut raw = Raw::to(&serving).await;
        // What was well-formed before is answered.
        let mut all = request(ECHO, 5, b"").to_bytes().to_vec();
        all.extend_from_slice(bytes);
        raw.send(&all).await;
        assert_eq!(raw.frame().await.map(|f| f.opaque), Some(5), "{bytes:?}");
        assert_eq!(raw.frame().await, None, "{bytes:?}");
        until(|| serving.counters().snapshot().malformed == n as u64 + 1).await;
    }
    // The largest length and the ASCII text.
    assert_eq!(serving.counters().snapshot().oversize, 2);
    assert!(good.ask(&request(ECHO, 1, b"")).await.is_some());
}

#[tokio::test]
async fn a_panic_costs_its_connection_and_no_other() {
    let (serving, echo) = serve(config());
    let (mut bad, mut good) = (Raw::to(&serving).await, Raw::to(&serving).await);
    assert!(good.ask(&request(ECHO, 1, b"")).await.is_some());
    assert_eq!(bad.ask(&request(PANIC, 1, b"")).await, None);
    assert!(good.ask(&request(ECHO, 2, b"")).await.is_some());
    until(|| echo.gone.lock().len() == 1).await;
    let seen = serving.counters().snapshot();
    assert_eq!((seen.panics, seen.open), (1, 1));
}

#[tokio::test]
async fn one_way_requests_and_responses_get_no_answer() {
    let (serving, echo) = serve(config());
    let mut raw = Raw::to(&serving).await;
    raw.send(&request(ECHO, 1, b"").oneway().to_bytes()).await;
    raw.send(&response(&request(ECHO, 2, b"")).to_bytes()).await;
    raw.send(&request(SILENT, 3, b"").to_bytes()).await;
    assert_eq!(raw.ask(&request(ECHO, 4, b"")).await.unwrap().opaque, 4);
    assert_eq!(echo.groups.lock().iter().sum::<usize>(), 3);
    assert_eq!(serving.counters().snapshot().stray_responses, 1);
}

#[tokio::test]
async fn an_answer_may_come_later_and_from_another_thread() {
    let (serving, _) = serve(config());
    let mut raw = Raw::to(&serving).await;
    raw.send(&request(LATE, 1, b"late").to_bytes()).await;
    assert_eq!(raw.ask(&request(ECHO, 2, b"")).await.unwrap().opaque, 2);
    assert_eq!(raw.frame().await.unwrap().opaque, 1);
}

fn pieces() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    (proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(0..200_usize, 0..12))
}

proptest! {
    #![proptest_config(Config { cases: 40, failure_persistence: None, ..Config::default() })]

    #[test]
    fn garbage_never_ends_more_than_its_connection((garbage, sizes) in pieces()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (serving, _) = serve(config());
            let mut raw = Raw::to(&serving).await;
            let mut bytes = BytesMut::new();
            for (n, size) in sizes.iter().enumerate() {
                request(ECHO, n as i32, &vec![3; *size]).encode(&mut bytes);
            }
            raw.send(&bytes).await;
            raw.send(&garbage).await;
            for n in 0..sizes.len() {
                assert_eq!(raw.frame().await.map(|f: Frame| f.opaque), Some(n as i32));
            }
            drop(raw);
            let mut good = Raw::to(&serving).await;
            assert!(good.ask(&request(ECHO, 1, b"")).await.is_some());
            assert_eq!(serving.counters().snapshot().panics, 0);
        });
    }
}
