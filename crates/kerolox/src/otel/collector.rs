//! Posting to a collector: OTLP over HTTP, one connection for each message, since minutes or seconds lie between two.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kerolox_net::ClientTls;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::proto::ExportResponse;
use crate::config::table::MetricsKeys;

/// Longest time for one message, with its answer.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const ANSWER_SIZE_MAX: usize = 64 * 1024;

/// Where to post.
#[derive(Debug)]
pub(super) struct Collector {
    host: String,
    port: u16,
    /// As the `Host` header says it.
    authority: String,
    /// Path before `/v1/...`, without a slash at its end.
    base: String,
    tls: Option<ClientTls>,
    headers: HeaderMap,
}

impl Collector {
    /// The collector that the settings name; the table has checked their form.
    ///
    /// # Errors
    /// A sentence: the certificates cannot be used.
    pub(super) fn of(keys: &MetricsKeys) -> Result<Self, String> {
        let uri = endpoint(&keys.otel_endpoint).ok_or("otelEndpoint is no address of a collector")?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let tls = if secure {
            let trusted = ClientTls::trusting(Path::new(&keys.otel_certificate));
            Some(trusted.map_err(|why| format!("otelEndpoint needs otelCertificate: {why}"))?)
        } else {
            None
        };
        Ok(Self {
            host: uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
            headers: headers(&keys.otel_headers).unwrap_or_default(),
        })
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Posts an encoded message of this `signal`: `metrics` or `traces`.
    ///
    /// # Errors
    /// A sentence: why it was not taken, or not all of it.
    pub(super) async fn post(&self, signal: &str, message: Vec<u8>) -> Result<(), String> {
        match tokio::time::timeout(POST_TIMEOUT, self.exchange(signal, message)).await {
            Ok(done) => done,
            Err(_) => Err(format!("no answer within {} s", POST_TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, signal: &str, message: Vec<u8>) -> Result<(), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|why| why.to_string())?;
        match &self.tls {
            None => self.send(stream, signal, message).await,
            Some(tls) => {
                let stream = tls.connect(&self.host, stream).await.map_err(|why| format!("TLS: {why}"))?;
                self.send(stream, signal, message).await
            }
        }
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        signal: &str,
        message: Vec<u8>,
    ) -> Result<(), String> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
        let mut request = Request::post(format!("{}/v1/{signal}", self.base))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONNECTION, "close")
            .body(Body::from(message))
            .map_err(|why| why.to_string())?;
        request.headers_mut().extend(self.headers.clone());
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|why| why.to_string())?;
            let status = answer.status();
            let body = to_bytes(Body::new(answer.into_body()), ANSWER_SIZE_MAX).await.unwrap_or_default();
            if status.is_success() { not_taken(&body) } else { Err(format!("the answer is {status}")) }
        };
        let (mut answer, mut connection) = (pin!(answer), pin!(connection));
        // Whoever drops this ends the connection with it.
        tokio::select! {
            biased;
            done = &mut answer => done,
            _ = &mut connection => answer.await,
        }
    }
}

/// A collector may take a part only and say so.
fn not_taken(body: &[u8]) -> Result<(), String> {
    let partial = ExportResponse::decode(body).ok().and_then(|answer| answer.partial_success);
    match partial {
        Some(partial) if partial.rejected > 0 => {
            let why: String = partial.error_message.escape_debug().take(200).collect();
            Err(format!("{} were not taken: {why}", partial.rejected))
        }
        _ => Ok(()),
    }
}

/// The address of a collector: `http://HOST[:PORT][/PATH]`, or `https`.
pub(crate) fn endpoint(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let plain = uri.query().is_none() && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (scheme && plain && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// Headers as OpenTelemetry writes them: `name=value`, several joined by commas, values with `%20` and the like.
pub(crate) fn headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let name: HeaderName = name.trim().parse().ok()?;
        let mut value = HeaderValue::from_bytes(&unescaped(value.trim())?).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(code, 16).ok()?);
        out.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::proto::PartialSuccess;
    use super::*;

    /// A collector at that port, which answers one message with these bytes; and what it was asked.
    async fn ask(answer: Vec<u8>) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\nbody") {
                let mut some = [0; 512];
                let read = stream.read(&mut some).await.unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
                asked.extend_from_slice(&some[..read]);
            }
            stream.write_all(&answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        let collector = Collector {
            host: "127.0.0.1".to_owned(),
            port,
            authority: format!("127.0.0.1:{port}"),
            base: "/base".to_owned(),
            tls: None,
            headers: headers("x-tenant=seven%20eight").unwrap(),
        };
        let done = collector.post("metrics", b"body".to_vec()).await;
        (done, serving.await.unwrap())
    }

    fn taken(body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_message_is_one_plain_request() {
        let (done, asked) = ask(taken(b"")).await;
        assert_eq!(done, Ok(()));
        assert!(asked.starts_with("POST /base/v1/metrics HTTP/1.1\r\n"), "{asked}");
        for line in ["content-type: application/x-protobuf", "x-tenant: seven eight", "content-length: 4"] {
            assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} in {asked}");
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_told_in_whole_or_in_part() {
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec();
        assert_eq!(ask(refusal).await.0, Err("the answer is 503 Service Unavailable".to_owned()));
        let partial_success = Some(PartialSuccess { rejected: 3, error_message: "too\nold".to_owned() });
        let partly = ExportResponse { partial_success }.encode_to_vec();
        assert_eq!(ask(taken(&partly)).await.0, Err("3 were not taken: too\\nold".to_owned()));
        let garbage = ask(b"no HTTP at all\r\n\r\n".to_vec()).await.0;
        assert!(garbage.is_err(), "{garbage:?}");
        assert_eq!(ask(taken(b"\xff\xff no protobuf")).await.0, Ok(()));
    }
}
