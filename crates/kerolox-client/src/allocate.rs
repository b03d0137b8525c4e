//! How a group's clients share the queues of a topic.

/// The even share of client number `index` among `clients`: consecutive queues, the first clients one more when the
/// queues do not divide.
#[must_use]
pub fn evenly<T>(queues: &[T], clients: usize, index: usize) -> &[T] {
    if clients == 0 || index >= clients {
        return &[];
    }
    let (share, more) = (queues.len() / clients, queues.len() % clients);
    let start = index * share + index.min(more);
    let size = share + usize::from(index < more);
    queues.get(start..start + size).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_goes_to_exactly_one_client() {
        for queues in 0..20_usize {
            let all: Vec<usize> = (0..queues).collect();
            for clients in 1..8 {
                let shared: Vec<usize> = (0..clients).flat_map(|i| evenly(&all, clients, i)).copied().collect();
                assert_eq!(shared, all, "{queues} queues, {clients} clients");
            }
        }
    }

    #[test]
    fn the_first_clients_get_one_more() {
        let all = [0, 1, 2, 3, 4, 5, 6, 7];
        assert_eq!(evenly(&all, 3, 0), [0, 1, 2]);
        assert_eq!(evenly(&all, 3, 1), [3, 4, 5]);
        assert_eq!(evenly(&all, 3, 2), [6, 7]);
        assert_eq!(evenly(&all[..2], 3, 2), [0; 0]);
        assert_eq!(evenly(&all, 2, 2), [0; 0]);
    }
}
