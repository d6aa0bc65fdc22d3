//! The checks of the lab unbounded-buffer, a file a step.

use crate::check::Check;

mod end;
mod giving_back;
mod growth;
mod pop;
mod publication;
mod push;
mod refusal;
mod restart;
mod schedules;
mod stage;
mod waiting;

/// The table, in the order of the steps and of causes.
pub(super) const CHECKS: &[Check] = &[
    Check {
        step: "push",
        id: "first-length",
        title: "a new object has 4096 bytes and mode 0600",
        run: push::first_length,
    },
    Check {
        step: "push",
        id: "prefix",
        title: "a new buffer is ready and empty",
        run: push::prefix,
    },
    Check {
        step: "push",
        id: "exclusive",
        title: "a name that exists is refused, and its buffer stays as it is",
        run: push::exclusive,
    },
    Check {
        step: "push",
        id: "slots",
        title: "each message is in its slot, and tail counts it",
        run: push::slots,
    },
    Check {
        step: "push",
        id: "first-page",
        title: "the first page takes sixty messages",
        run: push::first_page,
    },
    Check {
        step: "growth",
        id: "grows",
        title: "the object grows when a message needs it, and never shrinks",
        run: growth::grows,
    },
    Check {
        step: "growth",
        id: "one-mapping",
        title: "after growing there is one mapping of the object",
        run: growth::one_mapping,
    },
    Check {
        step: "growth",
        id: "long-at-start",
        title: "a producer that finds a long object leaves it as long",
        run: growth::long_at_start,
    },
    Check {
        step: "growth",
        id: "three-thousand",
        title: "three thousand messages fit at full speed",
        run: growth::three_thousand,
    },
    Check {
        step: "publication",
        id: "producer-killed",
        title: "wherever a producer dies, what tail counts is there",
        run: schedules::publication,
    },
    Check {
        step: "publication",
        id: "growing-killed",
        title: "wherever a producer dies while it grows the object, what tail counts is there",
        run: schedules::growing,
    },
    Check {
        step: "publication",
        id: "release",
        title: "tail is stored with Release",
        run: publication::release,
    },
    Check {
        step: "publication",
        id: "acquire",
        title: "tail is loaded with Acquire",
        run: publication::acquire,
    },
    Check {
        step: "pop",
        id: "in-order",
        title: "each message comes out once, in order, and head counts it",
        run: pop::in_order,
    },
    Check {
        step: "pop",
        id: "long-when-found",
        title: "a consumer that finds a long object reads all of it",
        run: pop::long_when_found,
    },
    Check {
        step: "pop",
        id: "maps-again",
        title: "the consumer follows an object that grows, with one mapping",
        run: pop::maps_again,
    },
    Check {
        step: "pop",
        id: "bad-length",
        title: "a slot with a length above 56 is a wrong format",
        run: pop::bad_length,
    },
    Check {
        step: "pop",
        id: "bad-tail",
        title: "a tail beyond the object's end is a wrong format",
        run: pop::bad_tail,
    },
    Check {
        step: "waiting",
        id: "waits",
        title: "an empty buffer makes the consumer wait",
        run: waiting::waits,
    },
    Check {
        step: "waiting",
        id: "costs-little",
        title: "waiting uses at most a tenth of a processor",
        run: waiting::costs_little,
    },
    Check {
        step: "waiting",
        id: "notices-soon",
        title: "a message is noticed within a quarter of a second",
        run: waiting::notices_soon,
    },
    Check {
        step: "restart",
        id: "attach",
        title: "attaching changes nothing",
        run: restart::attach,
    },
    Check {
        step: "restart",
        id: "consumer",
        title: "a new consumer goes on at head",
        run: restart::consumer,
    },
    Check {
        step: "restart",
        id: "producer",
        title: "a new producer goes on at tail",
        run: restart::producer,
    },
    Check {
        step: "restart",
        id: "taken-over",
        title: "wherever a producer dies, another completes the stream",
        run: schedules::replaced,
    },
    Check {
        step: "restart",
        id: "both",
        title: "both are replaced in turns, and every message comes out once",
        run: restart::both,
    },
    Check {
        step: "end",
        id: "closes",
        title: "the end of stdin closes the buffer, behind the last message",
        run: end::closes,
    },
    Check {
        step: "end",
        id: "keep-open",
        title: "with --keep-open the buffer stays open",
        run: end::keep_open,
    },
    Check {
        step: "end",
        id: "closed",
        title: "a closed buffer refuses producers",
        run: end::closed,
    },
    Check {
        step: "end",
        id: "late-consumer",
        title: "a consumer that comes late gets everything, then the end",
        run: end::late_consumer,
    },
    Check {
        step: "end",
        id: "waiting-consumer",
        title: "a consumer that waits is told the end",
        run: end::waiting_consumer,
    },
    Check {
        step: "end",
        id: "last-message",
        title: "a last message right before the end is not lost",
        run: end::last_message,
    },
    Check {
        step: "end",
        id: "every-end",
        title: "the last message and the end arrive under every schedule",
        run: schedules::stream,
    },
    Check {
        step: "end",
        id: "state-orderings",
        title: "the state is not stored or loaded Relaxed",
        run: end::state_orderings,
    },
    Check {
        step: "end",
        id: "same-bytes",
        title: "the bytes that go in come out, whoever is started first",
        run: end::same_bytes,
    },
    Check {
        step: "refusal",
        id: "first-growth",
        title: "a first growth that fails changes nothing",
        run: refusal::first_growth,
    },
    Check {
        step: "refusal",
        id: "later-growth",
        title: "a later growth that fails changes nothing",
        run: refusal::later_growth,
    },
    Check {
        step: "refusal",
        id: "huge-tail",
        title: "a tail beyond 32 bits needs room as any other",
        run: refusal::huge_tail,
    },
    Check {
        step: "giving-back",
        id: "gives-back",
        title: "at most 64 KiB of consumed slots occupy memory",
        run: giving_back::gives_back,
    },
    Check {
        step: "giving-back",
        id: "after-another",
        title: "what an earlier consumer has taken is given back as well",
        run: giving_back::after_another,
    },
    Check {
        step: "giving-back",
        id: "stays-given-back",
        title: "a growth does not take again what was given back",
        run: giving_back::stays_given_back,
    },
];
