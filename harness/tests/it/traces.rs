//! Schedules of the labs' real programs: explored, replayed, played, and refused with a reason.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::libc;
use serde_json::Value;

use crate::lab::{LABS, command, finish, lab, root};

/// What `trace --json` or `replay --json` has printed.
fn json(arguments: &[&str]) -> Value {
    let finished = lab(arguments);
    serde_json::from_str(&finished.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.out, finished.err))
}

#[test]
fn nothing_is_found_in_the_solutions_but_what_is_wrong_on_purpose() {
    for id in LABS {
        let pieces = json(&["trace", id, "--solution", "--json"]);
        for piece in pieces.as_array().unwrap() {
            let on_purpose = ["racy", "torn"].contains(&piece["piece"].as_str().unwrap());
            assert_eq!(piece["fault"].is_string(), on_purpose, "{piece:#}");
            assert!(on_purpose || piece["complete"] == true, "{piece:#}");
            if piece["piece"] == "mutex" {
                // The page quotes it.
                let page = std::fs::read_to_string(root().join("docs/interleaving.md")).unwrap();
                let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
                let coverage = piece["coverage"].as_str().unwrap();
                assert!(page.contains(coverage), "docs/interleaving.md lacks `{coverage}`");
            }
        }
    }
}

#[test]
fn a_model_a_seed_or_a_death_may_be_chosen() {
    let sell = ["trace", "race-condition", "--solution", "--json", "--piece", "sell"];
    for choice in [
        ["--model", "tso", "--bound", "1"],
        ["--model", "weak", "--walk", "7"],
        ["--model", "sc", "--pct", "7"],
    ] {
        let pieces = json(&[&sell[..], &choice, &["--schedules", "30"]].concat());
        assert_eq!(pieces[0]["fault"], Value::Null, "{choice:?}: {pieces:#}");
        assert!(pieces[0]["schedules"].as_u64().unwrap() > 1, "{choice:?}: {pieces:#}");
    }
    // Who dies between taking a piece and counting it takes it along.
    let pieces = json(&[&sell[..], &["--deaths", "B"]].concat());
    assert_eq!(pieces[0]["told"], "of 1 piece(s), 0 are in `sold` and 0 in `stock`");
}

#[test]
fn a_run_can_be_shown_again() {
    let found = &json(&["trace", "race-condition", "--solution", "--piece", "racy", "--json"])[0];
    assert_eq!(found["code"], "update-lost");
    let told = found["timeline"].as_str().unwrap();
    assert!(told.contains("counter.rs:") && told.contains("is lost"), "{told}");
    let recipe = format!("race-condition/racy:{}", found["schedule"].as_str().unwrap());
    for _ in 0..3 {
        let again = json(&["replay", &recipe, "--solution", "--json"]);
        assert_eq!((&again["hash"], &again["told"]), (&found["hash"], &found["told"]));
        assert_eq!(again["timeline"], found["timeline"]);
    }
    let another = lab(&["replay", &format!("{recipe}#00000000"), "--solution"]);
    assert!(another.out.contains("this is another run"), "{}", another.out);
    let harmless = lab(&["replay", "race-condition/racy:-", "--solution"]);
    assert_eq!(harmless.code, 0, "{}", harmless.out);
}

#[test]
fn a_learner_is_the_scheduler_and_may_go_back() {
    let mut command = command();
    command.args(["trace", "race-condition", "--solution", "--piece", "racy", "--play"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Both read, then both write; one step taken back on the way, and one word that means nothing.
    child.stdin.take().unwrap().write_all(b"6A\nwhat\n6B\nu\nB\nB\nA\n\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("this process makes its next step"), "{told}");
    assert!(told.contains("2 were added, and counter is 1"), "{told}");
    assert!(told.contains("your schedule: 6B"), "{told}");
}

#[test]
fn what_cannot_be_traced_is_refused_with_what_to_do() {
    for arguments in [
        &["trace", "race-condition", "--piece", "nothing"][..],
        &["trace", "race-condition", "--play"],
        &["trace", "race-condition", "--deaths", "7"],
        &["trace", "no-lab"],
        &["replay", "6B"],
        &["replay", "race-condition/racy:B6"],
        &["replay", "race-condition/nothing:6B"],
        &["trace", "race-condition", "--program", "/nonexistent"],
    ] {
        let finished = lab(arguments);
        assert_eq!(finished.code, 2, "{arguments:?}: {}{}", finished.out, finished.err);
        assert!(finished.err.contains("what to do"), "{arguments:?}: {}", finished.err);
    }
    let finished = lab(&["trace", "race-condition", "--program", "/bin/cat", "--piece", "sell"]);
    assert_ne!(finished.code, 0, "{}", finished.out);
}

#[test]
fn where_nobody_may_trace_the_checks_say_so_and_cost_nothing() {
    let mut command = command();
    command.args(["check", "race-condition", "--solution", "--json"]);
    // SAFETY: between fork and exec it makes two system calls and touches nothing else.
    unsafe { command.pre_exec(forbid_ptrace) };
    let finished = finish(command);
    let record = &finished.records()[0];
    assert_eq!(record["points"], 100, "{}{}", finished.out, finished.err);
    let steps = record["steps"].as_array().unwrap();
    let checks: Vec<&Value> =
        steps.iter().flat_map(|step| step["checks"].as_array().unwrap()).collect();
    let not_checked: Vec<&&Value> =
        checks.iter().filter(|check| check["status"] == "not-checked").collect();
    assert!(not_checked.iter().any(|check| check["id"] == "every-mutex-schedule"), "{record:#}");
    for check in not_checked {
        assert!(check["why"].as_str().is_some_and(|why| !why.is_empty()), "{check:#}");
    }
}

#[test]
fn an_instructor_may_insist_on_every_schedule() {
    let mut command = command();
    command.args(["check", "race-condition", "--solution", "--require-exploration"]);
    // SAFETY: between fork and exec it makes two system calls and touches nothing else.
    unsafe { command.pre_exec(forbid_ptrace) };
    let finished = finish(command);
    assert_eq!(finished.code, 3, "{}", finished.out);
    assert!(finished.err.contains("what to do"), "{}", finished.err);
}

/// As in a container that refuses ptrace: from here on the call fails with EPERM.
fn forbid_ptrace() -> std::io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_ptrace as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    let seccomp = libc::PR_SET_SECCOMP;
    // SAFETY: the filter lives until the call returns, and the kernel copies it.
    let done = unsafe { libc::prctl(seccomp, libc::SECCOMP_MODE_FILTER, &raw const program) };
    nix::errno::Errno::result(done).map(drop).map_err(Into::into)
}
