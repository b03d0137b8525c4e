//! Who is logged in. Plain tables: the time and the tokens are arguments.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A session that was not used for this long is over.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// A session is over after this long in any case.
const AGE_MAX: Duration = Duration::from_secs(12 * 3_600);
/// Most sessions of one account; the one of them that was idle longest makes room. Other accounts lose none by it.
const ACCOUNT_SESSIONS_MAX: usize = 32;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccountRole {
    /// Look.
    ReadOnly,
    /// Look and change.
    Admin,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Account name.
    pub(crate) user: String,
    /// What it may do.
    pub(crate) role: AccountRole,
    /// Token that a changing request must carry.
    pub(crate) csrf: String,
    /// Key of the session.
    pub(crate) token: String,
}

#[derive(Debug)]
struct Session {
    user: String,
    role: AccountRole,
    csrf: String,
    since: Duration,
    used: Duration,
}

impl Session {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE_MAX || now.saturating_sub(self.since) >= AGE_MAX
    }
}

/// All sessions, by the secret in the visitor's cookie.
#[derive(Debug, Default)]
pub(crate) struct Sessions(HashMap<String, Session>);

impl Sessions {
    /// Begins a session; `token` and `csrf` are fresh secrets.
    pub(crate) fn begin(&mut self, user: &str, role: AccountRole, token: String, csrf: String, now: Duration) {
        self.0.retain(|_, session| !session.is_over(now));
        let own = || self.0.iter().filter(|(_, session)| session.user == user);
        let full = own().count() >= ACCOUNT_SESSIONS_MAX;
        let idle = own().min_by_key(|(_, session)| session.used).filter(|_| full).map(|(token, _)| token.clone());
        if let Some(idle) = idle {
            self.0.remove(&idle);
        }
        self.0.insert(token, Session { user: user.to_owned(), role, csrf, since: now, used: now });
    }

    /// Whose session that is; using it keeps it alive.
    pub(crate) fn find(&mut self, token: &str, now: Duration) -> Option<Caller> {
        let session = self.0.get_mut(token)?;
        if session.is_over(now) {
            self.0.remove(token);
            return None;
        }
        session.used = now;
        Some(Caller {
            user: session.user.clone(),
            role: session.role,
            csrf: session.csrf.clone(),
            token: token.to_owned(),
        })
    }

    /// Whether the session stands, without keeping it alive: an open page that nobody touches must end some time.
    pub(crate) fn stands(&self, token: &str, now: Duration) -> bool {
        self.0.get(token).is_some_and(|session| !session.is_over(now))
    }

    /// Ends one session.
    pub(crate) fn end(&mut self, token: &str) {
        self.0.remove(token);
    }

    /// Ends all sessions of an account but one, after its password has changed.
    pub(crate) fn end_others(&mut self, user: &str, kept: &str) {
        self.0.retain(|token, session| session.user != user || token == kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn begin(sessions: &mut Sessions, user: &str, token: &str, now: u64) {
        sessions.begin(user, AccountRole::Admin, token.to_owned(), "c".to_owned(), at(now));
    }

    #[test]
    fn use_keeps_a_session_alive_but_not_for_ever() {
        let mut sessions = Sessions::default();
        begin(&mut sessions, "a", "t", 0);
        let mut now = 0;
        while now + 1_000 < AGE_MAX.as_secs() {
            now += 1_000;
            assert!(sessions.find("t", at(now)).is_some(), "{now}");
        }
        assert!(sessions.find("t", at(now + 1_000)).is_none());
        begin(&mut sessions, "a", "t", 0);
        assert!(sessions.stands("t", at(1_799)) && !sessions.stands("t", at(1_800)));
        assert!(sessions.find("t", at(1_800)).is_none());
    }

    #[test]
    fn an_account_evicts_only_its_own_idlest_session() {
        let mut sessions = Sessions::default();
        begin(&mut sessions, "b", "other", 0);
        for i in 0..ACCOUNT_SESSIONS_MAX {
            begin(&mut sessions, "a", &i.to_string(), 1);
        }
        assert!(sessions.find("0", at(2)).is_some());
        begin(&mut sessions, "a", "new", 3);
        assert_eq!(sessions.0.len(), ACCOUNT_SESSIONS_MAX + 1);
        for token in ["0", "new", "other"] {
            assert!(sessions.find(token, at(3)).is_some(), "{token}");
        }
    }

    #[test]
    fn a_new_password_ends_the_other_sessions() {
        let mut sessions = Sessions::default();
        for (user, token) in [("a", "1"), ("a", "2"), ("b", "3")] {
            begin(&mut sessions, user, token, 0);
        }
        sessions.end_others("a", "1");
        assert!(sessions.stands("1", at(1)) && !sessions.stands("2", at(1)) && sessions.stands("3", at(1)));
        sessions.end("1");
        assert!(!sessions.stands("1", at(1)));
    }
}
