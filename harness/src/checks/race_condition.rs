//! The checks of the lab race-condition.
//!
//! No race is left to chance: a worker at the gate stands between the halves of its operation for
//! as long as we like, and what is between them is what a check is about. Each runs on a shop that
//! the grader's partner has made.

use crate::check::Check;

mod atomic;
mod locked;
mod racy;
mod record;
mod schedule;
mod schedules;
mod sell;
mod shards;
mod stage;

/// The lab's id.
const LAB: &str = "race-condition";

/// The table, in the order of the steps and of causes.
pub(super) const CHECKS: &[Check] = &[
    Check {
        step: "lost-update",
        id: "racy-adds-one",
        title: "alone, each operation adds one",
        run: racy::adds_one,
    },
    Check {
        step: "lost-update",
        id: "gate-between-read-and-write",
        title: "the gate is between the read and the write, and no lock is taken",
        run: racy::gate_is_between,
    },
    Check {
        step: "lost-update",
        id: "update-is-lost",
        title: "two workers at the gate at once leave the counter at 1",
        run: racy::update_is_lost,
    },
    Check {
        step: "torn-record",
        id: "racy-record-alone",
        title: "alone, a writer writes both words and a reader reads both",
        run: record::racy_alone,
    },
    Check {
        step: "torn-record",
        id: "torn-by-the-writer",
        title: "a reader sees the half that a writer at the gate has written",
        run: record::torn_by_the_writer,
    },
    Check {
        step: "torn-record",
        id: "torn-by-the-reader",
        title: "a reader at the gate returns one word of before and one of after",
        run: record::torn_by_the_reader,
    },
    Check {
        step: "schedule",
        id: "two-schedules",
        title: "both strings are schedules",
        run: schedule::are_schedules,
    },
    Check {
        step: "schedule",
        id: "update-lost-by-schedule",
        title: "under the first, an addition is lost",
        run: schedule::loses_an_update,
    },
    Check {
        step: "schedule",
        id: "record-torn-by-schedule",
        title: "under the second, the record is torn",
        run: schedule::tears_the_record,
    },
    Check {
        step: "mutex",
        id: "mutex-adds-one",
        title: "alone, each operation adds one and gives the lock back",
        run: locked::adds_one,
    },
    Check {
        step: "mutex",
        id: "one-is-inside",
        title: "while one worker is at the gate, the other sleeps in `mutex`",
        run: locked::one_is_inside,
    },
    Check {
        step: "mutex",
        id: "mutex-comes-back",
        title: "the lock comes back when the gate fails",
        run: locked::comes_back,
    },
    Check {
        step: "mutex",
        id: "every-mutex-schedule",
        title: "two workers lose nothing under any schedule",
        run: schedules::mutex,
    },
    Check {
        step: "mutex",
        id: "mutex-crowd",
        title: "four workers at once lose nothing",
        run: locked::crowd,
    },
    Check {
        step: "whole-record",
        id: "locked-record-alone",
        title: "alone, writer and reader do their work and give the lock back",
        run: record::locked_alone,
    },
    Check {
        step: "whole-record",
        id: "reader-waits",
        title: "while a writer is at the gate, a reader sleeps in `mutex`, and then reads a whole record",
        run: record::reader_waits,
    },
    Check {
        step: "whole-record",
        id: "writer-waits",
        title: "while a reader is at the gate, a writer sleeps in `mutex`",
        run: record::writer_waits,
    },
    Check {
        step: "whole-record",
        id: "both-words-inside",
        title: "both words are touched after the lock is taken",
        run: record::both_words_inside,
    },
    Check {
        step: "whole-record",
        id: "reads-in-order",
        title: "under the lock, too, `left` is read before the gate and `right` after it",
        run: record::reads_in_order,
    },
    Check {
        step: "whole-record",
        id: "record-lock-comes-back",
        title: "the lock comes back when the gate fails",
        run: record::lock_comes_back,
    },
    Check {
        step: "whole-record",
        id: "every-record-schedule",
        title: "the record is whole under every schedule",
        run: schedules::record,
    },
    Check {
        step: "atomic",
        id: "atomic-adds-one",
        title: "alone, each operation adds one",
        run: atomic::adds_one,
    },
    Check {
        step: "atomic",
        id: "atomic-takes-no-lock",
        title: "it goes on while another holds the lock, and has no gate",
        run: atomic::takes_no_lock,
    },
    Check {
        step: "atomic",
        id: "one-operation",
        title: "the addition is one operation",
        run: atomic::is_one_operation,
    },
    Check {
        step: "atomic",
        id: "atomic-crowd",
        title: "four workers with 100000 operations each count to 400000",
        run: atomic::crowd,
    },
    Check {
        step: "check-then-act",
        id: "sells-alone",
        title: "alone, a customer buys while there is stock and is refused after",
        run: sell::alone,
    },
    Check {
        step: "check-then-act",
        id: "gate-between-look-and-act",
        title: "the gate is between the look and the act, and not where nothing is left",
        run: sell::gate_is_between,
    },
    Check {
        step: "check-then-act",
        id: "last-piece",
        title: "of two customers between look and act, one gets the last piece",
        run: sell::last_piece,
    },
    Check {
        step: "check-then-act",
        id: "two-pieces",
        title: "of two customers between look and act, both buy if there are two pieces",
        run: sell::two_pieces,
    },
    Check {
        step: "check-then-act",
        id: "too-late-again",
        title: "who is too late again and again buys in the end",
        run: sell::too_late_again,
    },
    Check {
        step: "check-then-act",
        id: "sell-lock-comes-back",
        title: "the lock comes back when the gate fails",
        run: sell::lock_comes_back,
    },
    Check {
        step: "check-then-act",
        id: "sale-is-indivisible",
        title: "stock and sold are changed in one operation each, or under the lock",
        run: sell::is_indivisible,
    },
    Check {
        step: "check-then-act",
        id: "sell-crowd",
        title: "four customers at once get every piece, once",
        run: sell::crowd,
    },
    Check {
        step: "shards",
        id: "own-shard",
        title: "a worker adds to its own shard and touches nothing else",
        run: shards::own_shard,
    },
    Check {
        step: "shards",
        id: "shard-takes-no-lock",
        title: "it goes on while another holds the lock, and has no gate",
        run: shards::takes_no_lock,
    },
    Check {
        step: "shards",
        id: "shard-out-of-range",
        title: "a shard that does not exist is refused with 18",
        run: shards::out_of_range,
    },
    Check {
        step: "shards",
        id: "totals",
        title: "`total` prints every word and the sum of the shards",
        run: shards::totals,
    },
    Check {
        step: "shards",
        id: "shard-crowd",
        title: "four workers at once fill four shards exactly",
        run: shards::crowd,
    },
];
