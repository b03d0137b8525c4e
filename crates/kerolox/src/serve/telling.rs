//! What a node tells about itself: pages for those who ask, and what it exports unasked.

use kerolox_console::http::Server;

use super::Refused;
use crate::config::table::MetricsKeys;
use crate::metrics::{self, Watched};
use crate::otel::{Exporter, Identity, Traced};

/// Both at work, as far as they are wanted.
#[derive(Debug)]
pub(crate) struct Telling {
    pages: Option<Server>,
    export: Option<Exporter>,
}

impl Telling {
    /// Begins; `chosen` says whether somebody asked for the port of the pages.
    ///
    /// # Errors
    /// When the port that was chosen cannot be listened on, or the collector's certificates cannot be used.
    pub(crate) async fn start(
        keys: &MetricsKeys,
        chosen: bool,
        mut watched: Watched,
        who: Identity,
        traced: Option<Traced>,
    ) -> Result<Self, Refused> {
        let export = Exporter::start(keys, &mut watched, who, traced).map_err(Refused::start)?;
        Ok(Self { pages: metrics::start(keys, chosen, watched).await?, export })
    }

    /// Ends both; call it while the roles still run, since the last figures are theirs.
    pub(crate) async fn shutdown(self) {
        if let Some(pages) = self.pages {
            pages.shutdown().await;
        }
        if let Some(export) = self.export {
            export.shutdown().await;
        }
    }
}
