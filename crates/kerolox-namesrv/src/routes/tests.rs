use super::views::Unit;
use super::*;

const S: Duration = Duration::from_secs(1);
/// All connections answer.
const LIVE: fn(u64) -> bool = |_| false;

fn topic(name: &str, queues: i32, sys_flag: i32) -> TopicConfig {
    TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        topic_sys_flag: sys_flag,
        ..TopicConfig::default()
    }
}

/// The connection of the broker at that address.
fn own(addr: &str) -> u64 {
    addr.len() as u64 * 100 + u64::from(addr.as_bytes()[0])
}

fn registration(broker: &str, id: i64, addr: &str, version: i64, topics: &[&str]) -> Registration {
    Registration {
        cluster: "C".to_owned(),
        broker: broker.to_owned(),
        id,
        addr: addr.to_owned(),
        ha_addr: "10.0.0.9:10912".to_owned(),
        connection: own(addr),
        topics: TopicConfigTable {
            data_version: DataVersion { counter: version, timestamp: 1 },
            topic_config_table: topics.iter().map(|name| ((*name).to_owned(), topic(name, 4, 0))).collect(),
            unreadable: Vec::new(),
        },
    }
}

/// What happens to the tables.
enum Do {
    Register(&'static str, i64, &'static str, i64, &'static [&'static str]),
    Unregister(&'static str, i64, &'static str),
    Disconnect(&'static str),
    Expire,
    Delete(&'static str),
}
use Do::{Delete, Disconnect, Expire, Register, Unregister};

/// Name of the case, steps at their second, the tables after them.
type Case = (&'static str, &'static [(u64, Do)], &'static str);

/// The tables in one line: `topic=broker…` for each topic, then `broker{id=addr…}` for each broker.
fn shown(routes: &Routes) -> String {
    let topics = routes.topics.iter().map(|(name, known)| {
        let brokers: Vec<_> = known.iter().map(|q| &*q.broker).collect();
        format!("{name}={}", brokers.join("+"))
    });
    let brokers = routes.brokers.iter().map(|(name, broker)| {
        let members: Vec<_> = broker.members.iter().map(|(id, m)| format!("{id}={}", m.addr)).collect();
        format!("{name}{{{}}}", members.join(","))
    });
    topics.chain(brokers).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tables_follow_what_brokers_do() {
    let cases: &[Case] = &[
        ("a primary brings its topics", &[(0, Register("a", 0, "x:1", 1, &["T", "U"]))], "T=a U=a a{0=x:1}"),
        ("a replica brings none", &[(0, Register("a", 1, "y:1", 1, &["T"]))], "a{1=y:1}"),
        (
            "a topic missing from a later registration stays",
            &[(0, Register("a", 0, "x:1", 1, &["T", "U"])), (30, Register("a", 0, "x:1", 2, &["V"]))],
            "T=a U=a V=a a{0=x:1}",
        ),
        (
            "the same version is not looked into",
            &[(0, Register("a", 0, "x:1", 1, &["T"])), (30, Register("a", 0, "x:1", 1, &["U"]))],
            "T=a a{0=x:1}",
        ),
        (
            "a topic lives on several brokers",
            &[(0, Register("b", 0, "y:1", 1, &["T"])), (0, Register("a", 0, "x:1", 1, &["T"]))],
            "T=b+a a{0=x:1} b{0=y:1}",
        ),
        (
            "with its last member a broker takes its topics along",
            &[
                (0, Register("a", 0, "x:1", 1, &["T"])),
                (0, Register("b", 0, "y:1", 1, &["T"])),
                (1, Unregister("b", 0, "y:1")),
            ],
            "T=a a{0=x:1}",
        ),
        (
            "while a replica is left the topics stay",
            &[(0, Register("a", 0, "x:1", 1, &["T"])), (0, Register("a", 1, "y:11", 1, &[])), (1, Disconnect("x:1"))],
            "T=a a{1=y:11}",
        ),
        (
            "a replica that becomes primary leaves its old id",
            &[
                (0, Register("a", 0, "x:1", 1, &["T"])),
                (0, Register("a", 1, "y:1", 1, &[])),
                (1, Disconnect("x:1")),
                (1, Register("a", 0, "y:1", 2, &["T"])),
            ],
            "T=a a{0=y:1}",
        ),
        (
            "a stranger takes the place of a primary that is gone",
            &[(0, Register("a", 0, "x:1", 1, &["T"])), (1, Disconnect("x:1")), (1, Register("a", 0, "y:1", 1, &["T"]))],
            "T=a a{0=y:1}",
        ),
        (
            "or long silent",
            &[(0, Register("a", 0, "x:1", 1, &["T"])), (76, Register("a", 0, "y:1", 1, &["U"]))],
            "T=a U=a a{0=y:1}",
        ),
        (
            "whoever was replaced takes nobody out",
            &[
                (0, Register("a", 0, "x:1", 1, &["T"])),
                (76, Register("a", 0, "y:11", 1, &["T"])),
                (77, Unregister("a", 0, "x:1")),
                (77, Disconnect("x:1")),
            ],
            "T=a a{0=y:11}",
        ),
        (
            "silence ends a registration after 120 s",
            &[(0, Register("a", 0, "x:1", 1, &["T"])), (1, Register("b", 0, "y:1", 1, &["U"])), (121, Expire)],
            "U=b b{0=y:1}",
        ),
        (
            "a deleted topic comes back with the next change",
            &[
                (0, Register("a", 0, "x:1", 1, &["T", "U"])),
                (1, Delete("T")),
                (2, Register("a", 0, "x:1", 1, &["T"])),
                (3, Delete("U")),
                (4, Register("a", 0, "x:1", 2, &["U"])),
            ],
            "U=a a{0=x:1}",
        ),
    ];
    for (name, steps, expected) in cases {
        let mut routes = Routes::new();
        for (at, step) in *steps {
            let now = S * u32::try_from(*at).unwrap();
            match step {
                Register(broker, id, addr, version, topics) => {
                    routes.register(registration(broker, *id, addr, *version, topics), now, LIVE).unwrap();
                }
                Unregister(broker, id, addr) => drop(routes.unregister(broker, *id, addr, own(addr)).unwrap()),
                Disconnect(addr) => {
                    routes.disconnected(own(addr));
                    assert!(!routes.is_registered_over(own(addr)), "{name}");
                }
                Expire => drop(routes.expire(now, S * 120)),
                Delete(topic) => drop(routes.delete_topic(topic)),
            }
        }
        assert_eq!(shown(&routes), *expected, "{name}");
    }
}

#[test]
fn a_living_primary_is_not_replaced_by_a_stranger() {
    let mut routes = Routes::new();
    routes.register(registration("a", 0, "x:1", 1, &["T"]), S, LIVE).unwrap();
    let error = routes.register(registration("a", 0, "y:1", 1, &["U"]), S * 76, LIVE).unwrap_err();
    assert!(matches!(&error, RegisterError::OwnerAlive { owner, .. } if owner == "x:1"), "{error}");
    assert_eq!(shown(&routes), "T=a a{0=x:1}");
    // Itself it may of course register again.
    assert!(routes.register(registration("a", 0, "x:1", 2, &["U"]), S * 76, LIVE).is_ok());
}

/// A registration over that connection.
fn over(connection: u64, registration: Registration) -> Registration {
    Registration { connection, ..registration }
}

#[test]
fn a_stranger_takes_nothing_from_a_live_owner() {
    let mut routes = Routes::new();
    routes.register(over(1, registration("a", 0, "x:1", 1, &["T"])), S, LIVE).unwrap();
    let before = shown(&routes);
    for claim in [
        registration("a", 0, "y:1", 2, &["U"]),
        registration("a", 0, "x:1", 2, &["U"]),
        registration("a", 7, "x:1", 2, &["U"]),
        registration("b", 0, "x:1", 2, &["U"]),
        Registration { cluster: "D".to_owned(), ..registration("a", 7, "y:1", 2, &["U"]) },
    ] {
        assert!(routes.register(over(2, claim.clone()), S, LIVE).is_err(), "{claim:?}");
        assert_eq!(routes.unregister("a", 0, "x:1", 2), Err(NotItsOwn));
        assert_eq!(routes.disconnected(2), []);
        assert_eq!(shown(&routes), before, "{claim:?}");
    }
    // As a replica first, then as the primary.
    routes.register(over(2, registration("a", 5, "y:1", 1, &["T"])), S, LIVE).unwrap();
    let refused = routes.register(over(2, registration("a", 0, "y:1", 2, &["T"])), S, LIVE);
    assert!(matches!(refused, Err(RegisterError::OwnerAlive { connection: 1, id: 0, .. })), "{refused:?}");
    assert_eq!(shown(&routes), "T=a a{0=x:1,5=y:1}");
}

#[test]
fn an_owner_that_moved_is_taken_once_its_old_connection_is_lost() {
    for addr in ["x:1", "y:1"] {
        let mut routes = Routes::new();
        routes.register(over(1, registration("a", 0, "x:1", 1, &["T"])), S, LIVE).unwrap();
        let moved = over(2, registration("a", 0, addr, 2, &["T"]));
        let registered = routes.register(moved, S * 2, |connection| connection == 1).unwrap();
        assert_eq!(registered.displaced, [1]);
        assert!(!routes.is_registered_over(1) && routes.disconnected(1).is_empty());
        assert_eq!(shown(&routes), format!("T=a a{{0={addr}}}"));
        assert!(routes.unregister("a", 0, addr, 2).unwrap().is_some_and(|gone| gone.last));
        assert_eq!((shown(&routes).as_str(), routes.addresses.len(), routes.entries), ("", 0, 0));
    }
}

#[test]
fn one_connection_does_not_use_up_the_tables() {
    let mut routes = Routes::new();
    let mut refused = 0;
    for n in 0..5_000_u64 {
        let name = format!("evil{n}");
        let evil = over(n % 100 + 1, registration(&name, 0, &format!("e:{}", n + 1), 1, &[]));
        refused += usize::from(routes.register(evil, S, LIVE).is_err());
    }
    assert!(refused > 0 && routes.brokers.len() == BROKERS_MAX);
    let registered = routes.register(over(7_000, registration("a", 0, "x:1", 1, &["T"])), S, LIVE).unwrap();
    assert_eq!(registered.displaced.len(), 1, "the connection that has most makes room");
    for id in 1..=80_i64 {
        let replica = over(8_000 + id.unsigned_abs() / 8, registration("a", id, &format!("e:{}", 9_000 + id), 1, &[]));
        let _ = routes.register(replica, S, LIVE);
    }
    assert!(routes.register(over(9_999, registration("a", 100, "y:1", 1, &[])), S, LIVE).is_ok());
    assert!(shown(&routes).contains("0=x:1"));
}

#[test]
fn topics_are_bounded_for_each_connection() {
    let many = |from: usize, to: usize| {
        let topics = (from..to).map(|n| (format!("T{n}"), TopicConfig::default())).collect();
        TopicConfigTable {
            data_version: DataVersion { counter: i64::try_from(to).unwrap(), timestamp: 1 },
            topic_config_table: topics,
            ..TopicConfigTable::default()
        }
    };
    let with =
        |broker: &str, addr: &str, topics| over(1, Registration { topics, ..registration(broker, 0, addr, 1, &[]) });
    let mut routes = Routes::new();
    let half = CONNECTION_TOPICS_MAX / 2;
    routes.register(with("a", "x:1", many(0, half)), S, LIVE).unwrap();
    routes.register(with("b", "y:1", many(0, half)), S, LIVE).unwrap();
    let refused = routes.register(with("a", "x:1", many(half, half + 1)), S, LIVE);
    assert!(matches!(refused, Err(RegisterError::TooMany { .. })), "{refused:?}");
    routes.register(with("a", "x:1", many(half - 1, half)), S, LIVE).unwrap();
    assert_eq!(routes.disconnected(1).len(), 2);
    assert!(routes.topics.is_empty() && routes.entries == 0 && routes.connections.is_empty());
}

#[test]
fn a_replica_learns_of_its_primary() {
    let mut routes = Routes::new();
    let alone = routes.register(registration("a", 1, "y:1", 1, &[]), S, LIVE).unwrap();
    assert_eq!((alone.primary, alone.new), (None, true));
    routes.register(registration("a", 0, "x:1", 1, &[]), S, LIVE).unwrap();
    let registered = routes.register(registration("a", 1, "y:1", 1, &[]), S, LIVE).unwrap();
    assert_eq!(registered.primary, Some(("x:1".to_owned(), "10.0.0.9:10912".to_owned())));
    assert!(!registered.new);
    let primary = routes.register(registration("a", 0, "x:1", 1, &[]), S, LIVE).unwrap();
    assert_eq!(primary.primary, None);
}

#[test]
fn illegal_registrations_change_nothing() {
    let good = registration("a", 0, "x:1", 1, &["T"]);
    let many = (0..=CONNECTION_TOPICS_MAX).map(|n| (format!("T{n}"), TopicConfig::default())).collect();
    let cases = [
        Registration { broker: "../a".to_owned(), ..good.clone() },
        Registration { cluster: String::new(), ..good.clone() },
        Registration { addr: "x".to_owned(), ..good.clone() },
        Registration { ha_addr: "x y:1".to_owned(), ..good.clone() },
        Registration { topics: TopicConfigTable { topic_config_table: many, ..good.topics.clone() }, ..good.clone() },
    ];
    let mut routes = Routes::new();
    for case in cases {
        assert!(routes.register(case, S, LIVE).is_err());
        assert_eq!(shown(&routes), "");
    }
    assert!(routes.register(Registration { ha_addr: String::new(), ..good }, S, LIVE).is_ok());
}

#[test]
fn illegal_topics_are_left_out_and_named() {
    let mut routes = Routes::new();
    let mut broker = registration("host.example.org", 0, "x:1", 1, &["T", "../../etc", "host.example.org"]);
    broker.topics.topic_config_table.insert("Q".to_owned(), topic("Q", -1, 0));
    let registered = routes.register(broker, S, LIVE).unwrap();
    assert_eq!(registered.skipped, ["../../etc", "Q"]);
    assert_eq!(routes.topics().topic_list, ["T", "host.example.org"]);
}

#[test]
fn versions_are_those_of_the_same_address() {
    let mut routes = Routes::new();
    routes.register(registration("a", 0, "x:1", 7, &["T"]), S, LIVE).unwrap();
    let own = own("x:1");
    assert_eq!(routes.version("a", 0, "x:1", own).unwrap().counter, 7);
    for (id, addr, connection) in [(0, "y:1", own), (1, "x:1", own), (0, "x:1", own + 1)] {
        assert_eq!(routes.version("a", id, addr, connection), None);
    }
    // A sign of life counts as a registration, over the connection that registered.
    routes.touch("a", 0, "x:1", own + 1, S * 200);
    routes.touch("a", 0, "x:1", own, S * 100);
    assert_eq!(routes.expire(S * 220, S * 120), []);
    let gone = routes.expire(S * 221, S * 120);
    assert_eq!((gone.len(), gone[0].last, gone[0].addr.as_str()), (1, true, "x:1"));
}

#[test]
fn write_permission_is_wiped_and_given_back() {
    let mut routes = Routes::new();
    routes.register(registration("a", 0, "x:1", 1, &["T", "U"]), S, LIVE).unwrap();
    routes.register(registration("b", 0, "y:1", 1, &["T"]), S, LIVE).unwrap();
    let perms = |routes: &Routes| {
        let route = routes.route("T").unwrap();
        route.queue_datas.iter().map(|q| q.perm).collect::<Vec<_>>()
    };
    assert_eq!(routes.wipe_write("a"), 2);
    assert_eq!(perms(&routes), [4, 6]);
    assert_eq!(routes.add_write("a"), 2);
    assert_eq!(perms(&routes), [6, 6]);
    assert_eq!(routes.wipe_write("none"), 0);
    // A changed registration brings it back as well.
    routes.wipe_write("a");
    routes.register(registration("a", 0, "x:1", 2, &["T"]), S, LIVE).unwrap();
    assert_eq!(perms(&routes), [6, 6]);
}

#[test]
fn lists_and_routes_tell_what_is_there() {
    let mut routes = Routes::new();
    assert_eq!(routes.route("T"), None);
    routes.register(registration("a", 0, "x:1", 1, &["T", "U"]), S, LIVE).unwrap();
    routes.register(Registration { cluster: "D".to_owned(), ..registration("b", 1, "z:1", 1, &[]) }, S, LIVE).unwrap();
    let mut other = Registration { cluster: "D".to_owned(), ..registration("b", 0, "y:1", 1, &["T"]) };
    for (name, flag) in [("unit", 1), ("sub", 2), ("both", 3)] {
        other.topics.topic_config_table.insert(name.to_owned(), topic(name, 2, flag));
    }
    routes.register(other, S, LIVE).unwrap();

    let route = routes.route("T").unwrap();
    let names: Vec<_> = route.broker_datas.iter().map(|b| (b.broker_name.as_str(), b.broker_addrs.len())).collect();
    assert_eq!(names, [("a", 1), ("b", 2)]);
    assert_eq!(route.queue_datas.iter().map(|q| q.write_queue_nums).collect::<Vec<_>>(), [4, 4]);

    let clusters = routes.clusters();
    assert_eq!(clusters.cluster_addr_table["D"].iter().collect::<Vec<_>>(), ["b"]);
    assert_eq!(clusters.broker_addr_table["b"].broker_addrs[&0], "y:1");
    assert_eq!(routes.topics().topic_list, ["T", "U", "both", "sub", "unit"]);
    assert_eq!(routes.topics_of_cluster("C").topic_list, ["T", "U"]);
    assert!(routes.topics_of_cluster("none").topic_list.is_empty());
    let system = routes.system_topics();
    assert_eq!(system.topic_list, ["C", "a", "D", "b"]);
    assert_eq!(system.broker_addr.as_deref(), Some("x:1"));
    for (which, expected) in [
        (Unit::Topics, &["both", "unit"][..]),
        (Unit::Subscribed, &["both", "sub"]),
        (Unit::SubscribedNonUnit, &["sub"]),
    ] {
        assert_eq!(routes.unit_topics(which).topic_list, expected);
    }
}
