//! The pool of connections to other nodes, and TLS on both sides.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{ECHO, Echo, LAST, LATE, LONG, Raw, SILENT, config, local, request, serve, until};
use kerolox_net::{CallError, ClientTls, Outbound, OutboundConfig, ServerTls, ServerTlsFiles, Service, TlsMode};

#[tokio::test]
async fn calls_share_one_connection_and_find_their_answers() {
    let (serving, echo) = serve(config());
    let addr = serving.local_addr().to_string();
    let pool = Outbound::new(OutboundConfig::default());
    let calls: Vec<_> = (0..200_u8)
        .map(|n| {
            let (pool, addr) = (pool.clone(), addr.clone());
            let code = if n % 10 == 0 { LATE } else { ECHO };
            tokio::spawn(async move { pool.call(&addr, request(code, 1, &[n; 5]), LONG).await.unwrap().body[0] })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(usize::from(call.await.unwrap()), n);
    }
    pool.oneway(&addr, &request(ECHO, 1, b"")).await.unwrap();
    until(|| echo.groups.lock().iter().sum::<usize>() == 201).await;
    assert_eq!(serving.counters().snapshot().accepted, 1);
    assert_eq!(pool.counters().snapshot().responses, 200);
}

#[tokio::test]
async fn a_name_is_resolved() {
    let (serving, _) = serve(config());
    let pool = Outbound::new(OutboundConfig::default());
    let addr = format!("localhost:{}", serving.local_addr().port());
    assert!(pool.call(&addr, request(ECHO, 1, b""), LONG).await.is_ok());
    let error = pool.call("no-such-host.invalid:1", request(ECHO, 1, b""), LONG).await.unwrap_err();
    assert!(matches!(error, CallError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_connection_fails_its_calls_at_once_and_the_next_call_opens_another() {
    let (serving, echo) = serve(config());
    let addr = serving.local_addr().to_string();
    let pool = Outbound::new(OutboundConfig::default());
    let waiting = {
        let (pool, addr) = (pool.clone(), addr.clone());
        tokio::spawn(async move { pool.call(&addr, request(SILENT, 1, b""), LONG).await })
    };
    until(|| !echo.groups.lock().is_empty()).await;
    assert!(pool.call(&addr, request(LAST, 1, b""), LONG).await.is_ok());
    let failed = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert!(matches!(failed, Err(CallError::Closed { .. })), "{failed:?}");
    assert!(pool.call(&addr, request(ECHO, 1, b""), LONG).await.is_ok());
    assert_eq!(pool.counters().snapshot().dialled, 2);
}

#[tokio::test]
async fn a_call_waits_no_longer_than_told() {
    let (serving, _) = serve(config());
    let addr = serving.local_addr().to_string();
    let pool = Outbound::new(OutboundConfig::default());
    let error = pool.call(&addr, request(SILENT, 1, b""), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    assert_eq!(pool.peer(&addr).await.unwrap().pending_calls(), 0);
    assert!(pool.call(&addr, request(ECHO, 1, b""), LONG).await.is_ok());
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_names_the_address() {
    let free = std::net::TcpListener::bind(local(0)).unwrap().local_addr().unwrap().to_string();
    let pool = Outbound::new(OutboundConfig::default());
    let calls: Vec<_> = (0..5).map(|_| pool.call(&free, request(ECHO, 1, b""), LONG)).collect();
    for call in calls {
        let error = call.await.unwrap_err().to_string();
        assert!(error.contains(&free), "{error}");
    }
}

#[tokio::test]
async fn dropping_the_pool_closes_its_connections() {
    let (serving, echo) = serve(config());
    let pool = Outbound::new(OutboundConfig::default());
    assert!(pool.call(&serving.local_addr().to_string(), request(ECHO, 1, b""), LONG).await.is_ok());
    drop(pool);
    until(|| echo.gone.lock().len() == 1).await;
}

#[tokio::test]
async fn requests_of_the_other_side_are_served_when_a_service_is_given() {
    let (serving, echo) = serve(config());
    let addr = serving.local_addr().to_string();
    let pool = Outbound::serving(OutboundConfig::default(), Arc::new(Echo::default()) as Arc<dyn Service>);
    assert!(pool.call(&addr, request(ECHO, 1, b""), LONG).await.is_ok());
    let peer = Arc::clone(&echo.peers.lock()[0]);
    assert_eq!(&peer.call(request(ECHO, 1, b"to you"), LONG).await.unwrap().body[..], b"to you");
}

#[tokio::test]
async fn two_nodes_that_send_much_to_each_other_do_not_block() {
    let (serving, _) = serve(config());
    let addr = serving.local_addr().to_string();
    let pool = Outbound::new(OutboundConfig::default());
    let calls: Vec<_> = (0..60)
        .map(|_| {
            let (pool, addr) = (pool.clone(), addr.clone());
            tokio::spawn(async move { pool.call(&addr, request(ECHO, 1, &vec![5; 1 << 20]), LONG).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().body.len(), 1 << 20);
    }
}

fn outbound(tls: ClientTls) -> Outbound {
    let mut config = OutboundConfig::default();
    config.tls = Some(tls);
    Outbound::new(config)
}

#[tokio::test]
async fn tls_and_plain_share_a_port() {
    let mut config = config();
    config.tls = TlsMode::Permissive(ServerTls::self_made().unwrap());
    let (serving, echo) = serve(config);
    let addr = serving.local_addr().to_string();
    let plain = Outbound::new(OutboundConfig::default());
    let secret = outbound(ClientTls::trusting_anyone().unwrap());
    for size in [0, 10, 100_000, 5_000_000] {
        for pool in [&plain, &secret] {
            let reply = pool.call(&addr, request(ECHO, 1, &vec![6; size]), LONG).await.unwrap();
            assert_eq!(reply.body.len(), size);
        }
    }
    assert!(secret.call(&addr, request(LATE, 1, b"pushed"), LONG).await.is_ok());
    assert_eq!(echo.peers.lock().len(), 2);
    let seen = serving.counters().snapshot();
    assert_eq!((seen.tls_sessions, seen.accepted), (1, 2));
}

#[tokio::test]
async fn where_tls_is_enforced_plain_is_refused_and_the_other_way_round() {
    let mut enforcing = config();
    enforcing.tls = TlsMode::Enforcing(ServerTls::self_made().unwrap());
    let (serving, echo) = serve(enforcing);
    assert_eq!(Raw::to(&serving).await.ask(&request(ECHO, 1, b"")).await, None);
    assert!(echo.peers.lock().is_empty());
    until(|| serving.counters().snapshot().plain_refused == 1).await;
    let secret = outbound(ClientTls::trusting_anyone().unwrap());
    assert!(secret.call(&serving.local_addr().to_string(), request(ECHO, 1, b""), LONG).await.is_ok());

    let (serving, _) = serve(config());
    let error = secret.call(&serving.local_addr().to_string(), request(ECHO, 1, b""), LONG).await.unwrap_err();
    assert!(matches!(error, CallError::Connect { .. }), "{error}");
    until(|| serving.counters().snapshot().tls_refused == 1).await;
}

#[tokio::test]
async fn a_server_is_believed_when_its_certificate_leads_to_the_ca_given() {
    let dir = tempfile::tempdir().unwrap();
    let files = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (dir.path().join(format!("{name}.crt")), dir.path().join(format!("{name}.key")));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        ServerTlsFiles { cert, key, client_ca: None, client_cert_required: false }
    };
    let (ours, other) = (files("ours"), files("other"));
    let mut config = config();
    config.tls = TlsMode::Enforcing(ServerTls::from_files(&ours).unwrap());
    let (serving, _) = serve(config);
    let addr = format!("localhost:{}", serving.local_addr().port());
    let believing = outbound(ClientTls::trusting(&ours.cert).unwrap());
    assert!(believing.call(&addr, request(ECHO, 1, b""), LONG).await.is_ok());
    let doubting = outbound(ClientTls::trusting(&other.cert).unwrap());
    let error = doubting.call(&addr, request(ECHO, 1, b""), LONG).await.unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
    until(|| serving.counters().snapshot().tls_failed == 1).await;
}
