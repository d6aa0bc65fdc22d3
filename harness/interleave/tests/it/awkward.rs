//! Instructions, system calls and programs that are awkward, and those that are refused.

use std::path::Path;

use interleave::{Budget, Ending, Exit, Lab, Memory, Search, Unsupported, Verdict, explore};

use crate::stage::{Scenario, Stage, expect, word};

fn alone(command: &'static [&'static str]) -> Scenario {
    Scenario::new("Counter", command)
}

fn once(scenario: Scenario, memory: Memory) -> Result<interleave::Report, Unsupported> {
    scenario.explore(Search::Replay("-".parse().unwrap()), memory, 1)
}

#[test]
fn every_instruction_of_the_list() {
    for memory in [Memory::Sc, Memory::Weak] {
        let report = once(alone(&["instructions"]), memory).unwrap();
        assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
        // Only `repe cmpsb`, which reads at two places at once.
        assert!(report.coverage.imprecise <= 2, "{:?}", report.coverage);
        let report = once(alone(&["memcpy"]), memory).unwrap();
        assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
        assert_eq!(report.coverage.imprecise, 0);
    }
}

#[test]
fn time_chance_and_ids_are_the_same_in_every_run() {
    let hashes = (0..5).map(|_| once(alone(&["clock"]), Memory::Tso).unwrap().hash);
    let hashes: Vec<u64> = hashes.collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[test]
fn system_calls_read_and_write_the_segment() {
    let stage = Stage::new(&[]);
    let prepare = |path: &Path| stage.prepare(path);
    let check = |ending: &Ending| {
        if ending.outputs[0] == b"Hello!!\n" { Ok(()) } else { Err(format!("{ending:?}")) }
    };
    let lab = Lab::new(&stage.name, [stage.worker("buffers").input("whatever")], &prepare, &check);
    let search = Search::Replay("-".parse().unwrap());
    let report = explore(&lab, search, Memory::Sc, Budget::default()).unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
}

#[test]
fn input_output_and_environment_are_each_processs_own() {
    let stage = Stage::new(&[]);
    let prepare = |path: &Path| stage.prepare(path);
    let check = |ending: &Ending| {
        let told = |at: usize| String::from_utf8_lossy(&ending.outputs[at]).into_owned();
        let (a, b) = (told(0), told(1));
        let right = a.ends_with(" two\n") && b.starts_with("hello ") && b.ends_with(" three\n");
        if right { Ok(()) } else { Err(format!("{a:?} {b:?}")) }
    };
    let a = stage.worker("echo").input("one\ntwo\n");
    let b = stage.worker("echo").input("three\n").variable("GREETING", "hello ");
    for fork_server in [true, false] {
        let mut lab = Lab::new(&stage.name, [a.clone(), b.clone()], &prepare, &check);
        lab.fork_server = fork_server;
        let search = Search::Bounded { preemptions: 1 };
        let report = explore(&lab, search, Memory::Sc, Budget::default()).unwrap();
        assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
        assert_eq!(report.coverage.forked, fork_server);
        assert!(report.coverage.complete);
    }
}

#[test]
fn what_cannot_be_explored_is_refused_with_the_reason() {
    let refused = |command| once(alone(command), Memory::Sc).map(|report| report.verdict);
    assert_eq!(refused(&["thread"]), Err(Unsupported::Threads));
    assert_eq!(refused(&["fork"]), Err(Unsupported::Forks));
    assert_eq!(refused(&["spawn"]), Err(Unsupported::Forks));
    assert_eq!(refused(&["exec"]), Err(Unsupported::Exec));
    assert_eq!(refused(&["pause"]), Err(Unsupported::Call("pause".to_owned())));
    assert_eq!(refused(&["stray-register"]), Ok(Verdict::Pass));
    assert_eq!(refused(&["folder"]), Err(Unsupported::Call("getcwd on the segment".to_owned())));
    assert_eq!(refused(&["read-pipe"]), Err(Unsupported::Blocks("read".to_owned())));
    assert_eq!(refused(&[]), Err(Unsupported::Processes(0)));
    let stage = Stage::new(&[]);
    let prepare = |path: &Path| stage.prepare(path);
    let lab = Lab::new(&stage.name, [interleave::Program::new("/nowhere")], &prepare, &|_| Ok(()));
    let search = Search::Walk { seed: 1 };
    let refused = explore(&lab, search, Memory::Sc, Budget::default());
    assert!(matches!(refused, Err(Unsupported::Start(_))), "{:?}", refused.err());
}

#[test]
fn a_process_that_dies_is_told_with_its_line() {
    let dies = |command, signal| {
        let report = once(alone(command), Memory::Sc).unwrap();
        let expected = Verdict::Failed { process: 0, exit: Exit::Signal(signal) };
        assert_eq!(report.verdict, expected, "{}", report.timeline);
        report.timeline.to_string()
    };
    let text = dies(&["crash"], 11);
    assert!(text.contains("dies of signal 11  [awkward.rs:"), "{text}");
    dies(&["beyond"], 11);
    dies(&["shrink"], 7);
}

#[test]
fn a_process_that_computes_without_end_is_ended_by_the_kernel() {
    let report = once(alone(&["endless"]), Memory::Sc).unwrap();
    assert_eq!(report.verdict, Verdict::Failed { process: 0, exit: Exit::Endless });
}

#[test]
fn reading_the_same_often_is_no_livelock() {
    let report = alone(&["readers", "readers"])
        .checked(|bytes| expect("word", word(bytes, 8), 1))
        .bounded(1, Memory::Sc, 500);
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
}

#[test]
fn a_name_that_is_looked_for_while_it_is_made() {
    let stage = Stage::new(&[]);
    let absent = |path: &Path| {
        let _ = std::fs::remove_file(path);
        Ok(())
    };
    let programs = [stage.worker("create"), stage.worker("open")];
    let lab = Lab::new(&stage.name, programs, &absent, &|_| Ok(()));
    let search = Search::Bounded { preemptions: 2 };
    let report = explore(&lab, search, Memory::Sc, Budget::default()).unwrap();
    assert!(matches!(report.verdict, Verdict::Failed { process: 1, .. }), "{}", report.timeline);
    assert!(!report.coverage.forked);
}
