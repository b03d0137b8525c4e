//! Why a command did not do its work, and what the shell is told.

use std::process::ExitCode;

use kerolox_client::ClientError;

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The command line was wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The work could not be done: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A node refused, or could not be asked: exit code 1.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Failure {
    /// A failure in the command's own words.
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// What the shell sees.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Client(_) => ExitCode::FAILURE,
        }
    }
}
