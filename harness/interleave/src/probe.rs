//! Functions that do one atomic operation with one ordering each. Nobody calls them; what counts is
//! which lines of the standard library they are made of. The type is one that the standard library
//! does not use itself: where it does, it may bring functions of its own along, and nothing is
//! inlined here.

use std::sync::atomic::AtomicI16;
use std::sync::atomic::Ordering as Order;

use crate::request::Ordering;

type Probe = fn(&AtomicI16) -> i16;

macro_rules! probes {
    ($a:ident, $($ordering:ident: $($body:expr),*;)*) => {
        /// Each function with the ordering of its operation.
        pub(crate) static PROBES: &[(Probe, Ordering)] = &[
            $($((
                {
                    #[inline(never)]
                    fn probe($a: &AtomicI16) -> i16 {
                        const NUMBER: u32 = number(stringify!($ordering $body));
                        std::hint::black_box(NUMBER);
                        $body
                    }
                    probe
                },
                Ordering::$ordering,
            ),)*)*
        ];
    };
}

/// A number of its own for each function: the compiler makes one function of two with the same
/// code, and a relaxed load has the same code as any other.
const fn number(text: &str) -> u32 {
    let (bytes, mut number, mut at) = (text.as_bytes(), 0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        number = (number ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    number
}

macro_rules! exchange {
    ($a:ident, $success:ident, $failure:ident) => {
        i16::from($a.compare_exchange(1, 2, Order::$success, Order::$failure).is_ok())
    };
}

macro_rules! weak {
    ($a:ident, $success:ident, $failure:ident) => {
        i16::from($a.compare_exchange_weak(1, 2, Order::$success, Order::$failure).is_ok())
    };
}

macro_rules! updates {
    ($a:ident, $order:ident) => {
        $a.swap(1, Order::$order)
            + $a.fetch_add(1, Order::$order)
            + $a.fetch_sub(1, Order::$order)
            + $a.fetch_and(1, Order::$order)
            + $a.fetch_or(1, Order::$order)
            + $a.fetch_xor(1, Order::$order)
    };
}

/// In a loop, as loads mostly are.
macro_rules! load {
    ($a:ident, $order:ident) => {{
        let mut looks = 0;
        while $a.load(Order::$order) == 0 {
            std::hint::spin_loop();
            looks += 1;
        }
        looks
    }};
}

macro_rules! store {
    ($a:ident, $order:ident) => {{
        $a.store(1, Order::$order);
        0
    }};
}

probes! { a,
    Relaxed: load!(a, Relaxed), store!(a, Relaxed), updates!(a, Relaxed),
        exchange!(a, Relaxed, Relaxed), weak!(a, Relaxed, Relaxed);
    Acquire: load!(a, Acquire), updates!(a, Acquire), exchange!(a, Acquire, Relaxed),
        exchange!(a, Acquire, Acquire), exchange!(a, Relaxed, Acquire), weak!(a, Acquire, Relaxed),
        weak!(a, Acquire, Acquire), weak!(a, Relaxed, Acquire);
    Release: store!(a, Release), updates!(a, Release), exchange!(a, Release, Relaxed),
        weak!(a, Release, Relaxed);
    AcqRel: updates!(a, AcqRel), exchange!(a, AcqRel, Relaxed), exchange!(a, AcqRel, Acquire),
        exchange!(a, Release, Acquire), weak!(a, AcqRel, Relaxed), weak!(a, AcqRel, Acquire),
        weak!(a, Release, Acquire);
    SeqCst: load!(a, SeqCst), store!(a, SeqCst), updates!(a, SeqCst),
        exchange!(a, SeqCst, Relaxed), exchange!(a, SeqCst, Acquire), exchange!(a, SeqCst, SeqCst),
        weak!(a, SeqCst, Relaxed), weak!(a, SeqCst, Acquire), weak!(a, SeqCst, SeqCst);
}
