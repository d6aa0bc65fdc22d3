//! The checks of the lab raw-segment, a file for each group of its steps.

use nix::sys::signal::Signal;

use crate::check::Check;
use crate::checks::common::check;
use crate::peer::{Asked, Peer};
use crate::scene::{Actor, NAME, Scene};
use crate::verdict::Outcome;
use crate::watch::Event;

mod create;
mod life;
mod limits;
mod patience;
mod reading;
mod schedules;
mod strings;
mod waiting;

/// The length of the objects the peer makes, unless a check is about lengths.
const LEN: u64 = 4096;

/// Some strings, and what is special about them: text of more than one byte a character, a zero
/// byte, bytes that are no text, one of no bytes at all, and one of a word that crosses words.
const STRINGS: [&[u8]; 5] =
    [b"plain\n", "h\u{e9}\u{20ac}\n".as_bytes(), b"a\0b\0\n", b"", b"\xff\xfe\x80 no text\n"];

/// The table, in the order of the steps and of causes.
pub(super) const CHECKS: &[Check] = &[
    check(
        "object",
        "exact-length",
        "the object is exactly as long as asked",
        create::has_its_exact_length,
    ),
    check("object", "exact-mode", "its mode is 0600 whatever the umask", create::has_mode_0600),
    check("object", "umask", "the umask is left alone", create::leaves_the_umask_alone),
    check("object", "least-length", "a LEN below 640 makes no object", create::refuses_too_small),
    check("mapping", "prefix", "the prefix is in the object", create::fills_in_the_prefix),
    check("mapping", "shared", "the producer maps the object shared", create::maps_shared),
    check(
        "exclusive",
        "second-create",
        "a second `create` ends with 10 and changes nothing",
        create::is_exclusive,
    ),
    check("hand-over", "ready", "the object is READY after `create`", create::publishes_ready),
    check(
        "hand-over",
        "no-debris",
        "a `create` that fails leaves no name",
        create::leaves_nothing_when_it_fails,
    ),
    check(
        "hand-over",
        "create-killed",
        "wherever a creator is killed, what says READY is complete",
        schedules::create_killed,
    ),
    check("hand-over", "ready-released", "READY is stored with Release", create::releases_ready),
    check(
        "waiting",
        "slow-creator-consumer",
        "the consumer waits through every half-built stage",
        waiting::consumer_waits,
    ),
    check(
        "waiting",
        "slow-creator-producer",
        "the producer waits through every half-built stage",
        waiting::producer_waits,
    ),
    check("waiting", "never-made", "without a name it gives up with 11", patience::never_made),
    check("waiting", "never-ready", "without READY it gives up with 14", patience::never_ready),
    check(
        "waiting",
        "every-hand-over",
        "a consumer that is already there takes over under every schedule",
        schedules::hand_over,
    ),
    check("waiting", "ready-acquired", "the state is read with Acquire", waiting::acquires_ready),
    check(
        "read-only",
        "rights-of-the-mapping",
        "the consumer's mapping is `r--s`, the producer's `rw-s`",
        reading::maps_with_its_rights,
    ),
    check(
        "read-only",
        "rights-of-the-descriptor",
        "the consumer can read what it may not write",
        reading::opens_for_reading,
    ),
    check("read-only", "denied", "who is not let in ends with 12", reading::is_denied),
    check(
        "validation",
        "foreign-prefix",
        "a prefix of another kind is refused with 13",
        reading::refuses_a_foreign_prefix,
    ),
    check(
        "validation",
        "wrong-entries",
        "entries and counts that cannot be are refused with 13",
        reading::refuses_wrong_entries,
    ),
    check(
        "validation",
        "legal-oddities",
        "what is odd and legal is accepted",
        reading::accepts_what_is_legal,
    ),
    check(
        "strings",
        "entries",
        "each string gets its entry, its bytes and its count",
        strings::puts_with_offsets,
    ),
    check("strings", "name-stays", "producer and consumer leave the name", life::leaves_the_name),
    check(
        "strings",
        "consumer-prints",
        "the consumer prints the very bytes",
        strings::prints_the_very_bytes,
    ),
    check(
        "strings",
        "consumer-waits",
        "the consumer waits for strings that are not there yet",
        strings::waits_for_strings,
    ),
    check(
        "strings",
        "own-table",
        "a table of your own is one that others can read and go on with",
        strings::makes_tables_others_understand,
    ),
    check(
        "strings",
        "through-the-mapping",
        "strings are stored through the mapping",
        strings::stores_through_the_mapping,
    ),
    check(
        "strings",
        "one-string",
        "a string goes across whole under every schedule",
        schedules::one_string,
    ),
    check(
        "strings",
        "count-ordered",
        "count is stored with Release and read with Acquire",
        strings::orders_count,
    ),
    check("limits", "sixty-four", "the 65th string is refused with 17", limits::holds_64_strings),
    check(
        "limits",
        "room",
        "a string fits exactly, and one byte more is refused with 16",
        limits::ends_with_the_object,
    ),
    check(
        "life",
        "handles",
        "mappings and descriptors do not grow in number",
        life::leaks_no_handles,
    ),
    check(
        "life",
        "killed-producer",
        "a killed producer leaves a table to go on with",
        life::survives_a_killed_producer,
    ),
    check(
        "life",
        "replaced",
        "wherever a producer is killed, another goes on and the strings stay",
        schedules::replaced,
    ),
    check(
        "life",
        "destroy",
        "`destroy` removes the name, and says when there is none",
        life::destroys,
    ),
    check(
        "life",
        "after-destroy",
        "who is attached goes on after `destroy`",
        life::outlives_the_name,
    ),
];

/// Has the peer do something with its table.
fn with_peer<T>(scene: &mut Scene, work: impl FnOnce(&mut Peer, &str) -> Asked<T>) -> Outcome<T> {
    let name = scene.name().to_owned();
    Ok(work(scene.peer()?, &name)?)
}

/// What is said of bytes that are not what they were. Where single bytes differ is luck: a process id
/// may end in a zero.
fn first_change(before: &[u8], now: &[u8]) -> Option<String> {
    const WORD: usize = 4;
    let at = before.chunks(WORD).zip(now.chunks(WORD)).position(|(old, new)| old != new)?;
    Some(format!("the object has changed, first in the word at byte {}", at * WORD))
}

/// Has the peer make a READY table of the usual length with these strings.
fn peer_table(scene: &mut Scene, strings: &[&[u8]]) -> Outcome {
    with_peer(scene, |peer, name| crate::peer::table::create(peer, name, LEN, strings))
}

/// Starts `producer` and waits for its `attached`.
fn producer(scene: &mut Scene) -> Outcome<Actor> {
    scene.attach(&["producer", NAME])
}

/// Has an attached producer put one string, which must end in a newline, and waits until it asks
/// for the next: only then it has done all it does for this one.
fn put(scene: &mut Scene, producer: Actor, string: &[u8]) -> Outcome {
    scene.send(producer, string);
    scene.line(producer, "puts the string and prints `produced`")?;
    match scene.event(producer) {
        Event::WantsInput => Ok(()),
        event => Err(scene.explain(producer, "waits for the next line of stdin", event)),
    }
}

/// Has an attached consumer print one string; returns what it printed.
fn get(scene: &mut Scene, consumer: Actor) -> Outcome<String> {
    scene.send(consumer, b"\n");
    scene.line(consumer, "prints the next string")
}

/// Ends an attached program with -9.
fn kill(scene: &mut Scene, actor: Actor) {
    scene.signal(actor, Signal::SIGKILL);
    scene.kill(actor);
}
