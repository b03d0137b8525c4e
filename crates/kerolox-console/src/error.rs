//! What goes wrong, as a page is told it: a status, a sentence, and the protocol's code where there is one.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kerolox_client::ClientError;
use kerolox_wire::names::NameError;
use kerolox_wire::response::ResponseCode;
use serde_json::json;

use crate::accounts::AccountError;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    sentence: String,
    code: Option<i32>,
    retry_after: Option<u64>,
}

/// What a handler returns.
pub(crate) type Answer<T = Json<serde_json::Value>> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), code: None, retry_after: None }
    }

    pub(crate) fn bad(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub(crate) fn absent(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    pub(crate) fn conflict(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, sentence)
    }

    /// The sentence.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Comes again after so many seconds.
    pub(crate) fn later(seconds: u64) -> Self {
        let sentence = format!("too many logins were tried; try again in {seconds} s");
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, sentence) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.sentence, "code": self.code });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ClientError> for Failure {
    fn from(why: ClientError) -> Self {
        let code = why.code();
        let status = match &why {
            ClientError::Name(_) | ClientError::MessageId { .. } => StatusCode::BAD_REQUEST,
            ClientError::Refused { .. } | ClientError::Absent { .. } if code.is_some_and(is_absence) => {
                StatusCode::NOT_FOUND
            }
            ClientError::Refused { .. } | ClientError::Absent { .. } => StatusCode::CONFLICT,
            ClientError::NoBroker { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_GATEWAY,
        };
        let sentence = match &why {
            ClientError::Refused { address, code, remark } if remark.is_empty() => {
                format!("{address} refused with code {}", code.0)
            }
            ClientError::Refused { address, code, remark } => format!("{address} refused: {remark} (code {})", code.0),
            ClientError::Absent { what, .. } => what.clone(),
            other => other.to_string(),
        };
        Self { status, sentence, code: code.map(|code| code.0), retry_after: None }
    }
}

/// Codes of what is not there, as opposed to what must not be.
fn is_absence(code: ResponseCode) -> bool {
    matches!(
        code,
        ResponseCode::TOPIC_NOT_EXIST
            | ResponseCode::QUERY_NOT_FOUND
            | ResponseCode::NO_MESSAGE
            | ResponseCode::CONSUMER_NOT_ONLINE
    )
}

impl From<NameError> for Failure {
    fn from(why: NameError) -> Self {
        Self::bad(why.to_string())
    }
}

impl From<AccountError> for Failure {
    fn from(why: AccountError) -> Self {
        match why {
            AccountError::Refused(sentence) => Self::new(StatusCode::CONFLICT, sentence),
            other => Self::new(StatusCode::INTERNAL_SERVER_ERROR, other.to_string()),
        }
    }
}
