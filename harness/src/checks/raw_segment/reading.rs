//! The steps read-only and validation: what a program asks for when it opens, and what it refuses.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::{LEN, peer_table, with_peer};
use crate::checks::common::{must_exit, wrong_exit};
use crate::cleanup::SHM_DIR;
use crate::diagnosis::fail;
use crate::peer::{Asked, Peer, prefix, table};
use crate::process::{Exit, Start};
use crate::scene::{Ended, NAME, Scene, shown};
use crate::verdict::{Outcome, Stop};

pub(super) fn maps_with_its_rights(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"first"])?;
    for (role, wanted) in [("consumer", "r--s"), ("producer", "rw-s")] {
        let actor = scene.attach(&[role, NAME])?;
        let mappings = scene.mappings(actor);
        if mappings.is_empty() {
            scene.remark(format!(
                "your {role} maps nothing while it waits for input, so its rights were not seen"
            ));
        }
        for mapping in mappings {
            let seen = mapping.permissions;
            if seen == wanted {
                continue;
            }
            let code = match (role, seen.as_bytes()) {
                (_, [.., b'p']) => "private-mapping",
                ("consumer", _) => "maps-for-writing",
                _ => "maps-for-reading",
            };
            return Err(fail(code)
                .expected(format!("the {role}'s mapping of the object is `{wanted}`"))
                .seen(format!("its line in /proc/PID/maps says `{seen}`"))
                .into());
        }
    }
    Ok(())
}

/// Gives the scene's object another mode.
fn chmod(scene: &Scene, mode: u32) -> Outcome {
    set_permissions(format!("{SHM_DIR}{}", scene.name()), Permissions::from_mode(mode))?;
    Ok(())
}

/// Root ignores modes unless its programs give up that privilege, which some containers forbid.
fn modes_mean_something() -> Outcome {
    const IGNORE_MODES: u64 = 1 << 1 | 1 << 2;
    const GIVE_UP: u64 = 1 << 8;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let privileges = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    if privileges & IGNORE_MODES != 0 && privileges & GIVE_UP == 0 {
        let reason = "as root, and without the privilege to give one up, no mode keeps anybody out";
        return Err(Stop::NotChecked(reason.to_owned()));
    }
    Ok(())
}

/// Runs a program that has to obey the object's mode, root's programs too.
fn obedient(scene: &mut Scene, role: &str) -> Outcome<Ended> {
    let start = Start { obey_modes: true, ..Start::with_patience(Duration::from_millis(300)) };
    scene.run_with(&[role, NAME], start)
}

pub(super) fn opens_for_reading(scene: &mut Scene) -> Outcome {
    modes_mean_something()?;
    // An empty table, so that nothing but the opening is asked of it.
    peer_table(scene, &[])?;
    chmod(scene, 0o400)?;
    let ended = obedient(scene, "consumer")?;
    let when = "with mode 0400, which lets the owner read, `consumer`";
    must_exit(&ended, 0, "opens-for-writing", when)
}

pub(super) fn is_denied(scene: &mut Scene) -> Outcome {
    modes_mean_something()?;
    for (role, mode) in [("consumer", 0), ("producer", 0), ("producer", 0o400)] {
        peer_table(scene, &[b"first\n"])?;
        chmod(scene, mode)?;
        let ended = obedient(scene, role)?;
        must_exit(&ended, 12, "hides-a-refusal", &format!("with mode {mode:04o}, `{role}`"))?;
        scene.renew();
    }
    Ok(())
}

/// A way to spoil a table, and how it is told.
type Spoil = (&'static str, fn(&mut Peer) -> Asked);

pub(super) fn refuses_a_foreign_prefix(scene: &mut Scene) -> Outcome {
    const CASES: [Spoil; 8] = [
        ("the magic is another", |peer| peer.put64(prefix::MAGIC, 0x1122_3344_5566_7788)),
        ("the magic is 0", |peer| peer.put64(prefix::MAGIC, 0)),
        ("the magic is that of the second lab", |peer| peer.put64(prefix::MAGIC, prefix::magic(2))),
        ("the last byte of the magic is a letter, not a zero", |peer| {
            peer.put64(prefix::MAGIC, prefix::magic(1) | u64::from(b'X') << 56)
        }),
        ("the version is 2", |peer| peer.put32(prefix::VERSION, 2)),
        ("the version is 0", |peer| peer.put32(prefix::VERSION, 0)),
        ("the state is 7", |peer| peer.put32(prefix::STATE, 7)),
        ("total_len is one more than the object has", |peer| {
            peer.put64(prefix::TOTAL_LEN, LEN + 1)
        }),
    ];
    for (what, spoil) in CASES {
        for role in ["consumer", "producer"] {
            peer_table(scene, &[b"first\n"])?;
            with_peer(scene, |peer, _| spoil(peer))?;
            refused(scene, &[role, NAME], what, "accepts-a-foreign-prefix")?;
            scene.renew();
        }
    }
    Ok(())
}

/// Runs a program on a spoilt table and requires it to refuse.
fn refused(scene: &mut Scene, arguments: &[&str], what: &str, code: &'static str) -> Outcome {
    let start = Start::with_patience(Duration::from_millis(300));
    let ended = scene.run_with(arguments, start)?;
    must_exit(&ended, 13, code, &format!("when {what}, `{}`", arguments[0]))
}

/// What a consumer does with odd entries means something only if it reads ordinary ones right, which
/// is the matter of the next step.
fn reads_an_ordinary_table(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"first\n", b"second\n"])?;
    let ended = scene.run(&["consumer", NAME])?;
    scene.renew();
    if ended.exit == Exit::Code(0) && ended.output == b"first\nsecond\n" {
        return Ok(());
    }
    let reason = "the consumer does not read an ordinary table right yet (step strings)";
    Err(Stop::NotChecked(reason.to_owned()))
}

pub(super) fn refuses_wrong_entries(scene: &mut Scene) -> Outcome {
    const CASES: [(&str, u32, u32); 7] = [
        ("an entry begins at 639, before the strings", 639, 4),
        ("an entry begins at 0", 0, 8),
        ("an entry ends one byte behind the object", 640, LEN as u32 - 639),
        ("an entry begins behind the object", LEN as u32 + 1, 0),
        ("an entry begins at 4294967280", u32::MAX - 15, 4),
        ("an entry's off and len add up to more than 32 bits hold", 700, u32::MAX - 20),
        ("an entry's off and len add up to 2^32", u32::MAX - 999, 1000),
    ];
    reads_an_ordinary_table(scene)?;
    for (what, off, len) in CASES {
        peer_table(scene, &[b"first\n", b"second\n"])?;
        with_peer(scene, |peer, _| {
            peer.put32(table::ENTRIES + 8, off)?;
            peer.put32(table::ENTRIES + 12, len)
        })?;
        refused(scene, &["consumer", NAME], what, "follows-a-wrong-entry")?;
        scene.renew();
    }
    // What follows the last entry are the first bytes of the strings. Here they look like one more.
    let like_an_entry = [640u32.to_le_bytes(), 8u32.to_le_bytes()].concat();
    for (what, count) in [("count is 65", 65), ("count is 4294967295", u32::MAX)] {
        peer_table(scene, &[like_an_entry.as_slice(); 64])?;
        with_peer(scene, |peer, _| peer.put32(table::COUNT, count))?;
        refused(scene, &["consumer", NAME], what, "believes-the-count")?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn accepts_what_is_legal(scene: &mut Scene) -> Outcome {
    const STRING: &[u8] = b"first\n";
    const EXACTLY: u64 = table::HEAP + STRING.len() as u64;
    const CASES: [(u64, Spoil); 5] = [
        (LEN, ("the state is 2 (CLOSED)", |peer| peer.put32(prefix::STATE, prefix::CLOSED))),
        (
            EXACTLY,
            ("the strings end with the object's last byte, the last of them empty", |_| Ok(())),
        ),
        (
            EXACTLY,
            ("total_len is below the object's length, and a string lies between", |peer| {
                peer.put64(prefix::TOTAL_LEN, table::HEAP)
            }),
        ),
        (table::HEAP, ("the object is 640 bytes long and has room for nothing", |_| Ok(()))),
        (
            LEN,
            ("reserved bytes are not zero", |peer| {
                peer.put32(28, u32::MAX)?;
                peer.put64(72, u64::MAX)
            }),
        ),
    ];
    reads_an_ordinary_table(scene)?;
    for (len, (what, spoil)) in CASES {
        let strings: &[&[u8]] = if len < EXACTLY { &[] } else { &[STRING, b""] };
        with_peer(scene, |peer, name| {
            table::create(peer, name, len, strings)?;
            spoil(peer)
        })?;
        let ended = scene.run(&["consumer", NAME])?;
        if ended.exit != Exit::Code(0) {
            let when = format!("when {what}, `consumer`");
            return Err(wrong_exit(&ended, "prints the strings", "refuses-what-is-legal", &when));
        }
        if ended.output != strings.concat() {
            let told = |bytes: &[u8]| shown(&String::from_utf8_lossy(bytes));
            return Err(fail("prints-other-bytes")
                .expected(format!("when {what}, the consumer prints `{}`", told(&strings.concat())))
                .seen(format!("it prints `{}`", told(&ended.output)))
                .into());
        }
        scene.renew();
    }
    Ok(())
}
