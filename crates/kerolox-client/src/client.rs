//! The calls: one to a given node, one to whichever name server answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kerolox_net::Outbound;
use kerolox_net::signature::Credentials;
use kerolox_wire::clock::Clock;
use kerolox_wire::command::{Call, Header};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::response::ResponseCode;
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::unique::{UniqueKeys, UtcOffset};

/// How long an administrative call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take that goes on to clients or reads much.
pub const LONG_CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Asks name servers and brokers. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Signs every request, where a broker wants that.
    credentials: Option<Arc<Credentials>>,
}

struct Shared {
    name_servers: Vec<String>,
    /// The one that answered last.
    chosen: AtomicUsize,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    unique_keys: UniqueKeys,
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer<H> {
    /// Its header.
    pub header: H,
    /// Its body.
    pub body: Bytes,
}

/// Splits `host:port;host:port`; commas are understood too.
#[must_use]
pub fn split_addresses(text: &str) -> Vec<String> {
    let mut addresses: Vec<String> = Vec::new();
    for address in text.split([';', ',']).map(str::trim).filter(|a| !a.is_empty()) {
        if !addresses.iter().any(|known| known == address) {
            addresses.push(address.to_owned());
        }
    }
    addresses
}

impl Client {
    /// A client of these name servers over `outbound`. Ids of messages are made by the local calendar.
    #[must_use]
    pub fn new(name_servers: Vec<String>, outbound: Outbound, clock: Arc<dyn Clock>, utc_offset: UtcOffset) -> Self {
        let unique_keys = UniqueKeys::new(name_servers.first().map(String::as_str), clock.wall_ms(), utc_offset);
        let shared = Shared { name_servers, chosen: AtomicUsize::new(0), outbound, clock, unique_keys };
        Self { shared: Arc::new(shared), credentials: None }
    }

    /// The same client with an account: it signs every request, as brokers with access control ask for.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(Arc::new(credentials)), ..self }
    }

    /// The name servers, in the order given.
    #[must_use]
    pub fn name_servers(&self) -> &[String] {
        &self.shared.name_servers
    }

    /// The clock it was given.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.shared.clock.as_ref()
    }

    pub(crate) fn unique_keys(&self) -> &UniqueKeys {
        &self.shared.unique_keys
    }

    /// Sends a request and gives back whatever frame answers it.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn exchange<C: Call>(
        &self,
        address: &str,
        request: &C::Request,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Frame, ClientError> {
        self.exchange_frame(address, frame_of::<C>(request, body), timeout).await
    }

    /// Sends a request as it is.
    pub(crate) async fn exchange_frame(
        &self,
        address: &str,
        mut frame: Frame,
        timeout: Duration,
    ) -> Result<Frame, ClientError> {
        if let Some(credentials) = &self.credentials {
            credentials.sign(&mut frame);
        }
        let answered = self.shared.outbound.call(address, frame, timeout).await;
        answered.map_err(|source| ClientError::Unanswered { address: address.to_owned(), source })
    }

    /// Sends a request that needs no body; any code but success is an error.
    ///
    /// # Errors
    /// When no answer comes, or a refusal, or one that cannot be read.
    pub async fn call<C: Call>(&self, address: &str, request: &C::Request) -> Result<Answer<C::Response>, ClientError> {
        self.call_with::<C>(address, request, Bytes::new(), CALL_TIMEOUT).await
    }

    /// The same with a body and a time limit.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_with<C: Call>(
        &self,
        address: &str,
        request: &C::Request,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer<C::Response>, ClientError> {
        let frame = self.exchange::<C>(address, request, body, timeout).await?;
        if frame.code != ResponseCode::SUCCESS.0 {
            return Err(refused(address, &frame));
        }
        let header = header_of::<C>(address, &frame)?;
        Ok(Answer { header, body: frame.body })
    }

    /// Sends a request and reads the JSON body of the answer.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn read<C: Call, T: DeserializeOwned>(
        &self,
        address: &str,
        request: &C::Request,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let answer = self.call_with::<C>(address, request, Bytes::new(), timeout).await?;
        body_of::<C, T>(address, &answer.body)
    }

    /// Asks the name servers in turn, the one that answered last first, until one answers.
    ///
    /// # Errors
    /// When none answers: what the last one tried met. A refusal is an answer.
    pub async fn ask<C: Call>(&self, request: &C::Request) -> Result<(String, Answer<C::Response>), ClientError> {
        let count = self.shared.name_servers.len();
        let first = self.shared.chosen.load(Ordering::Relaxed);
        let mut last = ClientError::NoNameServer;
        for step in 0..count {
            let at = (first + step) % count;
            let Some(address) = self.shared.name_servers.get(at) else { continue };
            match self.call::<C>(address, request).await {
                Ok(answer) => {
                    self.shared.chosen.store(at, Ordering::Relaxed);
                    return Ok((address.clone(), answer));
                }
                Err(why @ ClientError::Unanswered { .. }) => last = why,
                Err(why) => return Err(why),
            }
        }
        Err(last)
    }

    /// Asks the name servers and reads the JSON body of the answer.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn ask_for<C: Call, T: DeserializeOwned>(&self, request: &C::Request) -> Result<T, ClientError> {
        let (address, answer) = self.ask::<C>(request).await?;
        body_of::<C, T>(&address, &answer.body)
    }
}

/// The frame of a request.
pub(crate) fn frame_of<C: Call>(request: &C::Request, body: Bytes) -> Frame {
    let mut fields = Fields::new();
    request.encode(&mut fields, C::NAMES);
    Frame::request(C::CODE, fields, body)
}

/// The refusal that `frame` is.
pub(crate) fn refused(address: &str, frame: &Frame) -> ClientError {
    ClientError::Refused {
        address: address.to_owned(),
        code: ResponseCode(frame.code),
        remark: frame.remark.clone().unwrap_or_default(),
    }
}

/// The header of an answer.
pub(crate) fn header_of<C: Call>(address: &str, frame: &Frame) -> Result<C::Response, ClientError> {
    C::Response::decode(&frame.fields).map_err(|source| ClientError::Header {
        address: address.to_owned(),
        request: C::CODE.name().unwrap_or("a request"),
        source,
    })
}

/// The JSON body of an answer.
pub(crate) fn body_of<C: Call, T: DeserializeOwned>(address: &str, body: &[u8]) -> Result<T, ClientError> {
    kerolox_wire::body::from_json(body).map_err(|why| malformed::<C>(address, &why))
}

/// An answer that is not what the protocol says.
pub(crate) fn malformed<C: Call>(address: &str, why: &dyn std::fmt::Display) -> ClientError {
    ClientError::Malformed {
        address: address.to_owned(),
        request: C::CODE.name().unwrap_or("a request"),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_once_each() {
        assert_eq!(split_addresses(" a:1; b:2 ;;a:1,c:3"), ["a:1", "b:2", "c:3"]);
        assert!(split_addresses(" ; ").is_empty());
    }
}
