//! The grader's own peer speaks each wire format: with itself, and byte for byte as documented.

use harness::cleanup;
use harness::object::Object;
use harness::peer::{Peer, log, prefix, ring, shop, table};

/// Two peers and a fresh name, removed at the end.
struct Pair {
    name: String,
    one: Peer,
    other: Peer,
}

impl Pair {
    fn new(create: impl FnOnce(&mut Peer, &str)) -> Pair {
        let program = assert_cmd::cargo::cargo_bin!("harness");
        let name = cleanup::fresh_name();
        let mut one = Peer::start(program).unwrap();
        create(&mut one, &name);
        let mut other = Peer::start(program).unwrap();
        other.open(&name).unwrap();
        Pair { name, one, other }
    }

    fn object(&self) -> Object {
        Object::open(&self.name).unwrap().unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm{}", self.name));
    }
}

/// The bytes that are not zero, 16 a line, as `od` shows them.
fn dump(object: &Object, len: usize) -> String {
    let bytes = object.read(0, len);
    let mut text = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        if line.iter().any(|&byte| byte != 0) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            text += &format!("{:>4}  {}\n", index * 16, hex.join(" "));
        }
    }
    text
}

#[test]
fn a_table_goes_from_peer_to_peer() {
    let mut pair = Pair::new(|peer, name| {
        table::create(peer, name, 4096, &[b"one\n", b"", b"two\n"]).unwrap()
    });
    assert_eq!(table::get(&mut pair.other, 0).unwrap(), b"one\n");
    assert_eq!(table::get(&mut pair.other, 1).unwrap(), b"");
    assert_eq!(table::get(&mut pair.other, 2).unwrap(), b"two\n");
    insta::assert_snapshot!(dump(&pair.object(), 4096));
}

#[test]
fn a_log_goes_from_peer_to_peer_while_it_grows() {
    let mut pair = Pair::new(|peer, name| log::create(peer, name).unwrap());
    for number in 0..100_u32 {
        log::push(&mut pair.one, &number.to_le_bytes()).unwrap();
    }
    for number in 0..100_u32 {
        assert_eq!(log::pop(&mut pair.other).unwrap(), Some(number.to_le_bytes().to_vec()));
    }
    assert_eq!(log::pop(&mut pair.other).unwrap(), None);
    log::close(&mut pair.one).unwrap();
    assert_eq!(pair.object().len(), 8192);
    insta::assert_snapshot!(dump(&pair.object(), 400));
}

#[test]
fn a_ring_goes_from_peer_to_peer_round_the_corner() {
    for robust in [false, true] {
        let shape = ring::Shape { capacity: 2, slot_size: 64, robust };
        let mut pair = Pair::new(|peer, name| ring::create(peer, name, shape).unwrap());
        for number in 0..9_u8 {
            ring::push(&mut pair.one, &[number]).unwrap();
            assert_eq!(ring::pop(&mut pair.other).unwrap(), Some(vec![number]));
        }
        ring::close(&mut pair.one).unwrap();
        assert_eq!(ring::pop(&mut pair.other).unwrap(), None);
        assert_eq!(ring::values(&mut pair.one).unwrap(), (2, 1, 1));
        if !robust {
            insta::assert_snapshot!(dump(&pair.object(), 640));
        }
    }
}

#[test]
fn a_shop_is_as_its_document_says() {
    let mut pair = Pair::new(|peer, name| shop::create(peer, name, 3).unwrap());
    assert_eq!(pair.other.get64(shop::STOCK).unwrap(), 3);
    assert_eq!(pair.other.sem_value(shop::MUTEX).unwrap(), 1);
    assert_eq!(pair.other.get32(prefix::STATE).unwrap(), prefix::READY);
    insta::assert_snapshot!(dump(&pair.object(), 4096));
}

#[test]
fn a_peer_on_a_shortened_object_says_so_and_does_not_take_us_with_it() {
    let mut pair = Pair::new(|peer, name| log::create(peer, name).unwrap());
    pair.one.resize(0).unwrap();
    let error = pair.other.get64(log::TAIL).unwrap_err();
    assert!(matches!(error, harness::peer::PeerError::Refused(_)), "{error:?}");
}

#[test]
fn a_dead_owner_of_a_robust_mutex_is_reported_to_the_next() {
    let shape = ring::Shape { capacity: 1, slot_size: 64, robust: true };
    let mut pair = Pair::new(|peer, name| ring::create(peer, name, shape).unwrap());
    assert!(!pair.one.mutex_lock(ring::ROBUST).unwrap());
    pair.one.kill();
    assert!(pair.other.mutex_lock(ring::ROBUST).unwrap(), "the owner died");
    pair.other.mutex_unlock(ring::ROBUST).unwrap();
    assert!(!pair.other.mutex_lock(ring::ROBUST).unwrap());
}
