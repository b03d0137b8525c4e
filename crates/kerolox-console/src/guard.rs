//! What stands before every request: headers, sessions, the token against forged requests, roles, limits, the audit log.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::audit::Entry;
use crate::door::Shared;
use crate::error::Failure;
use crate::sessions::{AccountRole, Caller};
use crate::{api, assets, password};

/// Largest body of a request, but for those that carry a message.
const BODY_SIZE_MAX: usize = 64 * 1024;
/// Longest time of a request; streams are answered at once and go on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Header with the token against forged requests.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";
/// Everything comes from this console; nothing inline, nothing framed, nothing sent elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All that the console answers.
pub(crate) fn router(door: Shared) -> Router {
    let inside = api::inside()
        .layer(DefaultBodyLimit::max(BODY_SIZE_MAX))
        .merge(api::with_message())
        .route_layer(from_fn_with_state(door.clone(), admit));
    let outside = api::outside().layer(DefaultBodyLimit::max(BODY_SIZE_MAX)).route_layer(from_fn(from_here));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(inside)
        .merge(outside)
        .fallback(page)
        .layer(from_fn_with_state(door.clone(), under_own_name))
        .layer(from_fn(finish))
        .with_state(door)
}

/// Ready is who can tell about a cluster.
async fn ready(State(door): State<Shared>) -> Response {
    match door.client.cluster_info().await {
        Ok(info) if !info.broker_addr_table.is_empty() => "ready\n".into_response(),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "no broker is registered\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no name server answers\n").into_response(),
    }
}

async fn page(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return Failure::absent("there is no such call").into_response();
    }
    match *request.method() {
        Method::GET | Method::HEAD => assets::answer(path, request.headers()),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Limits the time, and sets the headers that hold for every answer.
async fn finish(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!(
                "it took longer than {} s; ask for less, or see whether the brokers answer",
                REQUEST_TIMEOUT.as_secs()
            ),
        )
        .into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests that name another host; probes of health come by address, or are told no more than `ok`.
async fn under_own_name(State(door): State<Shared>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().host()).unwrap_or_default();
    let probe = matches!(request.uri().path(), "/healthz" | "/readyz");
    if probe || door.hosts.contain(host) {
        return next.run(request).await;
    }
    let why = "the console does not answer under this host name; consoleHosts lists the names it is reached by";
    Failure::new(StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

/// Refuses what a page of another site sends through the visitor's browser.
async fn from_here(request: Request, next: Next) -> Response {
    match check_origin(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn check_origin(headers: &HeaderMap) -> Result<(), Failure> {
    let foreign = || Failure::new(StatusCode::FORBIDDEN, "the request comes from a page of another site");
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return Err(foreign());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(|(_, at)| at == host);
    if own { Ok(()) } else { Err(foreign()) }
}

/// Lets in who is logged in and may do what is asked, and notes what was changed.
async fn admit(State(door): State<Shared>, mut request: Request, next: Next) -> Response {
    let caller = match check(&door, &request) {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let changing = is_changing(request.method());
    let action = format!("{} {}", request.method(), request.uri().path());
    let from =
        request.extensions().get::<ConnectInfo<SocketAddr>>().map_or_else(String::new, |at| at.0.ip().to_string());
    let user = caller.user.clone();
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    if changing {
        let detail = response.extensions().get::<Noted>().map_or_else(String::new, |noted| noted.0.clone());
        note(&door, Entry { at_ms: 0, user, from, action, detail, status: response.status().as_u16() }).await;
    }
    response
}

/// Writes an entry of the audit log, dated now.
pub(crate) async fn note(door: &Shared, entry: Entry) {
    let entry = Entry { at_ms: door.wall_ms(), ..entry };
    let door = door.clone();
    // The answer waits until the line is written.
    let _ = tokio::task::spawn_blocking(move || door.audit.add(entry)).await;
}

fn is_changing(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn check(door: &Shared, request: &Request) -> Result<Caller, Failure> {
    let headers = request.headers();
    let token = cookie(headers, &door.cookie);
    let found = token.and_then(|token| door.sessions.lock().find(token, door.now()));
    let caller = found.ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "log in first"))?;
    if !is_changing(request.method()) {
        return Ok(caller);
    }
    check_origin(headers)?;
    let given = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !password::same(given, &caller.csrf) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "the token of this session is missing or wrong; load the page again",
        ));
    }
    if caller.role < AccountRole::Admin && !api::FOR_ALL.contains(&request.uri().path()) {
        return Err(Failure::new(StatusCode::FORBIDDEN, "this account may look but not change"));
    }
    Ok(caller)
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

/// What the audit log says of a change beyond its path.
#[derive(Clone, Debug)]
pub(crate) struct Noted(pub(crate) String);

/// The answer to a change: what the audit log says of it, and what the page is told.
#[derive(Debug)]
pub(crate) struct Done {
    detail: String,
    body: Value,
}

impl Done {
    /// Done, with nothing to tell the page.
    pub(crate) fn noted(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), body: json!({ "done": true }) }
    }

    /// The page is told this.
    pub(crate) fn telling(mut self, body: Value) -> Self {
        self.body = body;
        self
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        response.extensions_mut().insert(Noted(self.detail));
        response
    }
}

/// Who asks, for handlers.
pub(crate) type Who = Extension<Caller>;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_cookie_among_others_is_found() {
        let given = headers(&[("cookie", "a=1; kerolox-session-80=tok; b=2")]);
        assert_eq!(cookie(&given, "kerolox-session-80"), Some("tok"));
        assert_eq!(cookie(&given, "kerolox-session-8"), None);
    }

    #[test]
    fn pages_of_other_sites_are_told_by_their_origin() {
        for (pairs, own) in [
            (vec![], true),
            (vec![("host", "h:1"), ("origin", "http://h:1")], true),
            (vec![("host", "h:1"), ("origin", "http://evil:1")], false),
            (vec![("host", "h:1"), ("origin", "null")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(check_origin(&headers(&pairs)).is_ok(), own, "{pairs:?}");
        }
    }
}
