//! The checks of the lab bounded-buffer: the student's processes beside a partner that speaks the
//! format from its document, and looked at from outside whenever they hold still.

use crate::check::Check;
use crate::checks::common::check;

mod blocking;
mod create;
mod crowd;
mod end;
mod exclusion;
mod idle;
mod pop;
mod push;
mod robust;
mod schedules;
mod semaphores;
mod stage;
mod witness;

/// The table, in the order of the steps and of causes.
#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    check("create", "exact-length", "the object has 512 + slot_size * capacity bytes", create::exact_length),
    check("create", "mode", "the object has mode 0600 whatever the umask", create::mode),
    check("create", "words", "prefix, capacity, slot_size and lock hold what was asked for", create::words),
    check("create", "start-values", "empty starts at the capacity, full at 0, mutex at 1", create::start_values),
    check("create", "shared-semaphores", "the semaphores are for use between processes", create::shared),
    check("create", "robust-untouched", "without --robust the bytes of robust stay zero", create::rest_is_zero),
    check("create", "create-killed", "wherever a creator is killed, what says READY is complete", schedules::create_killed),
    check("create", "exclusive", "a name that exists is refused and nothing changes", create::exclusive),
    check("create", "attaching", "who opens a buffer changes nothing", create::attaching),
    check("create", "refusals", "a create that is refused or fails leaves no name", create::refusals),
    check("create", "opening-waits", "opening waits for a creator", create::opening_waits),
    check("create", "opening-gives-up", "opening gives up when the patience is over", create::opening_gives_up),
    check("create", "wrong-format", "a wrong format is refused", create::wrong_format),

    check("semaphores", "sleeps-in-full", "a consumer of an empty buffer sleeps in full", semaphores::sleeps),
    check("semaphores", "wakes", "a post from another process wakes it", semaphores::wakes),
    check("semaphores", "signals", "a signal neither ends the wait nor gives a permit", semaphores::signals),
    check("semaphores", "failures", "another failure of a semaphore is exit code 20", semaphores::failures),

    check("push", "one-message", "one push fills slot 0 and moves one permit", push::one_message),
    check("push", "slots", "message n lies in slot n mod capacity, and nothing else changes", push::slots),
    check("push", "lengths", "a slot takes slot_size - 8 bytes, and longer lines travel in pieces", push::lengths),
    check("push", "beside-ours", "your producer and ours fill the same ring", push::beside_ours),
    check("push", "long-running", "the indices run on past 32 bits", push::long_running),
    check("push", "announces-last", "with V(full) a producer has stored slot and tail", witness::producer_announces),

    check("pop", "one-pop", "one pop takes the message and gives the slot back", pop::one_message),
    check("pop", "in-order", "messages come out in the order in which they went in", pop::in_order),
    check("pop", "any-bytes", "every length and every byte comes out unchanged", pop::any_bytes),
    check("pop", "too-long", "a slot with an impossible length ends the consumer with 13", pop::too_long),
    check("pop", "drains-beside-ours", "your consumer and ours drain the same ring", pop::beside_ours),
    check("pop", "long-drained", "the indices run on past 32 bits", pop::long_running),
    check("pop", "copies-first", "with V(empty) a consumer has copied the message out", witness::consumer_gives_back),

    check("blocking", "full", "a full buffer stops the producer in empty, with the lock free", blocking::full),
    check("blocking", "empty", "an empty buffer stops the consumer in full, with the lock free", blocking::empty),
    check("blocking", "each-other", "your producer and your consumer wake each other", blocking::each_other),
    check("blocking", "several", "as many sleepers go on as there are permits", blocking::several),
    check("blocking", "killed", "a process killed in its sleep holds nobody up", blocking::killed),

    check("exclusion", "producer-waits", "a producer waits for the lock and changes nothing before", exclusion::producer_waits),
    check("exclusion", "consumer-waits", "a consumer waits for the lock and changes nothing before", exclusion::consumer_waits),
    check("exclusion", "under-way", "who has a permit and is not inside has moved nothing", exclusion::under_way),
    check("exclusion", "every-way-out", "the lock is given back on every way out", exclusion::every_way_out),
    check("exclusion", "producer-unlocks", "with V of the lock a producer has stored slot and tail", witness::producer_unlocks),
    check("exclusion", "consumer-unlocks", "with V of the lock a consumer has read the slot and stored head", witness::consumer_unlocks),
    check("exclusion", "every-schedule", "producers and consumers get on under every schedule", schedules::exclusion),

    check("end", "close", "close stores CLOSED and posts full once", end::says_it),
    check("end", "end-of-input", "a producer closes at the end of its input, unless told not to", end::end_of_input),
    check("end", "delivers", "what is in the buffer at the close is delivered, then the end", end::delivers),
    check("end", "everybody", "every consumer ends, asleep at the close or late", end::everybody),
    check("end", "too-late", "a producer on a closed buffer is refused", end::too_late),
    check("end", "every-end", "the last message and the end arrive under every schedule", schedules::end),

    check("crowd", "same-bytes", "the bytes that go in come out", crowd::same_bytes),
    check("crowd", "three-and-three", "three producers and three consumers lose and double nothing", crowd::three_and_three),
    check("crowd", "one-killed", "the others deliver everything when a sleeper is killed", crowd::one_killed),

    check("idle", "consumer", "a consumer that waits costs nothing", idle::consumer_idles),
    check("idle", "producer", "a producer that waits costs nothing", idle::producer_idles),

    check("robust", "made", "create --robust makes a robust mutex for all processes", robust::made),
    check("robust", "used", "the lock is robust, and mutex is not touched", robust::used),
    check("robust", "posts-inside", "the post for the other side stands inside the lock", witness::robust_posts_inside),
    check("robust", "producer-repairs", "a producer repairs what a death left, after every line", robust::producer_repairs),
    check("robust", "consumer-repairs", "a consumer repairs what a death left, after every line", robust::consumer_repairs),
    check("robust", "waiting", "those who wait for the lock go on when its holder dies", robust::wakes_the_waiting),
    check("robust", "sleeping", "those who sleep for a permit go on when another repairs", robust::wakes_the_sleeping),
    check("robust", "surplus", "a permit that the indices do not bear out is dropped", robust::surplus),
    check("robust", "surplus-inside", "whether a permit is borne out is looked at inside", robust::surplus_inside),
    check("robust", "after-the-close", "a death in a closed buffer keeps nobody from the end", robust::after_the_close),
    check("robust", "killed-anywhere", "the others go on, wherever one is killed", schedules::deaths),
];
