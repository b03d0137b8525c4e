//! The pages, which are part of the binary.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// The file at `path`. A path without an ending is a page of the one document, which reads the address itself.
pub(crate) fn answer(path: &str, asked: &HeaderMap) -> Response {
    let path = path.trim_start_matches('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    let file = if last.contains('.') { Files::get(path) } else { Files::get("index.html") };
    let name = if last.contains('.') { path } else { "index.html" };
    match file {
        Some(file) => found(name, &file, asked),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

fn found(name: &str, file: &EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let headers = [(header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, tag.clone())];
    if asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = [(header::CONTENT_TYPE, kind(name))];
    (headers, kind, Body::from(file.data.clone().into_owned())).into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
