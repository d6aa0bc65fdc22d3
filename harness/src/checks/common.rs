//! What several labs check alike: exits, objects and prefixes.

use crate::check::Check;
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::prefix;
use crate::process::Exit;
use crate::scene::{Ended, NAME, Scene, shown};
use crate::verdict::{Outcome, Stop};

/// A row of a lab's table, on one line.
pub(super) const fn check(
    step: &'static str,
    id: &'static str,
    title: &'static str,
    run: fn(&mut Scene) -> Outcome,
) -> Check {
    Check { step, id, title, run }
}

/// Requires an exit code; otherwise fails with this diagnosis, telling what was run.
pub(super) fn must_exit(ended: &Ended, code: i32, diagnosis: &'static str, when: &str) -> Outcome {
    if ended.exit == Exit::Code(code) {
        return Ok(());
    }
    Err(wrong_exit(ended, &Exit::Code(code).told(), diagnosis, when))
}

/// The failure of a program that did not end as it should.
pub(super) fn wrong_exit(ended: &Ended, wanted: &str, diagnosis: &'static str, when: &str) -> Stop {
    let code = match ended.exit {
        Exit::Signal(7) => "dies-of-sigbus",
        Exit::Signal(11) => "dies-of-sigsegv",
        Exit::Signal(_) => "dies-of-a-signal",
        Exit::Code(_) => diagnosis,
    };
    let says = ended.errors.lines().last().map(|line| format!(", and says `{}`", shown(line)));
    fail(code)
        .expected(format!("{when} {wanted}"))
        .seen(format!("it {}{}", ended.exit.told(), says.unwrap_or_default()))
        .into()
}

/// Runs `create NAME …` and requires it to succeed; returns the object it made.
pub(super) fn create(scene: &mut Scene, arguments: &[&str]) -> Outcome<Object> {
    let arguments: Vec<&str> = ["create", NAME].iter().chain(arguments).copied().collect();
    let ended = scene.run(&arguments)?;
    must_exit(&ended, 0, "create-fails", "`create`")?;
    scene.object()
}

/// Requires the common prefix of a ready segment of the lab with this digit.
pub(super) fn prefix_is_written(object: &Object, digit: u8, len: u64) -> Outcome {
    if object.read(0, prefix::END as usize).iter().all(|&byte| byte == 0) {
        return Err(fail("writes-stay-private")
            .expected("the prefix in the object after `create`")
            .seen("its first 64 bytes are all zero")
            .into());
    }
    let fields: [(&str, u64, u64); 4] = [
        ("magic", object.u64(prefix::MAGIC), prefix::magic(digit)),
        ("version", object.u32(prefix::VERSION).into(), 1),
        ("state", object.u32(prefix::STATE).into(), prefix::READY.into()),
        ("total_len", object.u64(prefix::TOTAL_LEN), len),
    ];
    for (name, seen, wanted) in fields {
        if seen != wanted {
            let hex = |value: u64| {
                if name == "magic" { format!("{value:#018x}") } else { value.to_string() }
            };
            return Err(fail("wrong-prefix")
                .expected(format!("{name} is {}", hex(wanted)))
                .seen(format!("{name} is {}", hex(seen)))
                .into());
        }
    }
    Ok(())
}
