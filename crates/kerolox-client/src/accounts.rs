//! Accounts of a broker's access control.

use kerolox_wire::body::{AclConfig, DataVersion, from_json};
use kerolox_wire::command::admin::{AccessKeyRef, AclVersionResult, GlobalWhiteAddrs, UpdateAccessConfig};
use kerolox_wire::command::{NoFields, call};

use crate::client::{CALL_TIMEOUT, malformed};
use crate::{Client, ClientError};

impl Client {
    /// Creates an account, or changes what is given of it.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn put_account(&self, broker: &str, account: &UpdateAccessConfig) -> Result<(), ClientError> {
        self.call::<call::UpdateAccessConfig>(broker, account).await.map(drop)
    }

    /// Deletes an account.
    ///
    /// # Errors
    /// When the broker does not answer or refuses, as where there is no such account.
    pub async fn delete_account(&self, broker: &str, access_key: &str) -> Result<(), ClientError> {
        let request = AccessKeyRef { access_key: access_key.to_owned() };
        self.call::<call::DeleteAccessConfig>(broker, &request).await.map(drop)
    }

    /// Replaces the addresses, joined by commas, whose requests are not checked.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn set_global_white_addresses(&self, broker: &str, addresses: &str) -> Result<(), ClientError> {
        let request = GlobalWhiteAddrs { global_white_addrs: addresses.to_owned() };
        self.call::<call::UpdateGlobalWhiteAddrs>(broker, &request).await.map(drop)
    }

    /// Which broker it is, and how often its accounts have changed.
    ///
    /// # Errors
    /// When the broker does not answer, refuses, or tells no version.
    pub async fn accounts_version(&self, broker: &str) -> Result<(AclVersionResult, DataVersion), ClientError> {
        let told = self.call::<call::GetAclVersion>(broker, &NoFields).await?.header;
        let version = from_json(told.version.as_bytes());
        version.map(|version| (told, version)).map_err(|why| malformed::<call::GetAclVersion>(broker, &why))
    }

    /// All accounts and addresses. RocketMQ 4.7.1 tells the secrets, too.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn accounts(&self, broker: &str) -> Result<AclConfig, ClientError> {
        self.read::<call::GetAclConfig, _>(broker, &NoFields, CALL_TIMEOUT).await
    }
}
