//! Keys of connections: `NettyServerConfig`, `NettyClientConfig` and the `tls.` properties.

use std::time::Duration;

use crate::config::key::{Class, Unit, key, keys};
use crate::config::rule::{IP, Rule};
use crate::config::values::Seconds;

keys! {
    /// How a node listens.
    struct ServerKeys, SERVER_KEYS, Class::Server;
    /// Port for clients; a broker also answers on the port two below.
    listen_port: u16 = key("listenPort", Rule::Number(1, 65_535), "")
        .of("broker 10911, name server 9876", |_| "10911".to_owned());
    /// Address to listen on.
    bind_address: String = key("bindAddress", IP, "0.0.0.0").later();
    /// A connection on which nothing moves for this long is closed.
    idle: Seconds = key("serverChannelMaxIdleTimeSeconds", Rule::AtMost(5, 86_400), "120").unit(Unit::Seconds);
    /// Largest command that is taken.
    frame_max: usize = key("com.rocketmq.remoting.frameMaxLength", Rule::AtMost(65_536, 16_777_216), "16777216")
        .bytes();
}

keys! {
    /// How a node calls others.
    struct ClientKeys, CLIENT_KEYS, Class::Client;
    /// Longest time for opening a connection.
    connect_timeout: Duration = key("connectTimeoutMillis", Rule::AtMost(1, 600_000), "3000").ms();
    /// An outgoing connection on which nothing moves for this long is closed.
    idle: Seconds = key("clientChannelMaxIdleTimeSeconds", Rule::AtMost(5, 86_400), "120").unit(Unit::Seconds);
    /// Whether outgoing connections use TLS.
    use_tls: bool = key("useTLS", Rule::Switch, "false").property("tls.enable");
}

keys! {
    /// TLS on both sides.
    struct TlsKeys, TLS_KEYS, Class::Tls;
    /// Whether connections with TLS are taken: never, beside plain ones on the same port, or alone.
    mode: String = key("tls.server.mode", Rule::OneOf(&["disabled", "permissive", "enforcing"]), "permissive");
    /// Whether a certificate made at start, which proves nothing, stands in when `tls.server.certPath` is not set.
    test_mode: bool = key("tls.test.mode.enable", Rule::Switch, "true");
    /// Private key of this node, PEM, not encrypted.
    server_key: String = key("tls.server.keyPath", Rule::Path, "");
    /// Certificate chain of this node, PEM.
    server_cert: String = key("tls.server.certPath", Rule::Path, "");
    /// Whether certificates of clients are checked.
    server_auth_client: bool = key("tls.server.authClient", Rule::Switch, "false");
    /// Certificates of those who may sign certificates of clients, PEM.
    server_trust: String = key("tls.server.trustCertPath", Rule::Path, "");
    /// Whether clients are asked for a certificate.
    server_need_client_auth: String =
        key("tls.server.need.client.auth", Rule::OneOf(&["none", "optional", "require"]), "none");
    /// Whether certificates of servers that this node calls are checked.
    client_auth_server: bool = key("tls.client.authServer", Rule::Switch, "false");
    /// Certificates of those who may sign certificates of servers, PEM.
    client_trust: String = key("tls.client.trustCertPath", Rule::Path, "");
}
