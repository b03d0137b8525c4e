//! From the `tls.` keys to what a listener and outgoing connections do.

use std::path::{Path, PathBuf};

use kerolox_net::{ClientTls, ServerTls, ServerTlsFiles, TlsMode};

use crate::config::table::TlsKeys;

/// A choice and what the operator should know about it.
type Told<T> = (T, Option<String>);

/// What a listener does.
///
/// # Errors
/// A sentence with the keys that do not fit together, or the file that cannot be used.
pub(crate) fn of_listener(keys: &TlsKeys) -> Result<Told<TlsMode>, String> {
    if keys.mode == "disabled" {
        return Ok((TlsMode::Disabled, None));
    }
    let enforcing = keys.mode == "enforcing";
    let mode = |server| if enforcing { TlsMode::Enforcing(server) } else { TlsMode::Permissive(server) };
    match (keys.server_cert.as_str(), keys.server_key.as_str()) {
        ("", "") if keys.test_mode => {
            let server = ServerTls::self_made().map_err(|error| error.to_string())?;
            let warning = "TLS uses a certificate made at this start, which proves nothing to clients, as RocketMQ's test \
                           mode does: set tls.server.certPath and tls.server.keyPath, or tls.server.mode=disabled";
            Ok((mode(server), Some(warning.to_owned())))
        }
        ("", "") if enforcing => {
            Err("tls.server.mode = enforcing needs tls.server.certPath and tls.server.keyPath".to_owned())
        }
        ("", "") => Ok((
            TlsMode::Disabled,
            Some("TLS is off: tls.test.mode.enable = false and no tls.server.certPath is set".to_owned()),
        )),
        ("", _) => Err("tls.server.keyPath is set and tls.server.certPath is not".to_owned()),
        (_, "") => Err("tls.server.certPath is set and tls.server.keyPath is not".to_owned()),
        (cert, key) => {
            let (client_ca, client_cert_required) = client_certificates(keys)?;
            let files = ServerTlsFiles { cert: cert.into(), key: key.into(), client_ca, client_cert_required };
            let server = ServerTls::from_files(&files).map_err(|error| error.to_string())?;
            Ok((mode(server), None))
        }
    }
}

/// Who may sign clients' certificates, and whether a client needs one.
fn client_certificates(keys: &TlsKeys) -> Result<(Option<PathBuf>, bool), String> {
    let required = keys.server_need_client_auth == "require";
    match (keys.server_auth_client, keys.server_trust.as_str()) {
        (true, "") => Err("tls.server.authClient = true needs tls.server.trustCertPath".to_owned()),
        (true, path) => Ok((Some(path.into()), required)),
        // Java would demand a certificate here and take any.
        (false, _) if required => Err("tls.server.need.client.auth = require needs tls.server.authClient = true and \
                                       tls.server.trustCertPath: a certificate that nobody checks proves nothing"
            .to_owned()),
        (false, _) => Ok((None, false)),
    }
}

/// What outgoing connections do; none for plain ones.
///
/// # Errors
/// A sentence with the keys that do not fit together, or the file that cannot be used.
pub(crate) fn of_calls(use_tls: bool, keys: &TlsKeys) -> Result<Told<Option<ClientTls>>, String> {
    if !use_tls {
        return Ok((None, None));
    }
    let told = |error: kerolox_net::TlsError| error.to_string();
    match (keys.client_auth_server, keys.client_trust.as_str()) {
        (true, "") => Err("tls.client.authServer = true needs tls.client.trustCertPath".to_owned()),
        (true, path) => Ok((Some(ClientTls::trusting(Path::new(path)).map_err(told)?), None)),
        (false, _) => {
            let warning = "certificates of name servers are not checked: set tls.client.authServer=true and \
                           tls.client.trustCertPath";
            Ok((Some(ClientTls::trusting_anyone().map_err(told)?), Some(warning.to_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Given, load};
    use crate::config::table::Role;

    fn keys(flags: &[(&str, &str)]) -> TlsKeys {
        let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned(), "--set".to_owned())).collect();
        let presets = vec![("tls.config.file", "/nonexistent".to_owned())];
        let given = Given { presets, variables: vec![], flags, ..Given::here(Role::Broker) };
        TlsKeys::read(&load(&given).unwrap().values)
    }

    fn refused(flags: &[(&str, &str)]) -> String {
        of_listener(&keys(flags)).unwrap_err()
    }

    #[test]
    fn without_a_certificate_tls_is_a_test_and_says_so() {
        let (mode, warning) = of_listener(&keys(&[])).unwrap();
        assert!(matches!(mode, TlsMode::Permissive(_)) && warning.unwrap().contains("proves nothing"));
        let (mode, _) = of_listener(&keys(&[("tls.server.mode", "enforcing")])).unwrap();
        assert!(matches!(mode, TlsMode::Enforcing(_)));
        let (mode, warning) = of_listener(&keys(&[("tls.test.mode.enable", "false")])).unwrap();
        assert!(matches!(mode, TlsMode::Disabled) && warning.is_some());
        let (mode, warning) = of_listener(&keys(&[("tls.server.mode", "disabled")])).unwrap();
        assert!(matches!(mode, TlsMode::Disabled) && warning.is_none());
    }

    #[test]
    fn keys_that_do_not_fit_together_are_refused() {
        assert!(refused(&[("tls.server.mode", "enforcing"), ("tls.test.mode.enable", "false")]).contains("needs"));
        assert!(refused(&[("tls.server.certPath", "/c")]).contains("keyPath is not"));
        assert!(refused(&[("tls.server.keyPath", "/k")]).contains("certPath is not"));
        let pair = [("tls.server.certPath", "/nonexistent/c"), ("tls.server.keyPath", "/nonexistent/k")];
        assert!(refused(&pair).contains("/nonexistent/c"));
        let require = [pair[0], pair[1], ("tls.server.need.client.auth", "require")];
        assert!(refused(&require).contains("proves nothing"));
    }

    #[test]
    fn outgoing_connections_are_plain_unless_told() {
        assert!(matches!(of_calls(false, &keys(&[])), Ok((None, None))));
        assert!(matches!(of_calls(true, &keys(&[])), Ok((Some(_), Some(_)))));
        assert!(of_calls(true, &keys(&[("tls.client.authServer", "true")])).unwrap_err().contains("trustCertPath"));
    }
}
