//! Connections from their begin to their end: limits, silence, pushes, calls, shutdown.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{ECHO, FLOOD, LAST, LATE, LONG, Raw, SILENT, config, request, response, serve, until, wait};
use kerolox_net::{CallError, PushError};
use kerolox_wire::frame::Frame;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn the_server_can_call_its_client() {
    let (serving, echo) = serve(config());
    let mut raw = Raw::to(&serving).await;
    assert!(raw.ask(&request(ECHO, 1, b"")).await.is_some());
    let peer = Arc::clone(&echo.peers.lock()[0]);
    assert_eq!(peer.local(), serving.local_addr());
    assert_eq!(peer.remote(), raw.stream.local_addr().unwrap());

    let call = tokio::spawn({
        let peer = Arc::clone(&peer);
        async move { peer.call(request(220, -5, b"reset"), LONG).await }
    });
    let asked = raw.frame().await.unwrap();
    assert_eq!((asked.code, asked.is_response()), (220, false));
    raw.send(&response(&asked).to_bytes()).await;
    assert_eq!(&call.await.unwrap().unwrap().body[..], b"reset");

    let late = peer.call(request(220, 0, b""), Duration::from_millis(30)).await;
    assert!(matches!(late, Err(CallError::Timeout { .. })), "{late:?}");
    assert_eq!(peer.pending_calls(), 0);

    let call = tokio::spawn(async move { peer.call(request(220, 0, b""), LONG).await });
    assert!(raw.frame().await.is_some());
    assert!(raw.frame().await.is_some());
    drop(raw);
    assert!(matches!(call.await.unwrap(), Err(CallError::Closed { .. })));
}

#[tokio::test]
async fn pushes_from_other_threads_arrive_whole_and_in_order() {
    let (serving, echo) = serve(config());
    let mut raw = Raw::to(&serving).await;
    assert!(raw.ask(&request(ECHO, 1, b"")).await.is_some());
    let peer = Arc::clone(&echo.peers.lock()[0]);
    let pushing = std::thread::spawn(move || {
        for opaque in 0..2000 {
            let size = if opaque % 50 == 0 { 20_000 } else { 10 };
            peer.notify(&Frame { opaque, ..request(40, 0, &vec![opaque as u8; size]) }).unwrap();
            if opaque % 100 == 0 {
                wait(Duration::from_millis(1));
            }
        }
    });
    for n in 0..2000 {
        let frame = raw.frame().await.unwrap();
        assert!(frame.is_oneway());
        assert!(frame.body.iter().all(|b| *b == n as u8), "{n}");
    }
    pushing.join().unwrap();
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_closed_when_its_queue_is_full() {
    let mut config = config();
    config.push_bytes_max = 8 * 1024 * 1024;
    let (serving, echo) = serve(config);
    let mut raw = Raw::to(&serving).await;
    raw.send(&request(FLOOD, 1, &[0; 64]).to_bytes()).await;
    until(|| echo.gone.lock().len() == 1).await;
    assert_eq!(serving.counters().snapshot().overflow, 1);
    let peer = Arc::clone(&echo.peers.lock()[0]);
    assert!(!peer.is_open());
    assert_eq!(peer.push(Bytes::from_static(b"x")), Err(PushError::Closed));
}

#[tokio::test]
async fn slow_but_steady_readers_may_receive_more_than_the_limit_in_all() {
    let mut config = config();
    config.push_bytes_max = 4 * 1024 * 1024;
    let (serving, echo) = serve(config);
    let mut raw = Raw::to(&serving).await;
    assert!(raw.ask(&request(ECHO, 1, b"")).await.is_some());
    let peer = Arc::clone(&echo.peers.lock()[0]);
    let mut buf = vec![0; 1 << 20];
    for _ in 0..40 {
        peer.push(Bytes::from(vec![0; 1 << 20])).unwrap();
        tokio::time::timeout(LONG, raw.stream.read_exact(&mut buf)).await.unwrap().unwrap();
    }
    assert!(peer.is_open());
}

#[tokio::test]
async fn silence_and_unfinished_frames_close_a_connection() {
    let mut config = config();
    config.idle = Duration::from_millis(400);
    config.frame_deadline = Some(Duration::from_millis(800));
    let (serving, echo) = serve(config);
    let mut silent = Raw::to(&serving).await;
    assert!(silent.ask(&request(ECHO, 1, b"")).await.is_some());
    let mut busy = Raw::to(&serving).await;
    let mut trickling = Raw::to(&serving).await;
    let bytes = request(ECHO, 1, &[0; 100]).to_bytes();
    for byte in &bytes[..20] {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut trickling.stream, &[*byte]).await;
        assert!(busy.ask(&request(ECHO, 1, b"")).await.is_some());
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(silent.frame().await, None);
    assert_eq!(trickling.frame().await, None);
    let seen = serving.counters().snapshot();
    assert_eq!((seen.closed_idle, seen.closed_slow, seen.open), (1, 1, 1));
    assert_eq!(echo.gone.lock().len(), 2);
}

#[tokio::test]
async fn connections_above_the_limit_are_turned_away() {
    let mut config = config();
    config.connections_max = 2;
    let (serving, _) = serve(config);
    let (mut a, mut b) = (Raw::to(&serving).await, Raw::to(&serving).await);
    assert!(a.ask(&request(ECHO, 1, b"")).await.is_some());
    assert!(b.ask(&request(ECHO, 1, b"")).await.is_some());
    assert_eq!(Raw::to(&serving).await.frame().await, None);
    drop(a);
    until(|| serving.counters().snapshot().open == 1).await;
    assert!(Raw::to(&serving).await.ask(&request(ECHO, 1, b"")).await.is_some());
    assert_eq!(serving.counters().snapshot().refused_full, 1);
}

#[tokio::test]
async fn a_reply_given_before_closing_still_leaves() {
    let (serving, _) = serve(config());
    let mut raw = Raw::to(&serving).await;
    assert_eq!(raw.ask(&request(LAST, 9, b"bye")).await.unwrap().opaque, 9);
    assert_eq!(raw.frame().await, None);
}

#[tokio::test]
async fn shutdown_writes_what_is_due_and_frees_the_port() {
    let (serving, echo) = serve(config());
    let addr = serving.local_addr();
    let mut raw = Raw::to(&serving).await;
    raw.send(&request(LATE, 3, b"due").to_bytes()).await;
    until(|| !echo.groups.lock().is_empty()).await;
    serving.quiesce();
    // Requests sent now are not served any more; the late answer is.
    raw.send(&request(ECHO, 4, b"").to_bytes()).await;
    assert_eq!(raw.frame().await.unwrap().opaque, 3);
    let reading = tokio::spawn(async move { raw.frame().await });
    tokio::time::timeout(Duration::from_secs(3), serving.shutdown()).await.unwrap();
    assert_eq!(reading.await.unwrap(), None);
    assert_eq!(echo.gone.lock().len(), 1);
    assert!(tokio::net::TcpListener::bind(addr).await.is_ok());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut config = config();
    config.grace = Duration::from_millis(200);
    let (serving, echo) = serve(config);
    let mut stuck = Raw::to(&serving).await;
    stuck.send(&request(FLOOD, 1, &[0; 30]).to_bytes()).await;
    until(|| !echo.groups.lock().is_empty()).await;
    tokio::time::timeout(Duration::from_secs(3), serving.shutdown()).await.unwrap();
    assert_eq!(echo.gone.lock().len(), 1);
}

#[tokio::test]
async fn a_dropped_listener_closes_everything() {
    let (serving, echo) = serve(config());
    let mut raw = Raw::to(&serving).await;
    assert!(raw.ask(&request(ECHO, 1, b"")).await.is_some());
    drop(serving);
    assert_eq!(raw.ask(&request(SILENT, 2, b"")).await, None);
    until(|| echo.gone.lock().len() == 1).await;
}
