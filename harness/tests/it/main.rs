//! The harness tried as its users try it: the real program, real processes, a real `/dev/shm`.

mod batch;
mod canary;
mod cli;
mod corpus;
mod handout;
mod hostile;
mod integrations;
mod lab;
mod machine;
mod new;
mod peer;
mod programs;
mod records;
mod solutions;
mod starters;
mod tidy;
mod traces;
mod views;
