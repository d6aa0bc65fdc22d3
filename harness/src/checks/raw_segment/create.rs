//! The steps object, mapping, exclusive and hand-over: what `create` leaves behind.

use std::time::Duration;

use super::{LEN, first_change, put, with_peer};
use crate::checks::common::{must_exit, wrong_exit};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::orderings::Finding;
use crate::peer::{prefix, table};
use crate::process::{Exit, Start};
use crate::scene::{Actor, Ended, NAME, Scene};
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

/// What came of a `create`.
enum Created {
    /// It ran to its end.
    Ended(Ended),
    /// It came as far as this `todo!` of another step, and its object is there to be judged.
    SoFar(String),
}

/// Runs `create NAME len`. A `todo!` of another step than `own` is no matter to `own` when the
/// object has been made by then: so each step can be passed before the next is begun.
fn create(scene: &mut Scene, own: &str, len: &str, start: Start<'_>) -> Outcome<Created> {
    match scene.run_with(&["create", NAME, len], start) {
        Err(Stop::NotStarted(todo))
            if !todo.starts_with(&format!("step {own}:")) && scene.exists() =>
        {
            Ok(Created::SoFar(todo))
        }
        other => other.map(Created::Ended),
    }
}

/// The object that `create` was to make. Where there is none, how `create` ended tells more.
fn object_of(scene: &Scene, created: &Created) -> Outcome<Object> {
    if let Created::Ended(ended) = created
        && ended.exit != Exit::Code(0)
        && !scene.exists()
    {
        return Err(wrong_exit(ended, &Exit::Code(0).told(), "create-fails", "`create`"));
    }
    scene.object()
}

pub(super) fn has_its_exact_length(scene: &mut Scene) -> Outcome {
    // No multiple of a page or of a word, so that a rounded length shows; and the least there is.
    for len in ["10000", "640", "70001"] {
        let created = create(scene, "object", len, Start::default())?;
        let object = object_of(scene, &created)?;
        let seen = object.len();
        if seen == 0 {
            let died = match &created {
                Created::Ended(Ended { exit: exit @ Exit::Signal(_), .. }) => {
                    format!(", and `create` {}", exit.told())
                }
                _ => String::new(),
            };
            return Err(fail("never-sized")
                .expected(format!("`create NAME {len}` makes an object of {len} bytes"))
                .seen(format!("it has 0 bytes, as every new object{died}"))
                .into());
        }
        if seen.to_string() != len {
            return Err(fail("wrong-length")
                .expected(format!("`create NAME {len}` makes an object of {len} bytes"))
                .seen(format!("it has {seen} bytes"))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn has_mode_0600(scene: &mut Scene) -> Outcome {
    for umask in [0o077, 0, 0o777] {
        let start = Start { umask: Some(umask), ..Start::default() };
        let created = create(scene, "object", "10000", start)?;
        let mode = object_of(scene, &created)?.mode();
        if mode != 0o600 {
            return Err(fail("wrong-mode")
                .expected(format!("mode 0600 with umask {umask:03o}"))
                .seen(format!("the mode is {mode:04o}"))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

/// What the umask is in the meantime, no look from outside is quick enough to see.
pub(super) fn leaves_the_umask_alone(scene: &mut Scene) -> Outcome {
    if !scene.bench().orderings()?.functions.call("umask") {
        return Ok(());
    }
    Err(fail("changes-the-umask")
        .expected("the umask stays what it was when the program was started")
        .seen("the program calls `umask`")
        .into())
}

pub(super) fn refuses_too_small(scene: &mut Scene) -> Outcome {
    for len in ["639", "64", "0"] {
        let ended = match create(scene, "object", len, Start::default())? {
            Created::Ended(ended) => Some(ended),
            Created::SoFar(_) => None,
        };
        if scene.exists() {
            return Err(fail("accepts-too-small")
                .expected(format!("`create NAME {len}` makes no object, since 640 is the least"))
                .seen("the object is there")
                .into());
        }
        if let Some(ended) = ended {
            must_exit(&ended, 15, "accepts-too-small", &format!("`create NAME {len}`"))?;
        }
    }
    Ok(())
}

pub(super) fn fills_in_the_prefix(scene: &mut Scene) -> Outcome {
    let created = create(scene, "mapping", "10000", Start::default())?;
    if let Created::Ended(ended) = &created {
        must_exit(ended, 0, "create-fails", "`create`")?;
    }
    let object = object_of(scene, &created)?;
    if object.read(0, prefix::END as usize).iter().all(|&byte| byte == 0) {
        return Err(fail("writes-stay-private")
            .expected("the prefix in the object after `create`")
            .seen("its first 64 bytes are all zero")
            .into());
    }
    let fields: [(&str, u64, u64); 3] = [
        ("magic", object.u64(prefix::MAGIC), prefix::magic(1)),
        ("version", object.u32(prefix::VERSION).into(), 1),
        ("total_len", object.u64(prefix::TOTAL_LEN), 10_000),
    ];
    for (name, seen, wanted) in fields {
        if seen != wanted {
            let number = |value: u64| match name {
                "magic" => format!("{value:#018x}"),
                _ => value.to_string(),
            };
            return Err(fail("wrong-prefix")
                .expected(format!("{name} is {}", number(wanted)))
                .seen(format!("{name} is {}", number(seen)))
                .into());
        }
    }
    if object.u32(prefix::CREATOR) == 0 {
        return Err(fail("wrong-prefix")
            .expected("creator is the process id of `create`")
            .seen("creator is 0")
            .into());
    }
    Ok(())
}

pub(super) fn maps_shared(scene: &mut Scene) -> Outcome {
    super::peer_table(scene, &[b"first"])?;
    let producer = attached_producer(scene)?;
    let mappings = scene.mappings(producer);
    if let Some(mapping) = mappings.iter().find(|mapping| mapping.permissions.ends_with('p')) {
        return Err(fail("private-mapping")
            .expected("the producer's mapping of the object is `rw-s`")
            .seen(format!("its line in /proc/PID/maps says `{}`", mapping.permissions))
            .into());
    }
    if mappings.is_empty() {
        // Who maps for each operation anew has none at this moment. Then the object itself tells.
        match put(scene, producer, b"x\n") {
            Err(Stop::NotStarted(_)) => return Ok(()),
            other => other?,
        }
        if scene.object()?.u32(table::COUNT) == 1 {
            return Err(fail("private-mapping")
                .expected("a string that was put is in the object")
                .seen("the object has not changed")
                .into());
        }
    }
    Ok(())
}

/// A producer that has opened the object. One that cannot is the matter of another step.
fn attached_producer(scene: &mut Scene) -> Outcome<Actor> {
    let start = Start::with_patience(Duration::from_millis(300));
    let producer = scene.start_with(&["producer", NAME, "--step"], start)?;
    let why = match scene.answer(producer) {
        Event::Line(_) => return Ok(producer),
        Event::Ended(Exit::Code(12)) => {
            return Err(fail("opens-for-reading")
                .expected("the producer opens and maps an object of its own user with mode 0600")
                .seen(format!("it {}", Exit::Code(12).told()))
                .into());
        }
        Event::Ended(exit @ Exit::Code(code)) if code != 101 => exit.told(),
        event => match scene.explain(producer, "opens the segment", event) {
            Stop::NotStarted(todo) if !todo.starts_with("step mapping:") => {
                format!("comes to {todo}")
            }
            other => return Err(other),
        },
    };
    Err(Stop::NotChecked(format!("the producer does not open the segment yet: it {why}")))
}

pub(super) fn is_exclusive(scene: &mut Scene) -> Outcome {
    // The last is one whose creator has got no further than its name.
    let (ready, building) = (Some(prefix::READY), Some(prefix::BUILDING));
    for (len, state) in [("4096", ready), ("1000", ready), ("4096", building), ("4096", None)] {
        with_peer(scene, |peer, name| {
            let Some(state) = state else { return peer.make(name, 0, 0o600) };
            table::create(peer, name, LEN, &[b"precious\n", b"also\n"])?;
            peer.put32(prefix::STATE, state)
        })?;
        let before = scene.object()?;
        let (inode, bytes) = (before.inode(), before.bytes());
        let ended = scene.run(&["create", NAME, len])?;
        let changed = |what: String| {
            let expected = "`create` on a name that exists changes nothing";
            Err(fail("not-exclusive").expected(expected).seen(what).into())
        };
        if !scene.exists() {
            return changed("the name is gone".to_owned());
        }
        let after = scene.object()?;
        if after.inode() != inode {
            return changed("another object is behind the name now".to_owned());
        }
        if after.len() != before.len() {
            let (had, has) = (before.len(), after.len());
            return changed(format!("the object had {had} bytes and has {has}"));
        }
        if let Some(change) = first_change(&bytes, &after.bytes()) {
            return changed(change);
        }
        must_exit(&ended, 10, "not-exclusive", "`create` on a name that exists")?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn publishes_ready(scene: &mut Scene) -> Outcome {
    let created = create(scene, "hand-over", "10000", Start::default())?;
    if let Created::Ended(ended) = &created {
        must_exit(ended, 0, "create-fails", "`create`")?;
    }
    let state = object_of(scene, &created)?.u32(prefix::STATE);
    if state != prefix::READY {
        // A step before this one, by which `create` has not come yet.
        if let Created::SoFar(todo) = created {
            return Err(Stop::NotStarted(todo));
        }
        return Err(fail("never-published")
            .expected("state is 1 (READY) when `create` has ended")
            .seen(format!("state is {state}"))
            .into());
    }
    Ok(())
}

pub(super) fn leaves_nothing_when_it_fails(scene: &mut Scene) -> Outcome {
    // Below the length, so that ftruncate fails; and a length that no object can have.
    let cases = [
        ("1000000", Some(8192), "an `ftruncate` that fails"),
        ("18446744073709551615", None, "a LEN of 2^64 - 1"),
    ];
    for (len, largest_file, cause) in cases {
        let start = Start { largest_file, ..Start::default() };
        let ended = scene.run_with(&["create", NAME, len], start)?;
        leaves_no_name(scene, &ended, cause)?;
        match ended.exit {
            Exit::Code(0) | Exit::Signal(_) => {
                return Err(wrong_exit(
                    &ended,
                    "exits with an error",
                    "hides-a-failure",
                    "`create`",
                ));
            }
            // Which error a length is that fits into no number is not told anywhere.
            Exit::Code(_) if largest_file.is_none() => {}
            Exit::Code(_) => {
                must_exit(&ended, 20, "hides-a-failure", &format!("after {cause} `create`"))?
            }
        }
        scene.renew();
    }
    leaves_nothing_when_it_cannot_map(scene)
}

/// An object of that length can be made, and no mapping of it.
fn leaves_nothing_when_it_cannot_map(scene: &mut Scene) -> Outcome {
    // Below what a file may have at most, also in confinement, and far above what a program needs.
    const LEN: u64 = 60 << 20;
    let start = Start { address_space: Some(48 << 20), ..Start::default() };
    let ended = scene.run_with(&["create", NAME, &LEN.to_string()], start)?;
    match ended.exit {
        // Who maps no more than it needs has met no failure.
        Exit::Code(0) if scene.exists() && scene.object()?.len() == LEN => Ok(()),
        Exit::Code(0) | Exit::Signal(_) => {
            Err(wrong_exit(&ended, "exits with an error", "hides-a-failure", "`create`"))
        }
        Exit::Code(_) => {
            let cause = "an `mmap` that fails";
            leaves_no_name(scene, &ended, cause)?;
            must_exit(&ended, 20, "hides-a-failure", &format!("after {cause} `create`"))
        }
    }
}

/// Requires that a `create` that has failed took its name away.
fn leaves_no_name(scene: &Scene, ended: &Ended, cause: &str) -> Outcome {
    if !scene.exists() {
        return Ok(());
    }
    let object = scene.object()?;
    Err(fail("leaves-debris")
        .expected(format!("no name is left after {cause}"))
        .seen(format!(
            "`create` {}, and an object of {} bytes is left",
            ended.exit.told(),
            object.len()
        ))
        .into())
}

pub(super) fn releases_ready(scene: &mut Scene) -> Outcome {
    ordered(scene.bench().orderings()?.release_at(prefix::STATE), "publishes-relaxed", "state")
}

/// Requires a finding of the compiler's output to be good.
pub(super) fn ordered(finding: Finding, code: &'static str, word: &str) -> Outcome {
    let (verb, ordering) =
        if code == "publishes-relaxed" { ("stored", "Release") } else { ("read", "Acquire") };
    match finding {
        Finding::Ordered => Ok(()),
        Finding::TooWeak => Err(fail(code)
            .expected(format!("`{word}` is {verb} with {ordering}, or ordered by a fence"))
            .seen(format!("in the compiler's output it is {verb} without any ordering"))
            .into()),
        Finding::Undecided => Err(Stop::NotChecked(format!(
            "the compiler's output does not show how `{word}` is {verb}"
        ))),
    }
}
