//! Logging in and out, and accounts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::accounts::{Account, Accounts};
use crate::audit::Entry;
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::{Done, Who, note};
use crate::password;
use crate::sessions::{AccountRole, Caller};

#[derive(Deserialize)]
pub(crate) struct Login {
    user: String,
    password: String,
}

/// Begins a session.
pub(crate) async fn login(
    State(door): State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(given): Json<Login>,
) -> Answer<Response> {
    let ip = admit(&door, from, &given.user)?;
    let user = given.user.clone();
    let account = check(&door, given).await?;
    let status = if account.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    let entry = Entry {
        at_ms: 0,
        user,
        from: ip.to_string(),
        action: "POST /api/login".to_owned(),
        detail: String::new(),
        status: status.as_u16(),
    };
    note(&door, entry).await;
    // The same words whether the name or the password is wrong.
    let account = account.ok_or_else(|| Failure::new(status, "name or password is wrong"))?;
    door.throttle.lock().forgive(ip, &account.name, door.now());
    let wrong = |why: password::SecretError| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string());
    let (token, csrf) = (password::token().map_err(wrong)?, password::token().map_err(wrong)?);
    door.sessions.lock().begin(&account.name, account.role, token.clone(), csrf.clone(), door.now());
    let cookie = format!("{}={token}; HttpOnly; SameSite=Strict; Path=/", door.cookie);
    let cookie = HeaderValue::from_str(&cookie).map_err(|why| Failure::bad(why.to_string()))?;
    let caller = Caller { user: account.name, role: account.role, csrf, token };
    Ok(([(header::SET_COOKIE, cookie)], Json(about(&caller))).into_response())
}

/// Counts a try to give a password; the address that it comes from.
fn admit(door: &Shared, from: SocketAddr, user: &str) -> Result<IpAddr, Failure> {
    let ip = from.ip().to_canonical();
    let admitted = door.throttle.lock().admit(ip, user, door.now());
    admitted.map_err(|wait| Failure::later(wait.as_secs().max(1)))?;
    Ok(ip)
}

/// Makes or checks a hash, on a thread of its own, while nobody else does.
async fn hashing<T: Send + 'static>(
    door: &Shared,
    work: impl FnOnce(&Accounts) -> T + Send + 'static,
) -> Result<T, Failure> {
    let ended = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the console is ending");
    let _place = door.hashing.acquire().await.map_err(ended)?;
    let working = Arc::clone(door);
    let done = tokio::task::spawn_blocking(move || work(&working.accounts));
    done.await.map_err(|why| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()))
}

async fn check(door: &Shared, given: Login) -> Result<Option<Account>, Failure> {
    hashing(door, move |accounts| accounts.check(&given.user, &given.password)).await
}

fn about(caller: &Caller) -> Value {
    json!({ "user": caller.user, "role": caller.role, "csrf": caller.csrf })
}

/// Who is logged in.
pub(crate) async fn session(State(door): State<Shared>, Extension(caller): Who) -> Json<Value> {
    let mut about = about(&caller);
    if let Some(fields) = about.as_object_mut() {
        fields.insert("nameServers".to_owned(), json!(door.client.name_servers()));
        fields.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    }
    Json(about)
}

/// Ends the session.
pub(crate) async fn logout(State(door): State<Shared>, Extension(caller): Who) -> Response {
    door.sessions.lock().end(&caller.token);
    let gone = format!("{}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0", door.cookie);
    let mut response = Done::noted("").into_response();
    if let Ok(value) = HeaderValue::from_str(&gone) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

#[derive(Deserialize)]
pub(crate) struct NewPassword {
    old: String,
    new: String,
}

/// Changes the caller's own password, and ends its other sessions.
pub(crate) async fn password(
    State(door): State<Shared>,
    Extension(caller): Who,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(given): Json<NewPassword>,
) -> Answer<Done> {
    // A stolen session must not be a way to guess the password.
    let ip = admit(&door, from, &caller.user)?;
    let known = check(&door, Login { user: caller.user.clone(), password: given.old }).await?;
    let account = known.ok_or_else(|| Failure::new(StatusCode::FORBIDDEN, "the old password is wrong"))?;
    door.throttle.lock().forgive(ip, &account.name, door.now());
    put(&door, account.name.clone(), account.role, given.new).await?;
    door.sessions.lock().end_others(&account.name, &caller.token);
    Ok(Done::noted("own password"))
}

async fn put(door: &Shared, name: String, role: AccountRole, given: String) -> Result<(), Failure> {
    Ok(hashing(door, move |accounts| accounts.put(&name, role, &given)).await??)
}

/// Names and roles of all accounts.
pub(crate) async fn accounts(State(door): State<Shared>, Extension(caller): Who) -> Answer {
    if caller.role < AccountRole::Admin {
        return Err(Failure::new(StatusCode::FORBIDDEN, "accounts are shown to administrators"));
    }
    let list: Vec<Value> =
        door.accounts.list().into_iter().map(|(name, role)| json!({ "name": name, "role": role })).collect();
    Ok(Json(json!({ "items": list })))
}

#[derive(Deserialize)]
pub(crate) struct PutAccount {
    role: AccountRole,
    password: String,
}

/// Creates an account, or gives it another role and password; its sessions end.
pub(crate) async fn put_account(
    State(door): State<Shared>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Json(given): Json<PutAccount>,
) -> Answer<Done> {
    put(&door, name.clone(), given.role, given.password).await?;
    // A session keeps the role it began with, so one's own stays only with the same role.
    let kept = if given.role == caller.role { caller.token.as_str() } else { "" };
    door.sessions.lock().end_others(&name, kept);
    Ok(Done::noted(format!("{:?}", given.role)))
}

/// Removes an account; its sessions end.
pub(crate) async fn delete_account(State(door): State<Shared>, Path(name): Path<String>) -> Answer<Done> {
    let removing = Arc::clone(&door);
    let removed = name.clone();
    let done = tokio::task::spawn_blocking(move || removing.accounts.remove(&removed));
    done.await.map_err(|why| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()))??;
    door.sessions.lock().end_others(&name, "");
    Ok(Done::noted(""))
}
