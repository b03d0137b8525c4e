//! The look-up of name servers over plain HTTP, for brokers that are not told any.
//!
//! The answer comes unprotected and decides where the broker registers, so only a plain list of addresses is taken.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::rule::addresses;

/// Longest time for one look-up.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after the first look-up.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Pause after each further look-up.
pub(crate) const PAUSE: Duration = Duration::from_secs(120);
/// Most bytes of an answer: hundreds of addresses.
const ANSWER_SIZE_MAX: u64 = 64 * 1024;
/// Most name servers that are taken.
const SERVERS_MAX: usize = 64;
/// Port when the domain names none.
const PORT: u16 = 8080;

/// Where the list lies.
#[derive(Clone, Debug)]
pub(crate) struct AddressServer {
    /// Host, with or without port.
    pub(crate) domain: String,
    /// Last part of the path.
    pub(crate) subgroup: String,
}

impl AddressServer {
    /// Asks once.
    ///
    /// # Errors
    /// A sentence that names the address asked.
    pub(crate) async fn ask(&self) -> Result<Vec<String>, String> {
        let told = |why: String| format!("no name servers from {}: {why}", self.url());
        match tokio::time::timeout(LOOK_UP_TIMEOUT, self.exchange()).await {
            Ok(Ok(answer)) => servers(&answer).map_err(told),
            Ok(Err(error)) => Err(told(error.to_string())),
            Err(_) => Err(told(format!("no answer within {} s", LOOK_UP_TIMEOUT.as_secs()))),
        }
    }

    fn host_and_port(&self) -> String {
        if self.domain.contains(':') { self.domain.clone() } else { format!("{}:{PORT}", self.domain) }
    }

    fn path(&self) -> String {
        format!("/rocketmq/{}", self.subgroup)
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.host_and_port(), self.path())
    }

    async fn exchange(&self) -> std::io::Result<Vec<u8>> {
        let host = self.host_and_port();
        let mut stream = TcpStream::connect(&host).await?;
        let request =
            format!("GET {} HTTP/1.0\r\nHost: {host}\r\nAccept: text/plain\r\nConnection: close\r\n\r\n", self.path());
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_SIZE_MAX).read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

/// The addresses in a whole HTTP answer.
fn servers(answer: &[u8]) -> Result<Vec<String>, String> {
    let answer = std::str::from_utf8(answer).map_err(|_| "the answer is no text".to_owned())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is no HTTP")?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or("").split(' ');
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err("the answer is no HTTP".to_owned());
    }
    let status = words.next().unwrap_or("");
    if status != "200" {
        return Err(format!("the status is {:?}, not 200", status.chars().take(16).collect::<String>()));
    }
    let header = |name: &str| {
        let found =
            lines.clone().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    if header("Transfer-Encoding").is_some() {
        return Err("the answer is encoded, although HTTP/1.0 was asked for".to_owned());
    }
    let body = match header("Content-Length").map(str::parse::<usize>) {
        None => body,
        Some(Ok(length)) => body.get(..length).ok_or("the answer is cut short or too long")?,
        Some(Err(_)) => return Err("the Content-Length is no number".to_owned()),
    };
    let list = body.trim().split(['\r', '\n']).next().unwrap_or("");
    match addresses(list) {
        Some(found) if found.len() <= SERVERS_MAX => Ok(found),
        Some(found) => Err(format!("{} addresses, the limit is {SERVERS_MAX}", found.len())),
        None => Err(format!("{:?} is no list of host:port joined by ;", list.chars().take(64).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n{body}", body.len())
            .into_bytes()
    }

    #[test]
    fn a_list_is_trimmed_and_ends_with_its_line() {
        let expected = vec!["10.0.0.1:9876".to_owned(), "ns-b:9876".to_owned()];
        for body in ["10.0.0.1:9876;ns-b:9876", " 10.0.0.1:9876;ns-b:9876;\r\nmore", "\n10.0.0.1:9876;ns-b:9876\n"] {
            assert_eq!(servers(&answer(body)), Ok(expected.clone()), "{body:?}");
        }
        assert_eq!(servers(b"HTTP/1.0 200 OK\r\n\r\na:1"), Ok(vec!["a:1".to_owned()]));
    }

    #[test]
    fn anything_but_a_list_is_refused() {
        for body in ["", "<html>no</html>", "a:1;b", "a:1;b:99999", "a:1;b c:2", "a:1\u{7};b:2", "http://a:1"] {
            assert!(servers(&answer(body)).is_err(), "{body:?}");
        }
        let many = vec!["a:1"; SERVERS_MAX + 1].join(";");
        for bad in [
            b"".to_vec(),
            b"a:1;b:2".to_vec(),
            b"HTTP/1.0 302 Found\r\nLocation: http://b\r\n\r\na:1".to_vec(),
            b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\na:1".to_vec(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na:1\r\n0\r\n\r\n".to_vec(),
            b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe".to_vec(),
            answer(&many),
        ] {
            assert!(servers(&bad).is_err(), "{:?}", String::from_utf8_lossy(&bad));
        }
    }

    #[tokio::test]
    async fn one_look_up_is_one_plain_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            stream.write_all(&answer("127.0.0.1:9876")).await.unwrap();
            String::from_utf8(request[..read].to_vec()).unwrap()
        });
        let asked = AddressServer { domain: addr.to_string(), subgroup: "nsaddr".to_owned() };
        assert_eq!(asked.ask().await, Ok(vec!["127.0.0.1:9876".to_owned()]));
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /rocketmq/nsaddr HTTP/1.0\r\nHost: 127.0.0.1:"), "{request}");
    }

    #[tokio::test]
    async fn a_failed_look_up_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let failed = AddressServer { domain: addr.to_string(), subgroup: "x".to_owned() }.ask().await.unwrap_err();
        assert!(failed.starts_with(&format!("no name servers from http://{addr}/rocketmq/x: ")), "{failed}");
        let url = AddressServer { domain: "jmenv.tbsite.net".to_owned(), subgroup: "nsaddr".to_owned() }.url();
        assert_eq!(url, "http://jmenv.tbsite.net:8080/rocketmq/nsaddr");
    }
}
