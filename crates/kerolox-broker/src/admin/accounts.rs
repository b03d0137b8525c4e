//! Accounts of the access control: create, change, delete, show.

use kerolox_net::Peer;
use kerolox_wire::body::{Style, to_json};
use kerolox_wire::command::admin::AclVersionResult;
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::acl::{Acl, Edit};
use crate::node::Node;
use crate::refusal::Refusal;

const OFF: &str = "aclEnable is false: this broker has no accounts";

impl Node {
    /// Makes a change to the file of accounts; 50, 51 and 53 have a code each for failing.
    pub(crate) fn change_accounts(&self, peer: &Peer, edit: &Edit) -> Result<Reply, Refusal> {
        let (code, what) = match edit {
            Edit::Put(asked) => {
                (ResponseCode::UPDATE_AND_CREATE_ACL_CONFIG_FAILED, format!("account {:?}", asked.access_key))
            }
            Edit::Delete(name) => (ResponseCode::DELETE_ACL_CONFIG_FAILED, format!("account {name:?}")),
            Edit::White(_) => (ResponseCode::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED, "white list".to_owned()),
        };
        let refuse = |why: &str| Refusal::new(code, format!("the {what} was not changed: {why}"));
        let acl = self.acl.as_ref().ok_or_else(|| refuse(OFF))?;
        acl.change(edit, self.clock.wall_ms()).map_err(|why| refuse(&why))?;
        tracing::info!(client = %peer.remote(), what, "the accounts were changed by request");
        Ok(Reply::ok())
    }

    /// How often the accounts have changed.
    pub(crate) fn accounts_version(&self) -> Result<Reply, Refusal> {
        Ok(Reply::of(&AclVersionResult {
            version: String::from_utf8_lossy(&to_json(&self.accounts()?.version(), Style::Strict)).into_owned(),
            broker_name: self.config.name.clone(),
            broker_addr: self.address.clone(),
            cluster_name: self.config.cluster.clone(),
        }))
    }

    /// All accounts without their secrets.
    pub(crate) fn show_accounts(&self) -> Result<Reply, Refusal> {
        let config =
            self.accounts()?.shown().map_err(|why| Refusal::error(format!("the accounts cannot be shown: {why}")))?;
        Ok(Reply::body(to_json(&config, Style::Fastjson)))
    }

    /// Takes over what was changed in the file.
    pub(crate) fn reload_accounts(&self) {
        if let Some(acl) = &self.acl {
            acl.reload();
        }
    }

    fn accounts(&self) -> Result<&Acl, Refusal> {
        self.acl.as_ref().ok_or_else(|| Refusal::error(OFF))
    }
}
