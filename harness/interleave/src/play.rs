//! The evil scheduler: somebody chooses, step by step, who goes next on their own two processes.

use crate::engine::{Moment, Strategy};
use crate::request::{Futex, Kind, Request};
use crate::schedule::letter;

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// `A` for the first process, `a!` for the oldest store in its buffer.
    pub name: String,
    /// What it would do.
    pub told: String,
}

/// Who chooses.
///
/// ```
/// /// Lets the processes take turns.
/// struct Turns;
///
/// impl interleave::Player for Turns {
///     fn choose(&mut self, step: usize, moves: &[interleave::Move]) -> Option<usize> {
///         Some(step % moves.len())
///     }
/// }
/// ```
pub trait Player {
    /// Chooses one of the moves by its index; `None` gives up.
    fn choose(&mut self, step: usize, moves: &[Move]) -> Option<usize>;
}

/// A player as a strategy. `told` puts a span of the segment and a place in the code into words.
pub(crate) struct Playing<'a, 'b> {
    pub(crate) player: &'a mut dyn Player,
    pub(crate) told: &'b dyn Fn(Option<(usize, usize)>) -> String,
}

impl Strategy for Playing<'_, '_> {
    fn pick(&mut self, moment: &Moment<'_>) -> Option<usize> {
        let moves: Vec<Move> = moment
            .enabled
            .iter()
            .map(|&entity| match entity.checked_sub(moment.processes) {
                Some(buffer) => Move {
                    name: format!("{}!", letter(buffer).to_ascii_lowercase()),
                    told: "its oldest store becomes visible".to_owned(),
                },
                None => {
                    let next = &moment.next[entity];
                    let field = (self.told)(next.span);
                    let told = tell(&next.request, next.writes, &field);
                    Move { name: letter(entity).to_string(), told }
                }
            })
            .collect();
        let chosen = self.player.choose(moment.step, &moves)?;
        moment.enabled.get(chosen).copied()
    }

    fn looks(&self) -> bool {
        true
    }
}

fn tell(request: &Request, writes: bool, field: &str) -> String {
    match request {
        // The request is already the next one while a store still waits to be seen.
        _ if writes && !matches!(request, Request::Futex { .. } | Request::Access { .. }) => {
            format!("stores {field}")
        }
        Request::Access { kind: Kind::Locked, .. } => format!("reads and changes {field}"),
        Request::Access { .. } if writes => format!("stores {field}"),
        Request::Access { .. } => format!("reads {field}"),
        Request::Fence => "passes a fence".to_owned(),
        Request::Futex { call: Futex::Wait { .. }, .. } => format!("goes to sleep on {field}"),
        Request::Futex { .. } => format!("wakes who sleeps on {field}"),
        Request::Call { name, .. } => format!("calls {name} with {field}"),
        Request::Object { name, .. } => format!("calls {name}"),
        Request::Yield { .. } => "gives way".to_owned(),
        Request::Ended(_) => format!("stores {field}"),
    }
}
