//! Since when clients have had their queues. No client says, so it is what this console has seen while somebody looked.

use std::collections::HashMap;

/// Groups that are remembered; the one that was looked at longest ago makes room.
const GROUPS_MAX: usize = 1_000;
/// Looks further apart than this may have missed changes.
const GAP_MS_MAX: i64 = 60_000;

/// Topic, broker, queue.
pub(crate) type Queue = (String, String, i32);

/// Since when a client has a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    client: String,
    /// Ms since 1970.
    pub(crate) ms: i64,
    /// Whether the change was seen; otherwise the client has had the queue since then or longer.
    pub(crate) seen: bool,
}

#[derive(Debug, Default)]
struct Group {
    looked_ms: i64,
    queues: HashMap<Queue, Since>,
}

/// What was seen, by group.
#[derive(Debug, Default)]
pub(crate) struct Owners(HashMap<String, Group>);

impl Owners {
    /// Notes who has which queue now, and says since when. Clients that did not answer keep what they had.
    pub(crate) fn note(
        &mut self,
        group: &str,
        now_ms: i64,
        owned: impl Iterator<Item = (Queue, String)>,
        silent: &[String],
    ) -> HashMap<Queue, Since> {
        if self.0.len() >= GROUPS_MAX && !self.0.contains_key(group) {
            let oldest = self.0.iter().min_by_key(|(_, group)| group.looked_ms).map(|(name, _)| name.clone());
            oldest.map(|name| self.0.remove(&name));
        }
        let known = self.0.entry(group.to_owned()).or_default();
        let watched = now_ms.saturating_sub(known.looked_ms) <= GAP_MS_MAX;
        let mut queues: HashMap<Queue, Since> = owned
            .map(|(queue, client)| {
                let since = match known.queues.get(&queue) {
                    Some(since) if since.client == client => since.clone(),
                    _ => Since { client, ms: now_ms, seen: watched },
                };
                (queue, since)
            })
            .collect();
        let told = queues.clone();
        for (queue, since) in known.queues.drain().filter(|(_, since)| silent.contains(&since.client)) {
            queues.entry(queue).or_insert(since);
        }
        *known = Group { looked_ms: now_ms, queues };
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32) -> Queue {
        ("t".to_owned(), "b".to_owned(), id)
    }

    fn look(owners: &mut Owners, now_ms: i64, owned: &[(i32, &str)], silent: &[&str]) -> Vec<(i32, i64, bool)> {
        let owned = owned.iter().map(|(id, client)| (queue(*id), (*client).to_owned()));
        let silent: Vec<String> = silent.iter().map(|client| (*client).to_owned()).collect();
        let told = owners.note("g", now_ms, owned, &silent);
        let mut rows: Vec<_> = told.into_iter().map(|((_, _, id), since)| (id, since.ms, since.seen)).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn a_change_between_two_looks_is_seen_and_the_rest_is_as_old_as_the_first_look() {
        let mut owners = Owners::default();
        assert_eq!(look(&mut owners, 100_000, &[(0, "a"), (1, "a")], &[]), [(0, 100_000, false), (1, 100_000, false)]);
        assert_eq!(look(&mut owners, 115_000, &[(0, "a"), (1, "b")], &[]), [(0, 100_000, false), (1, 115_000, true)]);
        // Nobody looked for an hour: who has it now may have had it since any time in between.
        assert_eq!(look(&mut owners, 4_000_000, &[(0, "b")], &[]), [(0, 4_000_000, false)]);
    }

    #[test]
    fn a_client_that_did_not_answer_once_keeps_its_time() {
        let mut owners = Owners::default();
        look(&mut owners, 100_000, &[(0, "a")], &[]);
        assert_eq!(look(&mut owners, 110_000, &[], &["a"]), []);
        assert_eq!(look(&mut owners, 120_000, &[(0, "a")], &[]), [(0, 100_000, false)]);
        // Without that it was somebody else's in between.
        look(&mut owners, 130_000, &[], &[]);
        assert_eq!(look(&mut owners, 140_000, &[(0, "a")], &[]), [(0, 140_000, true)]);
    }

    #[test]
    fn groups_are_bounded() {
        let mut owners = Owners::default();
        for n in 0..=GROUPS_MAX {
            owners.note(&n.to_string(), i64::try_from(n).unwrap(), std::iter::empty(), &[]);
        }
        assert!(owners.0.len() == GROUPS_MAX && !owners.0.contains_key("0"));
    }
}
