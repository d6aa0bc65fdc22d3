//! Step shards: a word for each worker, and nothing to fight over.

use super::atomic::goes_on;
use super::stage::{MANY, adds_alone, nothing_is_lost, open_shop, runs_free};
use crate::checks::common::must_exit;
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::shop::{COUNTER, LEFT, RIGHT, SHARDS, SOLD, STOCK, shard};
use crate::process::Start;
use crate::scene::{NAME, Scene, shown};
use crate::verdict::Outcome;

pub(super) fn own_shard(scene: &mut Scene) -> Outcome {
    for index in [0_u64, 5, 15] {
        let object = open_shop(scene, 0)?;
        for other in (0..16).filter(|&other| other != index) {
            scene.peer()?.put64(shard(other), 100 + other)?;
        }
        let before = object.bytes();
        let (number, name) = (index.to_string(), format!("shard {index}"));
        let (word, arguments) = (shard(index), ["--shard", &number]);
        let outcome = adds_alone(scene, &object, &arguments, "shard", (word, &name));
        // Where else it has counted says more than that the own shard is wrong.
        if let Some(other) = changed(&object, &before, word) {
            return Err(fail("wrong-shard")
                .expected(format!("`--shard {index}` changes nothing but shard {index}"))
                .seen(format!("{other} has changed"))
                .into());
        }
        outcome?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn takes_no_lock(scene: &mut Scene) -> Outcome {
    open_shop(scene, 0)?;
    goes_on(scene, "shard")
}

pub(super) fn out_of_range(scene: &mut Scene) -> Outcome {
    for index in ["16", "18446744073709551615"] {
        let object = open_shop(scene, 0)?;
        let before = object.bytes();
        let start = Start { input: Some(scene.input("one", b"\n")?), ..Start::default() };
        let ended = scene.run_with(&["worker", NAME, "shard", "--shard", index], start)?;
        must_exit(&ended, 18, "shard-not-refused", "a worker with a shard that does not exist")?;
        if let Some(word) = changed(&object, &before, u64::MAX) {
            return Err(fail("shard-not-refused")
                .expected("nothing changes when a worker is refused")
                .seen(format!("{word} has changed"))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn totals(scene: &mut Scene) -> Outcome {
    open_shop(scene, 6)?;
    let peer = scene.peer()?;
    for (word, value) in [(COUNTER, 3), (SOLD, 2), (LEFT, 8), (RIGHT, 9)] {
        peer.put64(word, value)?;
    }
    for index in 0..16 {
        peer.put64(shard(index), 1 << index)?;
    }
    let ended = scene.run(&["total", NAME])?;
    must_exit(&ended, 0, "wrong-exit", "`total`")?;
    let wanted = ["counter 3", "stock 6", "sold 2", "shards 65535", "record 8 9"];
    let printed = String::from_utf8_lossy(&ended.output).into_owned();
    let mut lines = printed.lines();
    for wanted in wanted {
        let line = lines.next().unwrap_or("");
        if line != wanted {
            return Err(fail("wrong-total")
                .expected(format!("`{wanted}` from `total`"))
                .seen(format!("`{}`", shown(line)))
                .into());
        }
    }
    match lines.next() {
        None => Ok(()),
        Some(line) => Err(fail("wrong-total")
            .expected("five lines from `total`")
            .seen(format!("a sixth, `{}`", shown(line)))
            .into()),
    }
}

pub(super) fn crowd(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    let worker = |index| ["worker", NAME, "shard", "--shard", index];
    let workers = [worker("0"), worker("1"), worker("7"), worker("15")];
    let workers: Vec<&[&str]> = workers.iter().map(<[&str; 5]>::as_slice).collect();
    runs_free(scene, &workers, MANY, MANY)?;
    for index in [0, 1, 7, 15] {
        nothing_is_lost(&object, shard(index), &format!("shard {index}"), MANY)?;
    }
    Ok(())
}

/// The first word behind the prefix that is not as before, apart from this one.
fn changed(object: &Object, before: &[u8], apart: u64) -> Option<String> {
    let now = object.bytes();
    let words = (64..now.len().min(before.len())).step_by(8);
    let at = words.map(|at| at as u64).find(|&at| {
        let word = at as usize..at as usize + 8;
        at != apart && now.get(word.clone()) != before.get(word)
    })?;
    let names =
        [(COUNTER, "counter"), (STOCK, "stock"), (SOLD, "sold"), (LEFT, "left"), (RIGHT, "right")];
    Some(match names.iter().find(|(offset, _)| *offset == at) {
        Some((_, name)) => (*name).to_owned(),
        None if (SHARDS..shard(16)).contains(&at) && at.is_multiple_of(64) => {
            format!("shard {}", (at - SHARDS) / 64)
        }
        None => format!("the word at offset {at}"),
    })
}
