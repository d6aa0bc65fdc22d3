//! Step check-then-act: what was seen may be gone when it comes to acting.

use super::locked::comes_back_when_the_gate_fails;
use super::stage::{
    MANY, Worker, all_at_once, go, lock_is_free, open_shop, rounds, sleeps_on, takes_over,
};
use crate::checks::schedules::{either, every};
use crate::diagnosis::fail;
use crate::indivisible::Change;
use crate::object::Object;
use crate::peer::shop::{ARRIVED, GO, MUTEX, SOLD, STOCK};
use crate::scene::{NAME, Scene, shown};
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

/// Tries of all customers together after which one who still comes to the gate never looks again.
const TRIES: usize = 12;

/// How often somebody else is faster than one customer.
const TOO_LATE: u64 = 8;

pub(super) fn alone(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 3)?;
    let customer = Worker::free(scene, "sell")?;
    for operation in 1..=5 {
        let sold = operation.min(3);
        let answer = if operation <= 3 { "sold" } else { "refused" };
        scene.send(customer.actor, b"\n");
        let line = customer.finishes(scene)?;
        let when = format!("after try {operation} on a stock of 3");
        if line == "refused" && answer == "sold" {
            return Err(fail("refuses-with-stock")
                .expected(format!("`sold` with {} in stock", 4 - operation))
                .seen("`refused`, and nobody else is there")
                .into());
        }
        balances(&object, 3 - sold, sold, &when)?;
        if line != answer {
            return Err(fail("oversells")
                .expected(format!("`{answer}` with nothing in stock"))
                .seen(format!("`{}`", shown(&line)))
                .into());
        }
        lock_is_free(scene)?;
    }
    customer.ends(scene)
}

pub(super) fn gate_is_between(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 4)?;
    let customer = Worker::gated(scene, "sell")?;
    for sold in 0..4 {
        let event = customer.begin(scene, "");
        customer.must_be_at_the_gate(scene, event)?;
        let seen = (object.u64(STOCK), object.u64(SOLD));
        if seen != (4 - sold, sold) {
            return Err(fail("gate-not-between")
                .expected("nothing has changed while the customer is at the gate")
                .seen(format!("stock is {} and sold is {}", seen.0 as i64, seen.1))
                .into());
        }
        let lines = serve(scene, &[customer])?;
        if lines != ["sold"] {
            return Err(fail("refuses-with-stock")
                .expected(format!("`sold` with {} in stock", 4 - sold))
                .seen(format!("`{}`, and nobody else is there", shown(&lines[0])))
                .into());
        }
    }
    // A weak compare_exchange may fail for no reason and try again, but not every time.
    let arrived = scene.peer()?.sem_value(ARRIVED)?;
    if arrived >= 8 {
        return Err(fail("gate-twice")
            .expected("4 sales with nobody else there come to the gate 4 times")
            .seen(format!("{arrived} times"))
            .into());
    }
    match customer.begin(scene, "") {
        Event::Line(line) if line == "refused" => {}
        Event::Line(line) => {
            return Err(fail("oversells")
                .expected("`refused` with nothing in stock")
                .seen(format!("`{}`", shown(&line)))
                .into());
        }
        event if sleeps_on(&event, GO) => {
            return Err(fail("gate-when-sold-out")
                .expected("a customer who sees a stock of 0 is refused at once")
                .seen("the customer is at the gate")
                .into());
        }
        event => return Err(customer.stuck(scene, "prints `refused`", event)),
    }
    balances(&object, 0, 4, "at the end")?;
    lock_is_free(scene)
}

pub(super) fn last_piece(scene: &mut Scene) -> Outcome {
    rounds(scene, one_piece)
}

fn one_piece(scene: &mut Scene) -> Outcome {
    let (object, lines) = two_customers(scene, 1)?;
    let sold = lines.iter().filter(|line| *line == "sold").count();
    if sold > 1 || object.u64(STOCK) as i64 > 1 || (object.u64(STOCK) as i64) < 0 {
        return Err(fail("oversells")
            .expected("one of two customers gets the last piece, and the stock is 0")
            .seen(format!("{sold} pieces are sold, and the stock is {}", object.u64(STOCK) as i64))
            .into());
    }
    if sold < 1 {
        return Err(fail("refuses-with-stock")
            .expected("one of two customers gets the last piece")
            .seen("neither does")
            .into());
    }
    balances(&object, 0, 1, "when one of two customers has bought the last piece")?;
    lock_is_free(scene)
}

pub(super) fn two_pieces(scene: &mut Scene) -> Outcome {
    let (object, lines) = two_customers(scene, 2)?;
    if lines.iter().any(|line| line == "refused") {
        return Err(fail("refuses-with-stock")
            .expected("two customers and two pieces: both buy")
            .seen(format!("one is refused, with {} in stock", object.u64(STOCK) as i64))
            .into());
    }
    balances(&object, 0, 2, "when two customers have bought two pieces")?;
    lock_is_free(scene)
}

/// Somebody is faster in each try, with stock left. Who holds the lock from look to act is never too
/// late, and our process does not go past its lock.
pub(super) fn too_late_again(scene: &mut Scene) -> Outcome {
    let stock = 2 * TRIES as u64;
    let object = open_shop(scene, stock)?;
    let customer = Worker::gated(scene, "sell")?;
    scene.send(customer.actor, b"\n");
    let (mut faster, mut tries) = (0, 0);
    let line = loop {
        match scene.event(customer.actor) {
            Event::Line(line) => break line,
            event if sleeps_on(&event, GO) && tries < TRIES => {
                tries += 1;
                if faster < TOO_LATE && scene.peer()?.sem_value(MUTEX)? > 0 {
                    faster += 1;
                    scene.peer()?.put64(STOCK, stock - faster)?;
                    scene.peer()?.put64(SOLD, faster)?;
                }
                go(scene)?;
            }
            event if sleeps_on(&event, GO) => {
                return Err(fail("looks-only-once")
                    .expected("a customer who was too late looks at the stock once more")
                    .seen(format!("after {tries} tries it comes to the gate again"))
                    .into());
            }
            event => return Err(customer.stuck(scene, "buys", event)),
        }
    };
    if line != "sold" {
        return Err(fail("refuses-with-stock")
            .expected(format!("a customer buys in the end, with {} in stock", stock - faster))
            .seen(format!("`{}`, after somebody else was faster {faster} times", shown(&line)))
            .into());
    }
    let when = "when a customer has bought at last";
    balances(&object, stock - faster - 1, faster + 1, when)?;
    lock_is_free(scene)
}

pub(super) fn lock_comes_back(scene: &mut Scene) -> Outcome {
    comes_back_when_the_gate_fails(scene, "sell")
}

/// What nobody can force from outside: `sold`, too, is a word that two change at once, and a stock
/// that is repaired after it fell below zero was below zero. The intermediate code shows both.
pub(super) fn is_indivisible(scene: &mut Scene) -> Outcome {
    either(is_compiled_indivisible(scene), || every(scene, super::LAB, &["sell", "sell-both"]))
}

fn is_compiled_indivisible(scene: &Scene) -> Outcome {
    // Offsets in the shop, which `sell` is handed.
    let (stock, sold) = (STOCK - 64, SOLD - 64);
    let undecided = "the compiler's output does not show how `sell` changes stock and sold";
    let function = scene.bench().orderings()?.functions.reached_from("sell");
    let function = function.ok_or_else(|| Stop::NotChecked(undecided.to_owned()))?;
    if function.waits() {
        // Under the lock, plain steps are right; the other checks have seen it work.
        return Ok(());
    }
    if !function.is_known() {
        return Err(Stop::NotChecked(undecided.to_owned()));
    }
    if function.changes(sold, &[Change::Store, Change::Once]) {
        return Err(fail("two-steps")
            .expected("`sold` goes up in one operation, since another customer may be there too")
            .seen("`sell` takes no lock, loads `sold` and writes it back in a second operation")
            .into());
    }
    if function.changes(stock, &[Change::Add]) {
        return Err(fail("oversells")
            .expected("the stock is made less only if it is what was seen, so it never passes zero")
            .seen("`sell` takes no lock and subtracts from the stock without a condition")
            .into());
    }
    Ok(())
}

pub(super) fn crowd(scene: &mut Scene) -> Outcome {
    let lines = MANY / 5;
    // Once there is more than everybody wants together, once there is not enough.
    for stock in [5 * lines, 3 * lines] {
        let object = open_shop(scene, stock)?;
        let customer: &[&str] = &["worker", NAME, "sell"];
        let outputs = all_at_once(scene, &[customer; 4], lines)?;
        let told: Option<u64> = outputs
            .iter()
            .map(|output| output.trim().strip_prefix("done ")?.parse::<u64>().ok())
            .sum();
        let told = told.ok_or_else(|| {
            fail("wrong-answer")
                .expected("`done N` from each customer, with the number of pieces it bought")
                .seen(format!("`{}`", shown(&outputs.join(" "))))
        })?;
        let wanted = stock.min(4 * lines);
        let seen = (object.u64(STOCK), object.u64(SOLD), told);
        if seen != (stock - wanted, wanted, wanted) {
            return Err(fail("loses-in-a-crowd")
                .expected(format!(
                    "{stock} in stock and {} customers: stock is {}, sold is {wanted}, and the \
                     customers have bought {wanted}",
                    4 * lines,
                    stock - wanted,
                ))
                .seen(format!(
                    "stock is {}, sold is {}, they have {}",
                    seen.0 as i64, seen.1, seen.2
                ))
                .into());
        }
        lock_is_free(scene)?;
        scene.renew();
    }
    Ok(())
}

/// Two customers come while there is so much in stock. The second stands beside the first at the
/// gate, or waits for it in the lock; then both may go on. Returns what each was told.
fn two_customers(scene: &mut Scene, stock: u64) -> Outcome<(Object, Vec<String>)> {
    let object = open_shop(scene, stock)?;
    let customers = [Worker::gated(scene, "sell")?, Worker::gated(scene, "sell")?];
    customers[0].to_the_gate(scene, "")?;
    let event = customers[1].begin(scene, "");
    if sleeps_on(&event, MUTEX) && scene.peer()?.sem_value(MUTEX)? == 0 {
        takes_over(scene, customers[1], customers[0]);
        go(scene)?;
    } else {
        customers[1].must_be_at_the_gate(scene, event)?;
        go(scene)?;
        go(scene)?;
    }
    let lines = serve(scene, &customers)?;
    Ok((object, lines))
}

/// Lets each customer through the gate as often as it comes to it, until all have their answer.
fn serve(scene: &mut Scene, customers: &[Worker]) -> Outcome<Vec<String>> {
    let mut answers: Vec<Option<String>> = vec![None; customers.len()];
    let mut tries = 0;
    while answers.iter().any(Option::is_none) {
        let mut in_the_lock = 0;
        for (customer, answer) in customers.iter().zip(&mut answers) {
            if answer.is_some() {
                continue;
            }
            match scene.event(customer.actor) {
                Event::Line(line) => *answer = Some(line),
                event if sleeps_on(&event, GO) && tries < TRIES => {
                    tries += 1;
                    go(scene)?;
                }
                event if sleeps_on(&event, GO) => {
                    return Err(fail("looks-only-once")
                        .expected("a customer who was too late looks at the stock once more")
                        .seen(format!("after {tries} tries one comes to the gate again"))
                        .into());
                }
                event if sleeps_on(&event, MUTEX) && customers.len() > 1 => in_the_lock += 1,
                event => return Err(customer.stuck(scene, "buys or is refused", event)),
            }
        }
        let waiting = answers.iter().filter(|answer| answer.is_none()).count();
        if waiting > 0 && in_the_lock == waiting {
            return Err(fail("keeps-the-lock")
                .expected("the lock comes back when a customer has bought or was refused")
                .seen("a customer sleeps in `mutex`, and nobody is inside who could give it back")
                .into());
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Requires these numbers of the shop.
fn balances(object: &Object, stock: u64, sold: u64, when: &str) -> Outcome {
    let seen = (object.u64(STOCK), object.u64(SOLD));
    if seen == (stock, sold) {
        return Ok(());
    }
    Err(fail("wrong-balance")
        .expected(format!("stock is {stock} and sold is {sold} {when}"))
        .seen(format!("stock is {} and sold is {}", seen.0 as i64, seen.1))
        .into())
}
