//! Step crowd: whole streams, many at once, nobody held.

use std::collections::HashMap;

use crate::checks::common::{create, must_exit};
use crate::diagnosis::fail;
use crate::peer::ring::{FULL, Shape};
use crate::process::Start;
use crate::scene::{Actor, NAME, Scene, count};
use crate::verdict::Outcome;

use super::stage::{Rest, join, rests, sleeps_on};

/// Lines of each producer.
const LINES: usize = 1200;

/// One producer, one consumer, and `cmp`: binary bytes and text, whole messages and lines.
pub(super) fn same_bytes(scene: &mut Scene) -> Outcome {
    let mut state: u32 = 7;
    let noise: Vec<u8> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    for (slot, framing) in [("64", &["--bulk"][..]), ("64", &[]), ("4096", &["--bulk"])] {
        create(scene, &["3", "--slot", slot])?;
        let start = Start { output: Some(scene.output("out")?), ..Start::default() };
        let consumer = scene.start_with(&["consumer", NAME], start)?;
        let start = Start { input: Some(scene.input("in", &noise)?), ..Start::default() };
        let arguments: Vec<&str> = ["producer", NAME].iter().chain(framing).copied().collect();
        let producer = scene.start_with(&arguments, start)?;
        for actor in [producer, consumer] {
            let ended = scene.finish(actor, "carries its bytes to the end")?;
            must_exit(&ended, 0, "fails-at-the-end", &scene.role(actor))?;
        }
        let out = std::fs::read(scene.file("out"))?;
        if out != noise {
            let same = out.iter().zip(&noise).take_while(|(a, b)| a == b).count();
            return Err(fail("other-bytes-come-out")
                .expected(format!(
                    "the {} bytes that went in come out (slots of {slot} bytes)",
                    noise.len()
                ))
                .seen(format!("{} bytes come out, of which the first {same} agree", out.len()))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn three_and_three(scene: &mut Scene) -> Outcome {
    for capacity in [2, 16] {
        let (consumers, producers) = crowd(scene, capacity)?;
        settle_accounts(scene, capacity, &consumers, producers)?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn one_killed(scene: &mut Scene) -> Outcome {
    create(scene, &["4"])?;
    // It sleeps before anybody has produced, so it dies with nothing in its hands.
    let dying = start_consumer(scene, "dying")?;
    sleeps_on(scene, dying, FULL, "nobody has produced yet", "empty-is-the-end")?;
    let others = [start_consumer(scene, "out-0")?, start_consumer(scene, "out-1")?];
    for consumer in others {
        sleeps_on(scene, consumer, FULL, "nobody has produced yet", "empty-is-the-end")?;
    }
    scene.kill(dying);
    let producers = start_producers(scene)?;
    settle_accounts(scene, 4, &others, producers)
}

/// Three consumers, then three producers, all at once.
fn crowd(scene: &mut Scene, capacity: u32) -> Outcome<(Vec<Actor>, Vec<Actor>)> {
    create(scene, &[&capacity.to_string()])?;
    let mut consumers = Vec::new();
    for number in 0..3 {
        consumers.push(start_consumer(scene, &format!("out-{number}"))?);
    }
    Ok((consumers, start_producers(scene)?))
}

fn start_consumer(scene: &mut Scene, file: &str) -> Outcome<Actor> {
    let start = Start { output: Some(scene.output(file)?), ..Start::default() };
    scene.start_with(&["consumer", NAME], start)
}

fn start_producers(scene: &mut Scene) -> Outcome<Vec<Actor>> {
    let mut producers = Vec::new();
    for producer in 0..3 {
        let lines: String = (0..LINES).map(|line| format!("{producer} {line}\n")).collect();
        let input = scene.input(&format!("in-{producer}"), lines.as_bytes())?;
        let start = Start { input: Some(input), ..Start::default() };
        producers.push(scene.start_with(&["producer", NAME, "--keep-open"], start)?);
    }
    Ok(producers)
}

/// Waits for the producers, closes, waits for the consumers, and counts.
fn settle_accounts(
    scene: &mut Scene,
    capacity: u32,
    consumers: &[Actor],
    producers: Vec<Actor>,
) -> Outcome {
    for producer in producers {
        let ended = scene.finish(producer, "puts in all its lines, with consumers at work")?;
        must_exit(&ended, 0, "fails-at-the-end", "a producer in a crowd")?;
    }
    let ended = scene.run(&["close", NAME])?;
    must_exit(&ended, 0, "close-fails", "`close`")?;
    let mut printed = Vec::new();
    for (number, &consumer) in consumers.iter().enumerate() {
        let ended = scene.finish(consumer, "takes what is left and ends after the close")?;
        must_exit(&ended, 0, "fails-at-the-end", "a consumer in a crowd")?;
        printed.push(std::fs::read(scene.file(&format!("out-{number}")))?);
    }
    tally(&printed)?;
    join(scene)?;
    let all = 3 * LINES as u64;
    rests(scene, &Rest::closed(Shape::plain(capacity), all, all), "after the crowd has gone")
}

/// Every line once, none that nobody sent, and each producer's in their order in what one consumer
/// printed.
fn tally(printed: &[Vec<u8>]) -> Outcome {
    let mut seen: HashMap<(usize, usize), usize> = HashMap::new();
    for bytes in printed {
        let mut last = [None; 3];
        for line in String::from_utf8_lossy(bytes).lines() {
            let parsed = line
                .split_once(' ')
                .and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)))
                .filter(|&(producer, line)| producer < 3 && line < LINES);
            let Some((producer, number)) = parsed else {
                return Err(fail("garbles-messages")
                    .expected("every line that comes out is one that went in")
                    .seen(format!("`{}`, which nobody sent", crate::scene::shown(line)))
                    .into());
            };
            *seen.entry((producer, number)).or_default() += 1;
            if seen[&(producer, number)] == 1 && last[producer] > Some(number) {
                return Err(fail("breaks-the-order")
                    .expected("one consumer prints the lines of one producer in their order")
                    .seen(format!(
                        "it prints line {number} of a producer after its line {}",
                        last[producer].unwrap_or(0)
                    ))
                    .into());
            }
            last[producer] = Some(number);
        }
    }
    let all = 3 * LINES;
    let lost = all - seen.len();
    let doubled = seen.values().filter(|&&times| times > 1).count();
    let code = match (lost, doubled) {
        (0, 0) => return Ok(()),
        (0, _) => "doubles-messages",
        _ => "loses-messages",
    };
    Err(fail(code)
        .expected(format!("each of the {all} lines that three producers sent comes out once"))
        .seen(format!(
            "{} missing, {} more than once",
            count(lost, "line is", "lines are"),
            count(doubled, "comes", "come")
        ))
        .into())
}
